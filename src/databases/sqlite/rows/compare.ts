import type { RowChange, RowValue } from '../../rows.ts';
import type { Payload } from '../format/btree.ts';
import type { Stored } from '../format/record.ts';
import { ChangedPages } from './changed.ts';
import { canonical, Columns, readable, rowOf, type TableSide, valuesOf } from './columns.ts';
import { RowCursor, type StoredRow } from './cursor.ts';
import { type DifferingPages, differingPages, rowidTree } from './descend.ts';
import { indexTree } from './indexTree.ts';
import { type Leftover, Leftovers } from './leftovers.ts';

/** The rows of one table that differ; a table that is only on one side has all of them added or removed. */
export async function* compareTable(
  from: TableSide | undefined,
  to: TableSide | undefined,
  changes: ChangedPages,
): AsyncGenerator<RowChange> {
  const one = from ?? to;
  if (one === undefined) return;
  // Against a side without the table, any columns do.
  const columns = new Columns(from ?? one, to ?? one);
  const changed =
    from !== undefined && to !== undefined && !columns.sameLayout ? new ChangedPages(false) : changes;
  const comparison = new Comparison(from, to, columns, changed);
  const pages = await comparison.pages();
  if (pages.from.length + pages.to.length === 0) return;
  yield* comparison.byRowid ? comparison.inOrder(pages) : comparison.byKey(pages);
}

class Comparison {
  /** Rows are told apart by the column that is their rowid: both sides are in that order already. */
  readonly byRowid: boolean;
  readonly #from: TableSide | undefined;
  readonly #to: TableSide | undefined;
  readonly #columns: Columns;
  readonly #changed: ChangedPages;
  readonly #name: string;

  constructor(
    from: TableSide | undefined,
    to: TableSide | undefined,
    columns: Columns,
    changed: ChangedPages,
  ) {
    this.#from = from;
    this.#to = to;
    this.#columns = columns;
    this.#changed = changed;
    this.#name = (to ?? from)?.table.name ?? '';
    const [a, b] = [(from ?? to)?.table.rowid, (to ?? from)?.table.rowid];
    this.byRowid = a !== undefined && columns.pairs.some(([x, y]) => x === a && y === b);
  }

