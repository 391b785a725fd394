import type { BtreePage } from '../format/btree.ts';
import type { Pages } from '../format/pages.ts';
import { readRecord, type Stored } from '../format/record.ts';
import type { KeyPart } from '../format/schema.ts';
import type { ChangedPages } from './changed.ts';
import { firstWhere, type Node, type TreeKind } from './descend.ts';
import { type Order, orderOf } from './order.ts';

/** Trees of tables WITHOUT ROWID: their keys are records, and interior pages hold rows too. */
export async function indexTree(
  from: Pages | undefined,
  parts: readonly KeyPart[],
  changed: ChangedPages,
): Promise<TreeKind<readonly Stored[]>> {
  const order = from === undefined ? undefined : orderOf(parts, from.encoding);
  // In the order of a collation that is not here, everything may be anywhere.
  if (from === undefined || order === undefined)
    return { keyAt: () => [], mayHoldChange: () => true, interiorRows: true };
  const keys = await changedKeys(from, parts.length, changed, order);
  const isAfter = (key: readonly Stored[], limit: readonly Stored[]) => order(key, limit) > 0;
  return {
    keyAt: (side, page, cell) => keyAt(side, page, cell, parts.length),
    mayHoldChange: ({ above, upTo }: Node<readonly Stored[]>) => {
      const next = keys[above === undefined ? 0 : firstWhere(keys, (key) => isAfter(key, above))];
      return next !== undefined && (upTo === undefined || !isAfter(next, upTo));
    },
    interiorRows: true,
  };
}

/** The first columns of the record in a cell. */
export async function keyAt(side: Pages, page: BtreePage, cell: number, columns: number): Promise<Stored[]> {
  const { payload } = page.cell(cell);
  if (payload === undefined) throw new RangeError(`page ${page.number} is in a tree of another kind`);
  return readRecord(await side.whole(payload)).slice(0, columns);
}

/** A key from each changed page that holds some (other indexes' too, which costs a look and no more). */
async function changedKeys(
  from: Pages,
  columns: number,
  changed: ChangedPages,
  order: Order,
): Promise<Stored[][]> {
  if (changed.indexPages.length === 0) return [];
  const free = await from.free();
  const keys: Stored[][] = [];
  const pages = changed.indexPages.filter((number) => !free.has(number));
  for (let start = 0; start < pages.length; start += 256)
    for (const page of await from.btree(pages.slice(start, start + 256)))
      if (page.count > 0) keys.push(await keyAt(from, page, 0, columns));
  return keys.filter((key) => key.length === columns).toSorted(order);
}
