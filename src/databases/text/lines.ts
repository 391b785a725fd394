import type { BytePath } from '../../git/paths.ts';
import type { Repository } from '../../git/repository.ts';
import { createHash } from '../../system/crypto.ts';
import { ObjectReader } from '../objects.ts';
import { maxChunkSize } from './cutter.ts';
import { listChunks, type ListedChunk } from './reader.ts';

/** The lines in which two copies of a part differ: only chunks that differ are read. */

export interface DifferentLine {
  side: 'from' | 'to';
  /** Without its line end. */
  line: Buffer;
}

/** A part of a copy: the tree for `databases/<name>/`, and the part in it. */
export interface PartOfTree {
  tree: string;
  part: BytePath;
}

/**
 * The lines that one copy has and the other has not, counted where they come more than once: first those of `from`,
 * then those of `to`, each in their order. An undefined side has no lines.
 * Memory and time: the chunks that differ.
 */
export async function* differentLines(
  repository: Repository,
  from: PartOfTree | undefined,
  to: PartOfTree | undefined,
): AsyncGenerator<DifferentLine> {
  const [fromUnits, toUnits] = [await unitsOf(repository, from), await unitsOf(repository, to)];
  const onlyFrom = without(fromUnits, toUnits);
  const onlyTo = without(toUnits, fromUnits);
  const surplus = new Map<string, number>();
  const before: string[] = [];
  for await (const line of linesOf(repository, onlyFrom)) {
    before.push(line);
    surplus.set(line, (surplus.get(line) ?? 0) + 1);
  }
  const after: string[] = [];
  for await (const line of linesOf(repository, onlyTo)) {
    const count = surplus.get(line) ?? 0;
    if (count === 0) after.push(line);
    else surplus.set(line, count - 1);
  }
  for (const line of before) {
    const count = surplus.get(line) ?? 0;
    if (count === 0) continue;
    surplus.set(line, count - 1);
    yield { side: 'from', line: Buffer.from(line, 'latin1') };
  }
  for (const line of after) yield { side: 'to', line: Buffer.from(line, 'latin1') };
}

/**
 * True when two copies of a part have the same lines, each as often, in whatever order. Memory: none worth naming,
 * where `differentLines` holds what differs: without a key, a restored table may have all its rows in another order.
 * Compared are sums of the lines' hashes, 160 bits each.
 */
export async function sameLines(repository: Repository, a: PartOfTree, b: PartOfTree): Promise<boolean> {
  const [first, second] = [await unitsOf(repository, a), await unitsOf(repository, b)];
  const sums = [
    await sumOf(linesOf(repository, without(first, second))),
    await sumOf(linesOf(repository, without(second, first))),
  ];
  return sums[0]?.join() === sums[1]?.join();
}

/** How many lines, and the sum of their SHA-1 in five lanes of 32 bits. */
async function sumOf(lines: AsyncIterable<string>): Promise<number[]> {
  const lanes = new Uint32Array(5);
  let count = 0;
  for await (const line of lines) {
    const hash = createHash('sha1').update(line, 'latin1').digest();
    for (let lane = 0; lane < 5; lane++) lanes[lane] = (lanes[lane] as number) + hash.readUInt32BE(lane * 4);
    count++;
  }
  return [count, ...lanes];
}

/** Chunks that hold whole lines together: a chunk of the largest size may end in the middle of one. */
type Unit = readonly string[];

async function unitsOf(repository: Repository, part: PartOfTree | undefined): Promise<Unit[]> {
  if (part === undefined) return [];
  const units: string[][] = [];
  let open: string[] | undefined;
  for await (const chunk of listChunks(repository, part.tree, [part.part])) {
    if (open === undefined) units.push((open = []));
    open.push(chunk.oid);
    if (endsLine(chunk)) open = undefined;
  }
  return units;
}

function endsLine({ size }: ListedChunk): boolean {
  return size < maxChunkSize;
}

/** The units that are in `units` and not in `others`, counted. */
function without(units: readonly Unit[], others: readonly Unit[]): Unit[] {
  const there = new Map<string, number>();
  for (const unit of others) there.set(unit.join(), (there.get(unit.join()) ?? 0) + 1);
  return units.filter((unit) => {
    const count = there.get(unit.join()) ?? 0;
    if (count > 0) there.set(unit.join(), count - 1);
    return count === 0;
  });
}

/** The lines of units, as latin1 text (one character a byte): text is what a Map tells apart. */
async function* linesOf(repository: Repository, units: readonly Unit[]): AsyncGenerator<string> {
  if (units.length === 0) return;
  async function* oids(): AsyncGenerator<string> {
    for (const unit of units) yield* unit;
  }
  yield* splitLines(contents(new ObjectReader(repository, oids())));
}

async function* contents(reader: ObjectReader): AsyncGenerator<Buffer> {
  for await (const { content } of reader.objects(maxChunkSize)) yield content;
}

/** The lines of a text without their ends, as latin1 text. A last line without an end is one too. */
export async function* splitLines(text: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: string[] = [];
  for await (const part of text) {
    const lines = part.toString('latin1').split('\n');
    const last = lines.pop() as string;
    if (lines.length > 0) {
      lines[0] = rest.join('') + (lines[0] as string);
      rest = [];
    }
    yield* lines;
    if (last !== '') rest.push(last);
  }
  if (rest.length > 0) yield rest.join('');
}