  async pages(): Promise<DifferingPages> {
    const [from, to] = [this.#from, this.#to];
    const kinds = new Set(
      [from, to].flatMap((side) => (side === undefined ? [] : [side.table.withoutRowid])),
    );
    if (kinds.size > 1) {
      // A table that became WITHOUT ROWID, or no longer is: two trees of different kinds.
      const before = await this.#pagesOf(from, undefined, from?.table.withoutRowid === true);
      const after = await this.#pagesOf(undefined, to, to?.table.withoutRowid === true);
      return { from: before.from, to: after.to };
    }
    return this.#pagesOf(from, to, kinds.has(true));
  }

  async #pagesOf(
    from: TableSide | undefined,
    to: TableSide | undefined,
    withoutRowid: boolean,
  ): Promise<DifferingPages> {
    if (!withoutRowid) return differingPages(from, to, this.#changed, rowidTree(this.#changed));
    const kind = await indexTree(from?.pages, from?.table.key ?? [], this.#changed);
    return differingPages(from, to, this.#changed, kind);
  }

  /** Both sides in the order of their rowids, side by side. */
  async *inOrder(pages: DifferingPages): AsyncGenerator<RowChange> {
    const [a, b] = await this.#cursors(pages);
    while (a.current !== undefined || b.current !== undefined) {
      const order = orderOf(a.current, b.current);
      const [before, after] = [order <= 0 ? a.current : undefined, order >= 0 ? b.current : undefined];
      if (before === undefined || after === undefined || !this.#sameBytes(before.payload, after.payload)) {
        const change = this.#change(
          before &&
            this.#from &&
            valuesOf(this.#from, before.rowid, await this.#from.pages.whole(before.payload)),
          after && this.#to && valuesOf(this.#to, after.rowid, await this.#to.pages.whole(after.payload)),
        );
        if (change !== undefined) yield change;
      }
      if (order <= 0 && !a.step()) await a.fill();
      if (order >= 0 && !b.step()) await b.fill();
    }
  }

  /** What is not the same in its place is sorted by its key, or as a whole. */
  async *byKey(pages: DifferingPages): AsyncGenerator<RowChange> {
    const key = this.#columns.key;
    const leftovers = await Leftovers.open(key?.to.length ?? 0);
    const add = async (side: 'from' | 'to', row: StoredRow) => {
      const table = (side === 'from' ? this.#from : this.#to) as TableSide;
      const payload = await table.pages.whole(row.payload);
      const values = valuesOf(table, row.rowid, payload);
      const keyed = key?.[side].map((at) => values[at] ?? null) ?? [];
      // A key with NULL in it may be there more than once (lang_createtable.html, 3.5).
      const hasKey = keyed.length > 0 && !keyed.includes(null);
      const { encoding } = table.pages;
      const group = hasKey
        ? Buffer.concat(keyed.map((value) => canonical(value, encoding)))
        : this.#columns.digest(side, values);
      const sorted: RowValue[] = hasKey ? keyed.map((value) => readable(value, encoding)) : [];
      leftovers.add({ side, rowid: BigInt(row.rowid), payload }, group, sorted);
    };
    try {
      await this.#withoutEqual(pages, add);
      for (const group of leftovers.byKey()) yield* this.#ofOneKey(group);
      for (const row of leftovers.surplus()) {
        const [before, after] = [this.#valuesOf(row, 'from'), this.#valuesOf(row, 'to')];
        yield this.#change(before, after) as RowChange;
      }
    } finally {
      leftovers.close();
    }
  }

  /** Gives the rows that are not the same on both sides at the same rowid, or with the same bytes. */
  async #withoutEqual(
    pages: DifferingPages,
    add: (side: 'from' | 'to', row: StoredRow) => Promise<void>,
  ): Promise<void> {
    const [a, b] = await this.#cursors(pages);
    const hasRowids = (this.#from ?? this.#to)?.table.withoutRowid === false;
    while (a.current !== undefined || b.current !== undefined) {
      // Without rowids one in turn: both sides are more or less in the same order.
      const order = hasRowids ? orderOf(a.current, b.current) : 0;
      const [before, after] = [order <= 0 ? a.current : undefined, order >= 0 ? b.current : undefined];
      if (before === undefined || after === undefined || !this.#sameBytes(before.payload, after.payload)) {
        if (before !== undefined) await add('from', before);
        if (after !== undefined) await add('to', after);
      }
      if (order <= 0 && a.current !== undefined && !a.step()) await a.fill();
      if (order >= 0 && b.current !== undefined && !b.step()) await b.fill();
    }
  }

  *#ofOneKey(group: readonly Leftover[]): Generator<RowChange> {
    const sides = { from: [] as Stored[][], to: [] as Stored[][] };
    for (const row of group) sides[row.side].push(this.#valuesOf(row, row.side) as Stored[]);
    const left = sides.from.filter((values) => {
      const equal = sides.to.findIndex((other) => this.#columns.same(values, other));
      if (equal !== -1) sides.to.splice(equal, 1);
      return equal === -1;
    });
    for (let at = 0; at < Math.max(left.length, sides.to.length); at++)
      yield this.#change(left[at], sides.to[at]) as RowChange;
  }

  #valuesOf(row: Leftover, side: 'from' | 'to'): Stored[] | undefined {
    const table = side === 'from' ? this.#from : this.#to;
    return row.side !== side || table === undefined ? undefined : valuesOf(table, row.rowid, row.payload);
  }

  async #cursors(pages: DifferingPages): Promise<readonly [RowCursor, RowCursor]> {
    return [
      await RowCursor.open(this.#from?.pages, pages.from),
      await RowCursor.open(this.#to?.pages, pages.to),
    ];
  }

  /** True when two records are the same without looking into them. */
  #sameBytes(a: Payload, b: Payload): boolean {
    if (!this.#columns.sameLayout || a.size !== b.size || !a.local.equals(b.local)) return false;
    // The same chain of overflow pages, none of which changed.
    if (a.overflow !== b.overflow) return false;
    return a.overflow === 0 || (this.#changed.comparable && !this.#changed.overflows);
  }

  /** Undefined when the two are the same row. */
  #change(before: Stored[] | undefined, after: Stored[] | undefined): RowChange | undefined {
    const [from, to] = [this.#from, this.#to];
    if (before !== undefined && after !== undefined && this.#columns.same(before, after)) return undefined;
    const key = this.#columns.key;
    const keyOf = () => {
      if (to !== undefined && after !== undefined) return rowOf(to, after, key?.to);
      return rowOf(from as TableSide, before as Stored[], key?.from);
    };
    return {
      kind: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed',
      table: this.#name,
      key: keyOf(),
      ...(from !== undefined && before !== undefined ? { before: rowOf(from, before) } : {}),
      ...(to !== undefined && after !== undefined ? { after: rowOf(to, after) } : {}),
    };
  }
}

/** Which of two rows comes first; what is not there comes last. */
function orderOf(a: StoredRow | undefined, b: StoredRow | undefined): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return a.rowid < b.rowid ? -1 : a.rowid > b.rowid ? 1 : 0;
}
