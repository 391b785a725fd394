import { Cursor, type Integer } from './record.ts';

/** Pages of b-trees (https://www.sqlite.org/fileformat2.html, 1.6). */

export const pageTypes = { indexInterior: 2, tableInterior: 5, indexLeaf: 10, tableLeaf: 13 } as const;

function isBtreePage(type: number): boolean {
  return type === 2 || type === 5 || type === 10 || type === 13;
}

/**
 * What is no pointer map, is not free and begins like this is a page of a b-tree: an overflow page begins with a page
 * number, whose first byte would mean more than 33 million pages.
 */
export function looksLikeBtree(bytes: Buffer, number: number): boolean {
  return isBtreePage(bytes.readUInt8(number === 1 ? 100 : 0));
}

/** What of a record is on the page itself; the rest is in a chain of overflow pages. */
export interface Payload {
  size: number;
  local: Buffer;
  /** The first page of the chain; 0 where all is local. */
  overflow: number;
}

export interface Cell {
  /** Of interior pages: the child with smaller keys. */
  child: number;
  /** Of table trees. */
  rowid: Integer;
  /** Not in the interior of a table tree. */
  payload: Payload | undefined;
}

export class BtreePage {
  readonly number: number;
  readonly type: number;
  readonly count: number;
  /** The child with the largest keys; 0 for a leaf. */
  readonly right: number;
  readonly #bytes: Buffer;
  readonly #pointers: number;
  readonly #usable: number;

  /** Error: RangeError for what is no page of a b-tree. */
  constructor(bytes: Buffer, number: number, usable: number) {
    const start = number === 1 ? 100 : 0;
    this.number = number;
    this.type = bytes.readUInt8(start);
    if (!isBtreePage(this.type)) throw new RangeError(`page ${number} is not a page of a b-tree`);
    this.count = bytes.readUInt16BE(start + 3);
    this.right = this.isLeaf ? 0 : bytes.readUInt32BE(start + 8);
    this.#bytes = bytes;
    this.#pointers = start + (this.isLeaf ? 8 : 12);
    this.#usable = usable;
    if (this.#pointers + this.count * 2 > usable) throw new RangeError(`page ${number} has too many cells`);
  }

  get isLeaf(): boolean {
    return this.type >= pageTypes.indexLeaf;
  }

  get ofTable(): boolean {
    return this.type === pageTypes.tableInterior || this.type === pageTypes.tableLeaf;
  }

  cell(index: number): Cell {
    const cursor = new Cursor(this.#bytes, this.#bytes.readUInt16BE(this.#pointers + index * 2));
    let child = 0;
    if (!this.isLeaf) {
      child = this.#bytes.readUInt32BE(cursor.at);
      cursor.at += 4;
    }
    if (this.type === pageTypes.tableInterior) return { child, rowid: cursor.varint(), payload: undefined };
    const size = Number(cursor.varint());
    const rowid = this.ofTable ? cursor.varint() : 0;
    return { child, rowid, payload: this.#payload(cursor.at, size) };
  }

  #payload(at: number, size: number): Payload {
    const length = localLength(size, this.#usable, this.ofTable);
    if (size < 0 || at + length > this.#usable)
      throw new RangeError(`page ${this.number} has a cell outside`);
    const local = this.#bytes.subarray(at, at + length);
    return { size, local, overflow: length === size ? 0 : this.#bytes.readUInt32BE(at + length) };
  }
}

function localLength(size: number, usable: number, ofTable: boolean): number {
  const most = ofTable ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23;
  if (size <= most) return size;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((size - least) % (usable - 4));
  return fitting <= most ? fitting : least;
}
