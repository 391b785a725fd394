import { PitrError } from '../../../errors.ts';
import { chunkSize } from '../../chunks.ts';
import type { Image } from '../../imageReader.ts';
import { pageSize } from '../header.ts';
import { BtreePage, type Payload } from './btree.ts';
import type { Encoding } from './text.ts';

/** The pages of a recorded database file, read from its chunks (https://www.sqlite.org/fileformat2.html, 1). */

const encodings: readonly (Encoding | undefined)[] = [undefined, 'utf8', 'utf16le', 'utf16be'];

export class Pages {
  readonly image: Image;
  readonly pageSize: number;
  /** Bytes of a page that hold something; the rest is reserved for extensions. */
  readonly usable: number;
  /** Pages are numbered from 1. */
  readonly count: number;
  readonly encoding: Encoding;
  /** Below 4, `DESC` of an index means nothing. */
  readonly schemaFormat: number;
  readonly #firstFree: number;
  readonly #autoVacuum: boolean;
  #free: Set<number> | undefined;

  private constructor(image: Image, header: Buffer) {
    this.image = image;
    this.pageSize = pageSize(header);
    this.usable = this.pageSize - header.readUInt8(20);
    this.count = Math.floor(image.bytes / this.pageSize);
    this.#firstFree = header.readUInt32BE(32);
    this.schemaFormat = header.readUInt32BE(44);
    this.#autoVacuum = header.readUInt32BE(52) !== 0;
    this.encoding = encodings[header.readUInt32BE(56)] ?? 'utf8';
    if (this.pageSize < 512 || chunkSize % this.pageSize !== 0 || this.usable < 480)
      throw new RangeError(`pages of ${this.pageSize} bytes`);
  }

  /** Undefined for an empty file, which is a database without tables. */
  static async open(image: Image): Promise<Pages | undefined> {
    if (image.bytes === 0) return undefined;
    const [first] = await image.chunks([0]);
    return new Pages(image, first as Buffer);
  }

  /** True when equal bytes mean equal content in both. */
  isLike(other: Pages): boolean {
    return (
      this.pageSize === other.pageSize &&
      this.usable === other.usable &&
      this.encoding === other.encoding &&
      this.#autoVacuum === other.#autoVacuum
    );
  }

  /** The content of pages in the order asked, in one batch. Error: RangeError for a page that is not there. */
  async read(numbers: readonly number[]): Promise<Buffer[]> {
    const perChunk = chunkSize / this.pageSize;
    const chunkOf = (number: number) => Math.floor((number - 1) / perChunk);
    const outside = numbers.find((number) => number < 1 || number > this.count);
    if (outside !== undefined) throw new RangeError(`page ${outside} of ${this.count}`);
    const wanted = [...new Set(numbers.map(chunkOf))];
    const chunks = await this.image.chunks(wanted);
    const found = new Map(wanted.map((chunk, at) => [chunk, chunks[at] as Buffer]));
    return numbers.map((number) => {
      const start = ((number - 1) % perChunk) * this.pageSize;
      return (found.get(chunkOf(number)) as Buffer).subarray(start, start + this.pageSize);
    });
  }

  async btree(numbers: readonly number[]): Promise<BtreePage[]> {
    const contents = await this.read(numbers);
    return numbers.map((number, at) => new BtreePage(contents[at] as Buffer, number, this.usable));
  }

  /** All of a record. */
  async whole({ size, local, overflow }: Payload): Promise<Buffer> {
    if (overflow === 0) return local;
    if (size > this.count * this.usable) throw new RangeError('a record is larger than its database');
    const parts = [local];
    let left = size - local.length;
    for (let next = overflow; left > 0; ) {
      const [page] = await this.read([next]);
      const part = (page as Buffer).subarray(4, Math.min(this.usable, left + 4));
      parts.push(part);
      left -= part.length;
      next = (page as Buffer).readUInt32BE(0);
    }
    return Buffer.concat(parts);
  }

  /** Pages that hold nothing. Their old content is still on them. */
  async free(): Promise<Set<number>> {
    if (this.#free !== undefined) return this.#free;
    const free = new Set<number>();
    for (let trunk = this.#firstFree; trunk !== 0; ) {
      if (free.has(trunk)) throw new RangeError('the list of free pages goes in circles');
      const [page] = (await this.read([trunk])) as [Buffer];
      free.add(trunk);
      const leaves = page.readUInt32BE(4);
      for (let leaf = 0; leaf < leaves; leaf++) free.add(page.readUInt32BE(8 + leaf * 4));
      trunk = page.readUInt32BE(0);
    }
    this.#free = free;
    return free;
  }

  /** Pages of SQLite's own bookkeeping: pointer maps, and the page at 1 GiB that locks are taken on. */
  isBookkeeping(number: number): boolean {
    if (number === lockPage(this.pageSize)) return true;
    if (!this.#autoVacuum || number < 2) return false;
    const group = Math.floor(this.usable / 5) + 1;
    const map = Math.floor((number - 2) / group) * group + 2;
    // Where the lock page is in the place of a map, the map comes right after it.
    return number === map + (map === lockPage(this.pageSize) ? 1 : 0);
  }
}

/** The page that begins at 1 GiB is never used (fileformat2.html, 1.4). */
function lockPage(size: number): number {
  return 2 ** 30 / size + 1;
}

/** Gives errors of reading a recorded file the meaning that they have for a person. */
export function damagedCopy(name: string, error: unknown): unknown {
  if (!(error instanceof RangeError)) return error;
  return new PitrError(
    'integrity',
    `A recorded copy of the database "${name}" is damaged: ${error.message}.`,
    {
      hints: ['git fsck --full tells whether the repository is whole.'],
      cause: error,
    },
  );
}
