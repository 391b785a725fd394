import { createHash } from '../../../system/crypto.ts';
import type { Row, RowValue } from '../../rows.ts';
import { type Stored, readRecord, sameStored, StoredText } from '../format/record.ts';
import type { Table } from '../format/schema.ts';
import type { Pages } from '../format/pages.ts';
import { decodeText, encodeText, type Encoding } from '../format/text.ts';
import type { Integer } from '../format/record.ts';

/** One table in one recorded database. */
export interface TableSide {
  pages: Pages;
  table: Table;
  root: number;
}

/** The values of a row by the table's columns. */
export function valuesOf({ table }: TableSide, rowid: Integer, payload: Buffer): Stored[] {
  const record = readRecord(payload);
  return table.columns.map(({ affinity, missing }, at) => {
    if (at === table.rowid) return BigInt(rowid);
    const value = at < record.length ? (record[at] as Stored) : missing;
    // A whole number in a REAL column is stored as an integer, to save space.
    return affinity === 'REAL' && typeof value === 'bigint' ? Number(value) : value;
  });
}

export function readable(value: Stored, encoding: Encoding): RowValue {
  return value instanceof StoredText ? decodeText(value.bytes, encoding) : value;
}

export function rowOf({ table, pages }: TableSide, values: readonly Stored[], only?: readonly number[]): Row {
  const columns = only ?? table.columns.keys();
  return Object.fromEntries(
    [...columns].map((at) => [table.columns[at]?.name ?? '', readable(values[at] ?? null, pages.encoding)]),
  );
}

/** A column on each side; undefined where a side has no such column. */
type Pair = readonly [from: number | undefined, to: number | undefined];

/**
 * Which columns of two states of a table are the same: those of one name, and a renamed one, which is in the same
 * place. A column that only one side has counts as holding its default on the other.
 */
export class Columns {
  readonly pairs: readonly Pair[];
  /** True when a record of `from` with the same bytes is the same row in `to`. */
  readonly sameLayout: boolean;
  /** The columns of the key on each side; undefined where rows have no key on both. */
  readonly key: { from: number[]; to: number[] } | undefined;
  readonly #from: TableSide;
  readonly #to: TableSide;

  constructor(from: TableSide, to: TableSide) {
    this.#from = from;
    this.#to = to;
    this.pairs = pairsOf(from.table, to.table);
    this.sameLayout = this.#hasSameLayout();
    this.key = this.#keyColumns();
  }

  #hasSameLayout(): boolean {
    const [a, b] = [this.#from.table, this.#to.table];
    if (a.withoutRowid !== b.withoutRowid || a.rowid !== b.rowid || a.columns.length > b.columns.length)
      return false;
    if (a.withoutRowid && JSON.stringify(a.key) !== JSON.stringify(b.key)) return false;
    if (this.#from.pages.encoding !== this.#to.pages.encoding) return false;
    return a.columns.every((column, at) => {
      const other = b.columns[at];
      return (
        other !== undefined &&
        this.pairs.some(([from, to]) => from === at && to === at) &&
        (column.affinity === 'REAL') === (other.affinity === 'REAL') &&
        sameStored(column.missing, other.missing)
      );
    });
  }

  same(before: readonly Stored[], after: readonly Stored[]): boolean {
    return this.pairs.every(([from, to]) =>
      this.#sameValue(
        from === undefined ? (this.#to.table.columns[to ?? 0]?.missing ?? null) : (before[from] ?? null),
        to === undefined ? (this.#from.table.columns[from ?? 0]?.missing ?? null) : (after[to] ?? null),
        from === undefined ? this.#to.pages.encoding : this.#from.pages.encoding,
        to === undefined ? this.#from.pages.encoding : this.#to.pages.encoding,
      ),
    );
  }

  /** Equal for rows that are the same. */
  digest(side: 'from' | 'to', values: readonly Stored[]): Buffer {
    const [own, other] = side === 'from' ? [this.#from, this.#to] : [this.#to, this.#from];
    const hash = createHash('sha256');
    for (const [from, to] of this.pairs) {
      const [mine, its] = side === 'from' ? [from, to] : [to, from];
      const value =
        mine === undefined ? (other.table.columns[its ?? 0]?.missing ?? null) : (values[mine] ?? null);
      hash.update(canonical(value, mine === undefined ? other.pages.encoding : own.pages.encoding));
    }
    return hash.digest();
  }

  #keyColumns(): Columns['key'] {
    const byTo = this.#to.table.key.map(({ column }) => this.pairs.find(([, to]) => to === column)?.[0]);
    if (byTo.length > 0 && byTo.every((column) => column !== undefined))
      return { from: byTo, to: this.#to.table.key.map(({ column }) => column) };
    const byFrom = this.#from.table.key.map(
      ({ column }) => this.pairs.find(([from]) => from === column)?.[1],
    );
    if (byFrom.length > 0 && byFrom.every((column) => column !== undefined))
      return { from: this.#from.table.key.map(({ column }) => column), to: byFrom };
    return undefined;
  }

  #sameValue(a: Stored, b: Stored, ofA: Encoding, ofB: Encoding): boolean {
    if (ofA === ofB || !(a instanceof StoredText) || !(b instanceof StoredText)) return sameStored(a, b);
    return decodeText(a.bytes, ofA) === decodeText(b.bytes, ofB);
  }
}

/** A value as bytes that are equal for equal values, in whatever encoding a text is. */
export function canonical(value: Stored, encoding: Encoding): Buffer {
  if (value === null) return Buffer.from('n');
  if (typeof value === 'bigint') return Buffer.from(`i${value};`);
  if (typeof value === 'number') return Buffer.from(`r${value};`);
  const text = value instanceof StoredText;
  const bytes = text
    ? encoding === 'utf8'
      ? value.bytes
      : encodeText(decodeText(value.bytes, encoding), 'utf8')
    : value;
  return Buffer.concat([Buffer.from(`${text ? 't' : 'b'}${bytes.length};`), bytes]);
}

function pairsOf(from: Table, to: Table): Pair[] {
  const named = (table: Table, name: string) =>
    table.columns.findIndex((column) => column.name.toLowerCase() === name.toLowerCase());
  const pairs: Pair[] = [];
  const paired = new Set<number>();
  for (const [at, { name }] of from.columns.entries()) {
    let other: number | undefined = named(to, name);
    const inPlace = to.columns[at]?.name;
    if (other === -1)
      other =
        inPlace !== undefined && named(from, inPlace) === -1 && from.columns.length === to.columns.length
          ? at
          : undefined;
    if (other !== undefined) paired.add(other);
    pairs.push([at, other]);
  }
  for (const at of to.columns.keys()) if (!paired.has(at)) pairs.push([undefined, at]);
  return pairs;
}
