/**
 * Cuts text into chunks where its content says so, always at line ends: a changed row changes its own chunk, and an
 * inserted one moves no boundary but its own.
 *
 * Whether a chunk ends with a line depends on that line alone: on a hash of it (FNV-1a, mixed as MurmurHash3 does at
 * its end), weighed by its length. FastCDC's rolling window would look at several lines, and its minimum of a quarter
 * of the mean lets one moved boundary move the next ones too. Here both have hardly any say, so that a changed line
 * changes two chunks at most, but for chunks at the upper limit (1.8 % of them).
 */

/** What chunks have on average, in bytes. */
const meanSize = 64 * 1024;
/** No chunk has more. Shorter ones end with a line end, or are the last. */
export const maxChunkSize = 256 * 1024;
/** A chunk has at least this unless the next line does not fit: else a million equal lines could be a million chunks. */
const minSize = 2 * 1024;

/** A hash below `length * weight` ends a chunk: on average every `meanSize` bytes. */
const weight = 2 ** 32 / meanSize;
const hashStart = 0x811c9dc5;

/**
 * The chunks of a text, in order; together they are the text. A line that is longer than `maxChunkSize` begins a chunk,
 * is cut at that size, and ends one. Memory: two chunks.
 */
export async function* cutLines(text: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer> {
  const cutter = new LineCutter();
  for await (const part of text) yield* cutter.push(part);
  yield* cutter.end();
}

export class LineCutter {
  #buffer = Buffer.allocUnsafeSlow(maxChunkSize);
  /** Bytes in the buffer. */
  #filled = 0;
  /** Where the line that has not ended yet begins in the buffer. */
  #lineStart = 0;
  #hash = hashStart;
  /** The line that has not ended yet is longer than a chunk. */
  #long = false;

  /** The chunks that are complete with this part of the text. They are the caller's to keep. */
  *push(part: Buffer): Generator<Buffer> {
    for (let position = 0; position < part.length; ) {
      if (this.#filled === maxChunkSize) yield this.#cutFull();
      // As much as fits: the loop over the bytes then has no limit to look at.
      const end = Math.min(part.length, position + maxChunkSize - this.#filled);
      const lineEnd = this.#lineEnd(part, position, end);
      const taken = lineEnd === -1 ? end : lineEnd + 1;
      part.copy(this.#buffer, this.#filled, position, taken);
      this.#filled += taken - position;
      position = taken;
      if (lineEnd !== -1) yield this.#take(this.#filled);
    }
  }

  /** What is left: the last chunk, if there is one. */
  *end(): Generator<Buffer> {
    if (this.#filled > 0) yield this.#take(this.#filled);
  }

  /** The index of the first line end that is also the end of a chunk, or -1. */
  #lineEnd(part: Buffer, start: number, end: number): number {
    let hash = this.#hash;
    const offset = this.#filled - start;
    for (let index = start; index < end; index++) {
      const byte = part[index] as number;
      hash = Math.imul(hash ^ byte, 0x01000193);
      if (byte !== 10) continue;
      const size = index + 1 + offset;
      const length = size - this.#lineStart;
      if (this.#long || (size >= minSize && mix(hash) < length * weight)) {
        this.#hash = hashStart;
        return index;
      }
      hash = hashStart;
      this.#lineStart = size;
    }
    this.#hash = hash;
    return -1;
  }

  /** The buffer is full: cut at the last line end, or where it is, in the middle of a long line. */
  #cutFull(): Buffer {
    if (this.#lineStart > 0) return this.#take(this.#lineStart);
    const chunk = this.#take(maxChunkSize);
    this.#long = true;
    return chunk;
  }

  #take(size: number): Buffer {
    const chunk = Buffer.from(this.#buffer.subarray(0, size));
    this.#buffer.copyWithin(0, size, this.#filled);
    this.#filled -= size;
    this.#lineStart = 0;
    this.#long = false;
    return chunk;
  }
}

/** MurmurHash3's last step: every bit has a say in every other. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
