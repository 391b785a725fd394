import { chunkSize } from '../../chunks.ts';
import { BtreePage, looksLikeBtree } from '../format/btree.ts';
import type { Pages } from '../format/pages.ts';

/** Chunks that are looked through at once. */
const step = 8;

/**
 * The b-tree pages whose records the given overflow pages belong to. An overflow page does not say whose it is, so
 * the pages that refer to it are searched, nearest first: a record is written in one go, and its pages lie together.
 */
export async function ownersOf(pages: Pages, overflow: readonly number[]): Promise<Set<number>> {
  const owners = new Set<number>();
  const references = new References(pages);
  const seen = new Set(overflow);
  const waiting = [...overflow];
  for (let number = waiting.pop(); number !== undefined; number = waiting.pop()) {
    const referrer = await references.to(number);
    if (referrer === undefined) continue; // nobody's: it holds no row
    if (referrer.isBtree) owners.add(referrer.number);
    else if (!seen.has(referrer.number)) {
      seen.add(referrer.number);
      waiting.push(referrer.number);
    }
  }
  return owners;
}

interface Referrer {
  number: number;
  isBtree: boolean;
}

/** Who refers to an overflow page: the cell of a b-tree page, or the overflow page before it. */
class References {
  readonly #pages: Pages;
  readonly #found = new Map<number, Referrer>();
  readonly #searched = new Set<number>();

  constructor(pages: Pages) {
    this.#pages = pages;
  }

  async to(number: number): Promise<Referrer | undefined> {
    const { pageSize, image } = this.#pages;
    const middle = Math.floor(((number - 1) * pageSize) / chunkSize);
    for (let distance = 0; distance < image.chunkCount; distance += distance === 0 ? 1 : step) {
      const known = this.#found.get(number);
      if (known !== undefined) return known;
      const width = distance === 0 ? 1 : step;
      const near = Array.from({ length: width }, (_, at) => [middle - distance - at, middle + distance + at]);
      const chunks = [...new Set(near.flat())].filter(
        (chunk) => chunk >= 0 && chunk < image.chunkCount && !this.#searched.has(chunk),
      );
      await this.#search(chunks);
    }
    return this.#found.get(number);
  }

  async #search(chunks: readonly number[]): Promise<void> {
    const pages = this.#pages;
    const free = await pages.free();
    const contents = await pages.image.chunks(chunks);
    for (const [at, chunk] of chunks.entries()) {
      this.#searched.add(chunk);
      const content = contents[at] as Buffer;
      for (let start = 0; start + pages.pageSize <= content.length; start += pages.pageSize) {
        const number = (chunk * chunkSize + start) / pages.pageSize + 1;
        if (free.has(number) || pages.isBookkeeping(number)) continue;
        this.#note(content.subarray(start, start + pages.pageSize), number);
      }
    }
  }

  #note(bytes: Buffer, number: number): void {
    if (!looksLikeBtree(bytes, number)) {
      const next = bytes.readUInt32BE(0);
      if (next !== 0) this.#found.set(next, { number, isBtree: false });
      return;
    }
    const page = new BtreePage(bytes, number, this.#pages.usable);
    for (let at = 0; at < page.count; at++) {
      const overflow = page.cell(at).payload?.overflow ?? 0;
      if (overflow !== 0) this.#found.set(overflow, { number, isBtree: true });
    }
  }
}
