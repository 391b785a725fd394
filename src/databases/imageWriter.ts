import { closeSync, fstatSync, openSync } from 'node:fs';
import { hashObject } from '../git/hash.ts';
import { PackWriter } from '../git/packWriter.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure } from '../git/run.ts';
import { listTree, resolveTree } from '../git/trees.ts';
import { progressOf } from '../system/progress.ts';
import { importTree, putContent } from './chunkImport.ts';
import { chunkPath, chunkSize, chunksPerFolder } from './chunks.ts';
import { type FileView, hashView, readView, type ViewHashes } from './fileView.ts';
import { ObjectChecker } from './objects.ts';

/** Recording a file as an image (`chunks.ts`): what did not change is neither hashed by git nor written. */

/** Questions to git that are open at a time. */
const window = 256;
/** From so many new chunks on, they are compressed on all cores and become a pack of their own. */
const packFrom = 64;

export interface WrittenImage {
  /** The tree for `databases/<name>/`. */
  tree: string;
  bytes: number;
  /** Hash of the whole content. */
  sha256: string;
  /** Chunks that were not in the object store. */
  chunksWritten: number;
}

/** Records a file, which must not change meanwhile: see `writeView`. */
export async function writeImage(
  repository: Repository,
  file: string,
  previous: string | undefined,
): Promise<WrittenImage> {
  const main = openSync(file, 'r');
  try {
    const view: FileView = { bytes: fstatSync(main).size, main, patches: [] };
    return await writeView(repository, view, await hashView(repository, view, chunkSize), previous);
  } finally {
    closeSync(main);
  }
}

/**
 * Records a view whose hashes are known; writes only chunks that differ from `previous` and are not in the object
 * store. Nothing refers to the result yet.
 * @param previous the tree of `databases/<name>/` of an earlier snapshot; it decides only what is cheap
 */
export async function writeView(
  repository: Repository,
  view: FileView,
  { sha256, oids }: ViewHashes,
  previous: string | undefined,
): Promise<WrittenImage> {
  const image = new NewImage(repository, view, oids);
  const { changed, before } = await image.compare(previous);
  const count = image.count;
  const done = { bytes: view.bytes, sha256 };
  if (changed.length === 0 && before === count && previous !== undefined)
    return { tree: previous, ...done, chunksWritten: 0 };
  const missing = await image.missing(changed);
  if (missing.length >= packFrom) await image.pack(missing);
  const inline = new Set(missing.length >= packFrom ? [] : missing);
  const base = before === 0 ? '' : await resolveTree(repository, `${previous ?? ''}:image`);
  async function* commands(): AsyncGenerator<Buffer | string> {
    if (base !== '') yield `M 040000 ${base} image\n`;
    for (const index of changed)
      if (inline.has(index)) yield* putContent(chunkPath(index), image.content(index));
      else yield `M 100644 ${image.oid(index)} ${chunkPath(index)}\n`;
    yield* superfluous(count, before);
  }
  return { tree: await importTree(repository, commands()), ...done, chunksWritten: missing.length };
}

class NewImage {
  readonly count: number;
  readonly #repository: Repository;
  readonly #view: FileView;
  readonly #oids: Buffer;
  readonly #width: number;

  constructor(repository: Repository, view: FileView, oids: Buffer) {
    this.#repository = repository;
    this.#view = view;
    this.#oids = oids;
    this.#width = repository.objectFormat === 'sha256' ? 32 : 20;
    this.count = oids.length / this.#width;
  }

  oid(index: number): string {
    return this.#bytes(index).toString('hex');
  }

  /** Error: what was hashed is not what is there now; it must not have changed. */
  content(index: number): Buffer {
    const start = index * chunkSize;
    const content = readView(this.#view, start, Math.min(chunkSize, this.#view.bytes - start));
    if (hashObject(this.#repository, 'blob', content) !== this.oid(index))
      throw new Error(`chunk ${index} changed while it was recorded`);
    return content;
  }

  /**
   * The chunks that differ from an earlier image, and how many it had: none where it is no image that this module
   * wrote (a fetched snapshot may hold anything).
   */
  async compare(previous: string | undefined): Promise<{ changed: number[]; before: number }> {
    const changed: number[] = [];
    let before = 0;
    try {
      if (previous !== undefined)
        for await (const { path, mode, oid } of chunksOf(this.#repository, previous)) {
          if (path !== chunkPath(before) || mode !== '100644') throw new NotAnImage();
          if (before < this.count && this.oid(before) !== oid) changed.push(before);
          before++;
        }
    } catch (error) {
      if (!(error instanceof NotAnImage) && !(error instanceof GitFailure)) throw error;
      before = 0;
      changed.length = 0;
    }
    for (let index = before; index < this.count; index++) changed.push(index);
    return { changed, before };
  }

  /** Those of the chunks that the object store has not, each content once. */
  async missing(changed: readonly number[]): Promise<number[]> {
    const checker = new ObjectChecker(this.#repository);
    const missing: number[] = [];
    const seen = new Set<string>();
    try {
      for (let start = 0; start < changed.length; start += window) {
        const part = changed.slice(start, start + window);
        const known = await Promise.all(part.map((index) => checker.has(this.oid(index))));
        for (const [at, index] of part.entries()) {
          const key = this.#bytes(index).toString('latin1');
          if (known[at] === true || seen.has(key)) continue;
          seen.add(key);
          missing.push(index);
        }
      }
    } finally {
      checker.close();
    }
    return missing;
  }

  async pack(chunks: readonly number[]): Promise<void> {
    const progress = progressOf(this.#repository);
    const writer = new PackWriter(this.#repository, chunks.length);
    try {
      for (const index of chunks) {
        const content = this.content(index);
        await writer.add(this.#bytes(index), content);
        progress?.advance({ bytes: content.length });
      }
      await writer.finish();
    } finally {
      writer.discard();
    }
  }

  #bytes(index: number): Buffer {
    return this.#oids.subarray(index * this.#width, (index + 1) * this.#width);
  }
}

class NotAnImage extends Error {}

function chunksOf(repository: Repository, tree: string) {
  return listTree(repository, tree, { recursive: true, sizes: false, paths: ['image/'] });
}

/**
 * Takes away the chunks that an earlier image had more. Whole folders go in one command: a database that shrank by
 * 100 GB has 1.6 million chunks to drop.
 */
function* superfluous(count: number, before: number): Generator<string> {
  for (let index = count; index < before; ) {
    const path = chunkPath(index);
    const whole = index % chunksPerFolder === 0;
    yield `D ${whole ? path.slice(0, path.lastIndexOf('/')) : path}\n`;
    index += whole ? chunksPerFolder : 1;
  }
}
