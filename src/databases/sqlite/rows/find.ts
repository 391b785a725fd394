import { PitrError } from '../../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../../engine.ts';
import type { Row } from '../../rows.ts';
import type { BtreePage, Cell } from '../format/btree.ts';
import { damagedCopy, type Pages } from '../format/pages.ts';
import { type Integer, narrow, readRecord, sameStored, type Stored, StoredText } from '../format/record.ts';
import type { Definitions, Table } from '../format/schema.ts';
import { encodeText } from '../format/text.ts';
import { rowOf, type TableSide, valuesOf } from './columns.ts';
import { RowCursor } from './cursor.ts';
import { differingPages, rowidTree } from './descend.ts';
import { ChangedPages } from './changed.ts';
import { indexTree, keyAt } from './indexTree.ts';
import { type Order, orderOf } from './order.ts';
import { imageStore, noSuchTable, RecordedState } from './state.ts';

/** The row of a key in a recorded database: the contract is in `../../engine.ts`. Reads the pages on the way to it. */
export async function findRow(
  { repository, database }: EngineContext,
  copy: CapturedDatabase,
  name: string,
  key: readonly string[],
): Promise<Row | undefined> {
  let state: RecordedState | undefined;
  try {
    state = await RecordedState.open(imageStore(repository), copy);
    const side = await state.table(name);
    if (side === undefined) throw noSuchTable(database.name, name, state.tables);
    requireKey(side.table, key);
    const definitions = await state.definitions();
    const root = state.objects.find((object) => object.name === side.table.keyIndex)?.root;
    for (const candidate of candidates(definitions, side, key)) {
      const values = await valuesAt(side, candidate, root);
      if (values !== undefined) return rowOf(side, values);
    }
    return undefined;
  } catch (error) {
    throw damagedCopy(database.name, error);
  } finally {
    state?.close();
  }
}

function requireKey({ name, key, columns }: Table, given: readonly string[]): void {
  const names = key.map(({ column }) => columns[column]?.name ?? '');
  if (key.length === 0)
    throw new PitrError('noMatch', `The table "${name}" has no primary key, so its rows have no name.`, {
      hints: ['git pitr diff --db shows which rows were added and removed.'],
    });
  if (given.length !== key.length)
    throw new PitrError(
      'noMatch',
      `The primary key of the table "${name}" has ${key.length === 1 ? 'one column' : `${key.length} columns`} (${names.join(', ')}); ${given.length} ${given.length === 1 ? 'value was' : 'values were'} given.`,
      { hints: [`Give a value for each, in this order: ${names.map(() => '--key <value>').join(' ')}`] },
    );
}

/** What the words typed may be in the table: text that looks like a number may be either in a column without a type. */
function candidates(
  definitions: Definitions,
  { table, pages }: TableSide,
  key: readonly string[],
): Stored[][] {
  let found: Stored[][] = [[]];
  for (const [at, { column }] of table.key.entries()) {
    const text = key[at] ?? '';
    const affinity = table.columns[column]?.affinity ?? 'BLOB';
    const values: Stored[] = [definitions.typed(text, affinity)];
    if (affinity === 'BLOB') values.push(definitions.typed(text, 'NUMERIC'));
    if (affinity !== 'TEXT') values.push(new StoredText(encodeText(text, pages.encoding)));
    const bytes = /^x'((?:[0-9a-f]{2})*)'$/i.exec(text)?.[1];
    if (bytes !== undefined) values.push(Buffer.from(bytes, 'hex'));
    found = found.flatMap((before) => values.map((value) => [...before, value]));
  }
  return found;
}

async function valuesAt(
  side: TableSide,
  key: readonly Stored[],
  indexRoot: number | undefined,
): Promise<Stored[] | undefined> {
  const { table, pages, root } = side;
  if (table.rowid !== undefined) {
    const [rowid] = key;
    return typeof rowid === 'bigint' ? byRowid(side, narrow(rowid)) : undefined;
  }
  const order = orderOf(table.key, pages.encoding);
  if (order === undefined || (!table.withoutRowid && indexRoot === undefined)) return scan(side, key);
  const cell = await search(pages, table.withoutRowid ? root : (indexRoot as number), key, order);
  if (cell?.payload === undefined) return undefined;
  const record = await pages.whole(cell.payload);
  if (table.withoutRowid) return valuesOf(side, 0, record);
  const rowid = readRecord(record).at(-1);
  return typeof rowid === 'bigint' ? byRowid(side, narrow(rowid)) : undefined;
}

async function byRowid(side: TableSide, rowid: Integer): Promise<Stored[] | undefined> {
  const { pages } = side;
  let [page] = (await pages.btree([side.root])) as [BtreePage];
  for (let depth = 0; !page.isLeaf; depth++) {
    if (depth > 20) throw new RangeError('a tree is deeper than any');
    const at = firstCell(page, (cell) => cell.rowid >= rowid);
    [page] = (await pages.btree([at < page.count ? page.cell(at).child : page.right])) as [BtreePage];
  }
  const at = firstCell(page, (cell) => cell.rowid >= rowid);
  const cell = at < page.count ? page.cell(at) : undefined;
  if (cell?.payload === undefined || cell.rowid !== rowid) return undefined;
  return valuesOf(side, rowid, await pages.whole(cell.payload));
}

/** The first cell of a page for which a condition holds that, once true, stays true. */
function firstCell(page: BtreePage, holds: (cell: Cell) => boolean): number {
  let [low, high] = [0, page.count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(page.cell(middle))) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The cell of a key in an index tree. */
async function search(
  pages: Pages,
  root: number,
  key: readonly Stored[],
  order: Order,
): Promise<Cell | undefined> {
  let [page] = (await pages.btree([root])) as [BtreePage];
  for (let depth = 0; ; depth++) {
    if (depth > 20) throw new RangeError('a tree is deeper than any');
    let [low, high] = [0, page.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      const found = order(await keyAt(pages, page, middle, key.length), key);
      if (found === 0) return page.cell(middle);
      if (found > 0) high = middle;
      else low = middle + 1;
    }
    if (page.isLeaf) return undefined;
    [page] = (await pages.btree([low < page.count ? page.cell(low).child : page.right])) as [BtreePage];
  }
}

/** All rows, where the order of the index is one that only the application knows. */
async function scan(side: TableSide, key: readonly Stored[]): Promise<Stored[] | undefined> {
  const all = new ChangedPages(false);
  const { from } = side.table.withoutRowid
    ? await differingPages(side, undefined, all, await indexTree(side.pages, side.table.key, all))
    : await differingPages(side, undefined, all, rowidTree(all));
  const cursor = await RowCursor.open(side.pages, from);
  while (cursor.current !== undefined) {
    const values = valuesOf(side, cursor.current.rowid, await side.pages.whole(cursor.current.payload));
    if (side.table.key.every(({ column }, at) => sameStored(values[column] ?? null, key[at] ?? null)))
      return values;
    if (!cursor.step()) await cursor.fill();
  }
  return undefined;
}
