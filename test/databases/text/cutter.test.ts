import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineCutter, maxChunkSize } from '../../../src/databases/text/cutter.ts';

/** The chunks of a text that comes in parts of these sizes, over and over. */
function cut(text: Buffer, sizes: readonly number[] = [64 * 1024]): Buffer[] {
  const cutter = new LineCutter();
  const chunks: Buffer[] = [];
  for (let position = 0, turn = 0; position < text.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    chunks.push(...cutter.push(text.subarray(position, position + size)));
    position += size;
  }
  chunks.push(...cutter.end());
  return chunks;
}

const digest = (chunk: Buffer) => createHash('sha1').update(chunk).digest('hex');

/** Bytes that come out the same for a seed. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

/** Rows as in a dump: a key, and text of any length up to `width`. */
function rows(count: number, seed: number, width = 120): string[] {
  const next = numbers(seed);
  return Array.from({ length: count }, (_, key) => {
    const length = (next.next().value >>> 8) % width;
    return `${key}\t${next.next().value.toString(36).repeat(20).slice(0, length)}\t\\N\n`;
  });
}

describe('chunks of text', () => {
  it('are together the text, however it comes in, and the same chunks', () => {
    const line = fc.oneof(
      fc.string({ maxLength: 40 }).map((text) => `${text.replaceAll('\n', ' ')}\n`),
      fc
        .tuple(fc.integer({ min: 1, max: 3 * maxChunkSize }), fc.boolean())
        .map(([length, ends]) => 'x'.repeat(length) + (ends ? '\n' : '')),
      fc.integer({ min: 1, max: 20_000 }).map((count) => 'same line\n'.repeat(count)),
      fc.constantFrom('y'.repeat(maxChunkSize - 1) + '\n', 'z'.repeat(maxChunkSize) + '\n'),
    );
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 4 }),
        (lines, sizes) => {
          const text = Buffer.from(lines.join(''));
          const chunks = cut(text);
          expect(Buffer.concat(chunks).equals(text)).toBe(true);
          expect(cut(text, sizes).map(digest)).toEqual(chunks.map(digest));
          for (const [index, chunk] of chunks.entries()) {
            expect(chunk.length).toBeGreaterThan(0);
            expect(chunk.length).toBeLessThanOrEqual(maxChunkSize);
            if (index < chunks.length - 1 && chunk.length < maxChunkSize) expect(chunk.at(-1)).toBe(10);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('have 64 KiB on average', () => {
    const text = Buffer.from(rows(400_000, 1).join(''));
    const mean = text.length / cut(text).length;
    expect(mean).toBeGreaterThan(50 * 1024);
    expect(mean).toBeLessThan(80 * 1024);
  });

  it('of a line that was changed, added or removed are two at most; all others are as they were', () => {
    const seed = randomBytes(4).readUInt32BE();
    console.log(`seed ${seed}`);
    const lines = rows(60_000, seed);
    const before = new Set(cut(Buffer.from(lines.join(''))).map(digest));
    expect(before.size).toBeGreaterThan(30);
    const next = numbers(seed ^ 0x5bd1e995);
    const changed: number[] = [];
    for (let edit = 0; edit < 60; edit++) {
      const after = [...lines];
      const at = next.next().value % lines.length;
      const line = `${at}\t${next.next().value.toString(36)}\t\\N\n`;
      after.splice(at, edit % 3 === 2 ? 0 : 1, ...(edit % 3 === 1 ? [] : [line]));
      const chunks = cut(Buffer.from(after.join(''))).map(digest);
      changed.push(chunks.filter((chunk) => !before.has(chunk)).length);
    }
    // Only beside a chunk at the upper limit is it three: the one after it begins elsewhere then.
    expect(changed.filter((count) => count > 2).length).toBeLessThanOrEqual(3);
    expect(Math.max(...changed)).toBeLessThanOrEqual(3);
  });

  it('of equal lines are few', () => {
    const text = Buffer.from('0\tsame\n'.repeat(300_000));
    expect(cut(text).length).toBeLessThanOrEqual(Math.ceil(text.length / 2048));
    expect(new Set(cut(text).map(digest)).size).toBeLessThanOrEqual(2);
  });
});
