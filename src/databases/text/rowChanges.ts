import type { Row, RowChange, RowValue } from '../rows.ts';
import type { DifferentLine } from './lines.ts';

/** Rows out of lines. */

/** How the lines of a recorded table are read. */
export interface RowReader {
  /** What the table is called. */
  name: string;
  /** Columns of its key; empty without one. */
  key: readonly string[];
  /** True for a line that is no row. */
  isFrame(line: string): boolean;
  /** The row of a line, given as latin1 text. */
  row(line: string): Row;
  keyOf(row: Row): Row;
}

/** The rows in which the lines of two copies of a table differ, in the order of their keys. */
export async function* rowChanges(
  lines: AsyncIterable<DifferentLine>,
  fromTable: RowReader | undefined,
  toTable: RowReader | undefined,
): AsyncGenerator<RowChange> {
  const table = (toTable ?? fromTable)?.name ?? '';
  const changes = new Map<string, { key: Row; before: Row[]; after: Row[] }>();
  // Another key is another way to tell rows apart: then each stands for itself.
  const sameKey =
    fromTable === undefined || toTable === undefined || fromTable.key.join('\0') === toTable.key.join('\0');
  for await (const { side, line } of lines) {
    const of = side === 'from' ? fromTable : toTable;
    const text = line.toString('latin1');
    if (of === undefined || of.isFrame(text)) continue;
    const row = of.row(text);
    const key = sameKey ? of.keyOf(row) : row;
    const id = JSON.stringify(Object.values(key).map(printed));
    const known = changes.get(id) ?? { key, before: [], after: [] };
    (side === 'from' ? known.before : known.after).push(row);
    changes.set(id, known);
  }
  const found = [...changes.values()].toSorted((a, b) => compareKeys(a.key, b.key));
  for (const { key, before, after } of found) {
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      const [was, is] = [before[index], after[index]];
      if (was === undefined && is !== undefined) yield { kind: 'added', table, key, after: is };
      else if (was !== undefined && is === undefined) yield { kind: 'removed', table, key, before: was };
      else if (was !== undefined && is !== undefined && !sameRow(was, is))
        yield { kind: 'changed', table, key, before: was, after: is };
    }
  }
}

/** A value as one text, null apart. */
export function printed(value: RowValue): string | null {
  if (value === null) return null;
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : String(value);
}

/** A column that was added or dropped is told as a definition; where it is null it makes no row another one. */
function sameRow(a: Row, b: Row): boolean {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every(
    (name) => printed(a[name] ?? null) === printed(b[name] ?? null),
  );
}

function compareKeys(a: Row, b: Row): number {
  const others = Object.values(b);
  for (const [index, value] of Object.values(a).entries()) {
    const order = compareValues(value, others[index] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

function compareValues(a: RowValue, b: RowValue): number {
  const isNumber = (value: RowValue) => typeof value === 'number' || typeof value === 'bigint';
  if (isNumber(a) && isNumber(b))
    return (a as number) < (b as number) ? -1 : Number((a as number) > (b as number));
  const [left, right] = [printed(a) ?? '', printed(b) ?? ''];
  return left < right ? -1 : Number(left > right);
}
