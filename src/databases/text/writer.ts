import type { BytePath } from '../../git/paths.ts';
import { type HashedEntry, hashObject, hashTree } from '../../git/hash.ts';
import type { Repository } from '../../git/repository.ts';
import { GitFailure } from '../../git/run.ts';
import { listTree } from '../../git/trees.ts';
import { createHash } from '../../system/crypto.ts';
import { progressOf } from '../../system/progress.ts';
import { importTree, putContent } from '../chunkImport.ts';
import { ObjectChecker } from '../objects.ts';
import { cutLines } from './cutter.ts';
import { aboutFile, endsFolder, maxChunksPerFolder, numbered, textRoot } from './layout.ts';

/** Recording SQL text (`layout.ts`): streamed, cut by content, and only what the object store does not have written. */

/** A piece of the script. Its path is one of `layout.ts`; parts come in the order of their paths. */
export interface TextPart {
  path: BytePath;
  content: AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface WrittenText {
  /** The tree for `databases/<name>/`. */
  tree: string;
  /** Of the whole script, which is the contents of all parts in the order of their paths. */
  bytes: number;
  sha256: string;
  /** Chunks that were not in the object store. */
  chunksWritten: number;
}

export interface TextOptions {
  /** What `about.json` says: `engine`, and what its script cannot say. Nothing in it may change on its own. */
  about: Readonly<Record<string, unknown>> & { engine: string };
  /** Further trees of the copy: name -> oid. */
  beside?: Readonly<Record<string, string>>;
  /** The tree of an earlier copy: git need not be asked for what that holds. It decides only what is cheap. */
  previous?: string | undefined;
}

/** Chunks in flight between hashing and writing: 2 MiB on average. */
const window = 32;

/**
 * Records a script. Nothing refers to the result yet. Errors: those of the parts' contents, as they are.
 * Memory: the chunks in flight, and a line for each folder of chunks.
 */
export async function writeText(
  repository: Repository,
  parts: AsyncIterable<TextPart> | Iterable<TextPart>,
  { about, beside = {}, previous }: TextOptions,
): Promise<WrittenText> {
  const checker = new ObjectChecker(repository);
  const known = await chunksOf(repository, previous);
  const run = new TextRun(repository, (oid) => (known.has(oid) ? true : checker.has(oid)));
  async function* commands(): AsyncGenerator<Buffer | string> {
    yield* putContent(aboutFile, Buffer.from(`${JSON.stringify(about, undefined, 2)}\n`));
    for (const [name, tree] of Object.entries(beside)) yield `M 040000 ${tree} ${name}\n`;
    yield* run.commands(parts);
  }
  try {
    const tree = await importTree(repository, commands());
    return { tree, bytes: run.bytes, sha256: run.hash.digest('hex'), chunksWritten: run.written };
  } finally {
    checker.close();
  }
}

/** More are asked for one by one: 100,000 chunks are 6 GiB. */
const maxKnown = 100_000;

async function chunksOf(repository: Repository, tree: string | undefined): Promise<Set<string>> {
  const known = new Set<string>();
  if (tree === undefined) return known;
  try {
    for await (const { oid } of listTree(repository, tree, {
      recursive: true,
      sizes: false,
      paths: [`${textRoot}/`],
    })) {
      known.add(oid);
      if (known.size === maxKnown) break;
    }
  } catch (error) {
    // What is not there (any more) is no help, and nothing to fail for.
    if (!(error instanceof GitFailure)) throw error;
    known.clear();
  }
  return known;
}

interface Chunk {
  folder: BytePath;
  name: string;
  oid: string;
  content: Buffer;
  known: boolean | Promise<boolean>;
  /** It is the last one of its folder. */
  last: boolean;
}

/** A folder of chunks as far as it was settled. */
interface Folder {
  path: BytePath;
  entries: HashedEntry[];
  /** Of how many entries the commands are given. */
  given: number;
}

class TextRun {
  bytes = 0;
  written = 0;
  readonly hash = createHash('sha256');
  readonly #repository: Repository;
  readonly #has: (oid: string) => boolean | Promise<boolean>;
  readonly #waiting: Chunk[] = [];
  #folder: Folder = { path: '', entries: [], given: 0 };

  /** @param has tells whether the object store has an object */
  constructor(repository: Repository, has: (oid: string) => boolean | Promise<boolean>) {
    this.#repository = repository;
    this.#has = has;
  }

  async *commands(parts: AsyncIterable<TextPart> | Iterable<TextPart>): AsyncGenerator<Buffer | string> {
    let before = '';
    for await (const { path, content } of parts) {
      // Else what the hash is of is not what a reader reads.
      if (path <= before) throw new Error(`the part ${path} does not come after ${before}`);
      before = path;
      for await (const chunk of this.#chunks(path, content)) {
        this.#waiting.push(chunk);
        if (this.#waiting.length >= window) yield* this.#settle();
      }
    }
    while (this.#waiting.length > 0) yield* this.#settle();
  }

  /** The chunks of a part, named; one is held back until it is known whether it is the last. */
  async *#chunks(part: BytePath, content: TextPart['content']): AsyncGenerator<Chunk> {
    const progress = progressOf(this.#repository);
    let folder = 0;
    let index = 0;
    let held: Chunk | undefined;
    for await (const piece of cutLines(content)) {
      if (held !== undefined) yield held;
      this.hash.update(piece);
      this.bytes += piece.length;
      progress?.advance({ bytes: piece.length });
      const oid = hashObject(this.#repository, 'blob', piece);
      const last = endsFolder(oid) || index + 1 === maxChunksPerFolder;
      held = {
        folder: `${part}/${numbered(folder)}`,
        name: numbered(index),
        oid,
        content: piece,
        known: this.#has(oid),
        last,
      };
      index = last ? 0 : index + 1;
      if (last) folder++;
    }
    if (held !== undefined) yield { ...held, last: true };
  }

  /** The commands for the chunk that has waited longest. */
  async *#settle(): AsyncGenerator<Buffer | string> {
    const { folder: path, name, oid, content, known, last } = this.#waiting.shift() as Chunk;
    if (this.#folder.path !== path) this.#folder = { path, entries: [], given: 0 };
    const folder = this.#folder;
    folder.entries.push({ name, mode: '100644', oid });
    if (!(await known)) {
      // The ones before it that are known come first: a folder is given by its tree, or entry by entry.
      yield* given(folder, folder.entries.length - 1);
      this.written++;
      yield* putContent(`${path}/${name}`, content);
      folder.given = folder.entries.length;
    }
    if (!last) return;
    const tree = folder.given === 0 ? hashTree(this.#repository, folder.entries) : '';
    if (tree !== '' && (await this.#has(tree))) yield `M 040000 ${tree} ${path}\n`;
    else yield* given(folder, folder.entries.length);
  }
}

/** The commands for the entries of a folder up to `count`, but for those that are given already. */
function* given(folder: Folder, count: number): Generator<string> {
  for (const { oid, name } of folder.entries.slice(folder.given, count))
    yield `M 100644 ${oid} ${folder.path}/${name}\n`;
  folder.given = count;
}
