import { createHash } from '../system/crypto.ts';
import { type FileHandle, open } from 'node:fs/promises';
import { hashObject } from '../git/hash.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure } from '../git/run.ts';
import { type ListedEntry, listTree, resolveTree } from '../git/trees.ts';
import { importTree, putContent } from './chunkImport.ts';
import { chunkIndex, chunkPath, chunksPerFolder, fileChunks } from './chunks.ts';
import { progressOf } from '../system/progress.ts';
import { ObjectChecker } from './objects.ts';

/** Recording a file as an image (`chunks.ts`): what did not change is neither hashed by git nor written. */

/** Changed chunks in flight between hashing and writing: 2 MiB. */
const window = 32;

export interface WrittenImage {
  /** The tree for `databases/<name>/`. */
  tree: string;
  bytes: number;
  /** Hash of the whole content. */
  sha256: string;
  /** Chunks that were not in the object store. */
  chunksWritten: number;
}

/**
 * Records a file, which must not change meanwhile. Reads it once; writes only chunks that differ from `previous` and
 * are not in the object store. Nothing refers to the result yet.
 * @param previous the tree of `databases/<name>/` of an earlier snapshot; it decides only what is cheap
 */
export async function writeImage(
  repository: Repository,
  file: string,
  previous: string | undefined,
): Promise<WrittenImage> {
  try {
    return await writeChanges(repository, file, previous);
  } catch (error) {
    if (!(error instanceof NotAnImage)) throw error;
    return writeChanges(repository, file, undefined);
  }
}

/** The previous tree is none that this module wrote: a fetched snapshot may hold anything. */
class NotAnImage extends Error {}

async function writeChanges(
  repository: Repository,
  file: string,
  previous: string | undefined,
): Promise<WrittenImage> {
  const handle = await open(file, 'r');
  const checker = new ObjectChecker(repository);
  const scan = new ImageScan(repository, handle, previous, checker);
  try {
    const changes = scan.changes();
    const first = await changes.next();
    const tree =
      first.done === true && previous !== undefined && !scan.shrunk
        ? previous
        : await importChanges(repository, previous, scan, first, changes);
    return { tree, bytes: scan.bytes, sha256: scan.sha256(), chunksWritten: scan.written };
  } finally {
    checker.close();
    await handle.close();
  }
}

interface ChangedChunk {
  path: string;
  oid: string;
  /** Missing when the object store has it already. */
  content?: Buffer;
}

/** One pass over a file beside the chunk list of the previous image. */
class ImageScan {
  bytes = 0;
  written = 0;
  /** True when the previous image had more chunks; `superfluous` are those. */
  shrunk = false;
  superfluous: string[] = [];
  readonly #repository: Repository;
  readonly #handle: FileHandle;
  readonly #previous: AsyncIterator<ListedEntry>;
  readonly #checker: ObjectChecker;
  readonly #hash = createHash('sha256');
  #digest = '';

  constructor(
    repository: Repository,
    handle: FileHandle,
    previous: string | undefined,
    checker: ObjectChecker,
  ) {
    this.#repository = repository;
    this.#handle = handle;
    this.#previous = chunksOf(repository, previous);
    this.#checker = checker;
  }

  async *changes(): AsyncGenerator<ChangedChunk> {
    const waiting: { path: string; oid: string; content: Buffer; known: Promise<boolean> }[] = [];
    const settle = async (): Promise<ChangedChunk> => {
      const { path, oid, content, known } = waiting.shift() as (typeof waiting)[number];
      if (await known) return { path, oid };
      this.written++;
      return { path, oid, content };
    };
    let before = await this.#previous.next();
    let index = 0;
    const progress = progressOf(this.#repository);
    for await (const content of fileChunks(this.#handle)) {
      progress?.advance({ bytes: content.length });
      const path = chunkPath(index++);
      this.#hash.update(content);
      this.bytes += content.length;
      const oid = hashObject(this.#repository, 'blob', content);
      const same = before.done === true ? undefined : before.value.oid;
      if (before.done !== true) before = await this.#previous.next();
      if (same === oid) continue;
      waiting.push({ path, oid, content: Buffer.from(content), known: this.#checker.has(oid) });
      if (waiting.length >= window) yield await settle();
    }
    while (waiting.length > 0) yield await settle();
    while (before.done !== true) before = await this.#drop(before.value.path);
  }

  async #drop(path: string): Promise<IteratorResult<ListedEntry>> {
    this.shrunk = true;
    // Whole folders go in one command: a database that shrank by 100 GB has 1.6 million chunks to drop.
    const folder = path.slice(0, path.lastIndexOf('/'));
    const unit = (chunkIndex(path) ?? 0) % chunksPerFolder === 0 ? folder : path;
    if (!path.startsWith(`${this.superfluous.at(-1) ?? '\0'}/`)) this.superfluous.push(unit);
    return this.#previous.next();
  }

  /** Hash of all that was read; the end of `changes()` comes first. */
  sha256(): string {
    if (this.#digest === '') this.#digest = this.#hash.digest('hex');
    return this.#digest;
  }
}

/** The chunks of an image in order, none missing. Error: `NotAnImage`. */
async function* chunksOf(repository: Repository, tree: string | undefined): AsyncGenerator<ListedEntry> {
  if (tree === undefined) return;
  let index = 0;
  try {
    for await (const entry of listTree(repository, tree, {
      recursive: true,
      sizes: false,
      paths: ['image/'],
    })) {
      if (entry.path !== chunkPath(index++) || entry.mode !== '100644') throw new NotAnImage();
      yield entry;
    }
  } catch (error) {
    throw error instanceof GitFailure ? new NotAnImage() : error;
  }
  if (index === 0) throw new NotAnImage();
}

/** Writes chunks and trees with one fast-import; git itself rewrites only the folders on the way to a change. */
async function importChanges(
  repository: Repository,
  previous: string | undefined,
  scan: ImageScan,
  first: IteratorResult<ChangedChunk>,
  rest: AsyncGenerator<ChangedChunk>,
): Promise<string> {
  const base = previous === undefined ? '' : await resolveTree(repository, `${previous}:image`);
  async function* commands(): AsyncGenerator<Buffer | string> {
    if (base !== '') yield `M 040000 ${base} image\n`;
    for (let next = first; next.done !== true; next = await rest.next()) {
      const { path, oid, content } = next.value;
      if (content === undefined) yield `M 100644 ${oid} ${path}\n`;
      else yield* putContent(path, content);
    }
    for (const path of scan.superfluous) yield `D ${path}\n`;
  }
  return importTree(repository, commands());
}
