/**
 * Cuts text into chunks where its content says so, always at line ends: a changed row changes its own chunk, and an
 * inserted one moves no boundary but its own.
 *
 * Whether a chunk ends with a line depends on that line alone: on a hash of it, weighed by its length. FastCDC's
 * rolling window would look at several lines, and its minimum of a quarter of the mean lets one moved boundary move
 * the next ones too. Here both have hardly any say, so that a changed line changes two chunks at most, but for chunks
 * at the upper limit (1.8 % of them).
 */

/** What chunks have on average, in bytes. */
const meanSize = 64 * 1024;
/** No chunk has more. Shorter ones end with a line end, or are the last. */
export const maxChunkSize = 256 * 1024;
/** A chunk has at least this unless the next line does not fit: else a million equal lines could be a million chunks. */
const minSize = 2 * 1024;

/** A hash below `length * weight` ends a chunk: on average every `meanSize` bytes. */
const weight = 2 ** 32 / meanSize;
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
  readonly #buffer = Buffer.allocUnsafeSlow(4 * maxChunkSize);
  readonly #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
  /** Where the chunk begins in the buffer, where the line that has not ended yet, and where the text ends. */
  #chunkStart = 0;
  #lineStart = 0;
  #filled = 0;
  /** Up to here there is no line end after `#lineStart`. */
  #searched = 0;
  /** The line that has not ended yet is longer than a chunk. */
  #long = false;

  /** The chunks that are complete with this part of the text. They are the caller's to keep. */
  *push(part: Buffer): Generator<Buffer> {
    for (let position = 0; position < part.length; ) {
      if (this.#filled === this.#buffer.length) this.#moveToFront();
      const taken = part.copy(this.#buffer, this.#filled, position);
      this.#filled += taken;
      position += taken;
      for (let end = this.#chunkEnd(); end !== -1; end = this.#chunkEnd()) yield this.#take(end);
    }
  }

  /** What is left: the last chunk, if there is one. */
  *end(): Generator<Buffer> {
    if (this.#filled > this.#chunkStart) yield this.#take(this.#filled);
  }

  /** Where the chunk ends, or -1 when that is not known yet. */
  #chunkEnd(): number {
    const limit = this.#chunkStart + maxChunkSize;
    const text = this.#buffer.subarray(0, Math.min(this.#filled, limit));
    for (;;) {
      const lineEnd = text.indexOf(10, this.#searched);
      if (lineEnd === -1) break;
      const [start, end] = [this.#lineStart, lineEnd + 1];
      this.#lineStart = end;
      this.#searched = end;
      if (this.#long) return end;
      const isLong = end - this.#chunkStart >= minSize;
      if (isLong && hashLine(this.#view, start, end) < (end - start) * weight) return end;
    }
    this.#searched = text.length;
    if (text.length < limit) return -1;
    // It is full: cut at the last line end, or where it is, in the middle of a long line.
    if (this.#lineStart > this.#chunkStart) return this.#lineStart;
    this.#long = true;
    this.#lineStart = limit;
    return limit;
  }

  #take(end: number): Buffer {
    const chunk = Buffer.from(this.#buffer.subarray(this.#chunkStart, end));
    if (end === this.#lineStart && chunk.at(-1) === 10) this.#long = false;
    this.#chunkStart = end;
    return chunk;
  }

  #moveToFront(): void {
    const by = this.#chunkStart;
    this.#buffer.copyWithin(0, by, this.#filled);
    this.#chunkStart = 0;
    this.#lineStart -= by;
    this.#searched -= by;
    this.#filled -= by;
  }
}

/** Of longer lines, these many bytes at the beginning and the end are hashed, and a few words between. */
const whole = 128;
const [atBeginning, atEnd, between] = [64, 16, 12];

/**
 * A hash of a line, from 0 to 2^32. It reads words (a multiplication and a rotation each, mixed as MurmurHash3 does at
 * its end), and of a long line only some: all bytes of 200 MB, one by one, take 1.1 s, this takes 0.1. Lines that differ
 * only where it does not look end chunks alike, as equal lines do.
 */
function hashLine(text: DataView, start: number, end: number): number {
  let hash = end - start;
  if (hash <= whole) return mix(hashBytes(text, start, end, hash));
  hash = hashBytes(text, start, start + atBeginning, hash);
  const step = Math.floor((end - start - atBeginning - atEnd) / between);
  for (let at = start + atBeginning, word = 0; word < between; word++, at += step)
    hash = addWord(hash, text.getInt32(at, true));
  return mix(hashBytes(text, end - atEnd, end, hash));
}

function hashBytes(text: DataView, start: number, end: number, seed: number): number {
  let hash = seed;
  let at = start;
  for (; at + 4 <= end; at += 4) hash = addWord(hash, text.getInt32(at, true));
  for (; at < end; at++) hash = addWord(hash, text.getUint8(at));
  return hash;
}

function addWord(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x01000193);
  return (product << 13) | (product >>> 19);
}

/** MurmurHash3's last step: every bit has a say in every other. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
