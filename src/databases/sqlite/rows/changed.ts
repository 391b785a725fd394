import { chunkSize } from '../../chunks.ts';
import { BtreePage, looksLikeBtree } from '../format/btree.ts';
import type { Pages } from '../format/pages.ts';
import type { Integer } from '../format/record.ts';
import { ownersOf } from './overflow.ts';

/** Which pages of two recorded databases differ: all that a comparison has to look at is on them. */

export class ChangedPages {
  /** False where equal bytes would not mean equal content (another page size, say): then every page counts as changed. */
  readonly comparable: boolean;
  /** A rowid from each changed page of a table tree of `from`, ascending: below which pages something changed. */
  readonly rowids: Integer[] = [];
  /** The changed pages of index trees of `from`. */
  readonly indexPages: number[] = [];
  /** True when an overflow page changed that a page may refer to which did not. */
  overflows = false;
  readonly #numbers = new Set<number>();

  constructor(comparable: boolean) {
    this.comparable = comparable;
  }

  has(number: number): boolean {
    return !this.comparable || this.#numbers.has(number);
  }

  /** @param before the page in `from`, where it is a page of a b-tree there */
  add(number: number, before?: BtreePage): void {
    if (this.#numbers.has(number)) return;
    this.#numbers.add(number);
    if (before === undefined || before.count === 0) return;
    if (before.ofTable) this.rowids.push(before.cell(0).rowid);
    else this.indexPages.push(number);
  }
}

/** Finds the pages that differ by reading the chunks that do. */
export async function changedPages(from: Pages | undefined, to: Pages | undefined): Promise<ChangedPages> {
  if (from === undefined || to === undefined || !from.isLike(to)) return new ChangedPages(false);
  const changed = new ChangedPages(true);
  const loose: number[] = [];
  const chunks = await from.image.differing(to.image);
  for (let start = 0; start < chunks.length; start += 64) {
    const part = chunks.slice(start, start + 64);
    const [before, after] = [await contents(from, part), await contents(to, part)];
    for (const [at, chunk] of part.entries())
      comparePages(from, chunk, before[at], after[at], changed, loose);
  }
  if (loose.length > 0) await addOwners(from, loose, changed);
  changed.rowids.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return changed;
}

async function contents(pages: Pages, chunks: readonly number[]): Promise<(Buffer | undefined)[]> {
  const there = chunks.filter((chunk) => chunk < pages.image.chunkCount);
  const found = await pages.image.chunks(there);
  return chunks.map((_, at) => found[at]);
}

/** @param loose gets pages of `from` that may be overflow pages */
function comparePages(
  from: Pages,
  chunk: number,
  before: Buffer | undefined,
  after: Buffer | undefined,
  changed: ChangedPages,
  loose: number[],
): void {
  const size = from.pageSize;
  for (let start = 0; start < chunkSize; start += size) {
    const number = (chunk * chunkSize + start) / size + 1;
    const [a, b] = [pageAt(before, start, size), pageAt(after, start, size)];
    if (a === undefined && b === undefined) return;
    if (a !== undefined && b !== undefined && a.equals(b)) continue;
    if (a === undefined || from.isBookkeeping(number)) {
      changed.add(number);
    } else if (looksLikeBtree(a, number)) {
      changed.add(number, btreeOf(a, number, from.usable));
    } else {
      changed.add(number);
      loose.push(number);
    }
  }
}

function pageAt(chunk: Buffer | undefined, start: number, size: number): Buffer | undefined {
  return chunk === undefined || start + size > chunk.length ? undefined : chunk.subarray(start, start + size);
}

/** A free page may hold a rest of anything. */
function btreeOf(bytes: Buffer, number: number, usable: number): BtreePage | undefined {
  try {
    const page = new BtreePage(bytes, number, usable);
    if (page.count > 0) page.cell(0);
    return page;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** A row whose overflow page changed, on a page that did not: that page counts as changed too. */
async function addOwners(from: Pages, loose: readonly number[], changed: ChangedPages): Promise<void> {
  const free = await from.free();
  const overflow = loose.filter((number) => !free.has(number));
  changed.overflows = overflow.length > 0;
  for (const owner of await ownersOf(from, overflow)) {
    const [page] = await from.btree([owner]);
    changed.add(owner, page);
  }
}
