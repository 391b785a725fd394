/** Takes lines and exact numbers of bytes from the output of a process. */
export class ByteSource {
  readonly #parts: AsyncIterator<Buffer>;
  readonly #cutOff: () => Promise<Error>;
  #buffer: Buffer = Buffer.alloc(0);

  /** @param cutOff the error for an output that ends too early */
  constructor(stream: AsyncIterable<Buffer>, cutOff: () => Promise<Error>) {
    this.#parts = stream[Symbol.asyncIterator]();
    this.#cutOff = cutOff;
  }

  /** The next line without its end; undefined at the end of the stream. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#buffer.indexOf(10);
      if (end !== -1) {
        const text = this.#buffer.toString('latin1', 0, end);
        this.#buffer = this.#buffer.subarray(end + 1);
        return text;
      }
      if (!(await this.#more())) {
        if (this.#buffer.length > 0) throw await this.#cutOff();
        return undefined;
      }
    }
  }

  async bytes(length: number): Promise<Buffer> {
    if (this.#buffer.length < length) await this.#fill(length);
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  /** So many bytes in the pieces in which they come: none of a large object is held. */
  async *pieces(length: number): AsyncGenerator<Buffer, undefined> {
    for (let left = length; left > 0; ) {
      if (this.#buffer.length === 0 && !(await this.#more())) throw await this.#cutOff();
      const piece = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
    return undefined;
  }

  /** Gathers parts and joins them once: a chunk comes in several, and joining each time would be quadratic. */
  async #fill(length: number): Promise<void> {
    const parts = [this.#buffer];
    let have = this.#buffer.length;
    while (have < length) {
      const next = await this.#parts.next();
      if (next.done === true) throw await this.#cutOff();
      parts.push(next.value);
      have += next.value.length;
    }
    this.#buffer = Buffer.concat(parts);
  }

  async #more(): Promise<boolean> {
    const next = await this.#parts.next();
    if (next.done === true) return false;
    this.#buffer = this.#buffer.length === 0 ? next.value : Buffer.concat([this.#buffer, next.value]);
    return true;
  }
}
