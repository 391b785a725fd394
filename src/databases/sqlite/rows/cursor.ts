import type { Payload } from '../format/btree.ts';
import type { Pages } from '../format/pages.ts';
import type { Integer } from '../format/record.ts';

export interface StoredRow {
  /** 0 for a table without rowids. */
  rowid: Integer;
  payload: Payload;
}

/** Pages read at once: up to 2 MiB of small ones. */
const batch = 64;

/** The rows on pages, one after the other. */
export class RowCursor {
  /** Undefined at the end. */
  current: StoredRow | undefined;
  readonly #pages: Pages | undefined;
  readonly #numbers: readonly number[];
  #at = 0;
  #rows: StoredRow[] = [];
  #row = 0;

  private constructor(pages: Pages | undefined, numbers: readonly number[]) {
    this.#pages = pages;
    this.#numbers = numbers;
  }

  static async open(pages: Pages | undefined, numbers: readonly number[]): Promise<RowCursor> {
    const cursor = new RowCursor(pages, numbers);
    await cursor.fill();
    return cursor;
  }

  /** Goes to the next row. False when `fill` has to be awaited first: a promise a row would be most of the time. */
  step(): boolean {
    this.current = this.#rows[++this.#row];
    return this.current !== undefined;
  }

  async fill(): Promise<void> {
    this.#rows = [];
    this.#row = 0;
    while (this.#rows.length === 0 && this.#pages !== undefined && this.#at < this.#numbers.length) {
      const part = this.#numbers.slice(this.#at, this.#at + batch);
      this.#at += part.length;
      for (const page of await this.#pages.btree(part))
        for (let cell = 0; cell < page.count; cell++) {
          const { rowid, payload } = page.cell(cell);
          if (payload !== undefined) this.#rows.push({ rowid, payload });
        }
    }
    this.current = this.#rows[0];
  }
}
