import { createHash } from '../system/crypto.ts';
import { type FileHandle, open } from 'node:fs/promises';
import { PitrError } from '../errors.ts';
import { hashObject } from '../git/hash.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { startGit } from '../git/run.ts';
import { type ListedEntry, listTree, resolveTree } from '../git/trees.ts';
import { ObjectChecker, ObjectReader } from './objects.ts';

/**
 * Images: a file as a tree of fixed chunks, so that a snapshot costs what changed and not what is there.
 *
 * `image/NNNN/NNNN`: chunk n is `image/<n / 256>/<n % 256>`, both in decimal with four digits, so that path order is
 * byte order: `git archive <commit>:databases/<name>/image | tar -xO > out.db` gives the file (docs/format.md).
 * Every chunk has 64 KiB, the last one what is left; an empty file is one empty chunk.
 *
 * 64 KiB is a multiple of every page size of SQLite. Folders of 256: one changed chunk writes a tree of 8 KiB where
 * folders of 1000 write 32 KiB, and the top tree of 500 MB has 30 entries (docs/decisions/0002).
 */

export const chunkSize = 64 * 1024;
export const chunksPerFolder = 256;
/** Four digits of folders: 156 GiB. */
const maxChunks = 10_000 * chunksPerFolder;
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

/** The content of an image, chunk by chunk and in order. Error: `integrity` for a tree that is not an image. */
export async function* readImage(repository: Repository, tree: string): AsyncGenerator<Buffer> {
  const reader = new ObjectReader(repository, imageOids(repository, tree));
  let last = false;
  for await (const { oid, type, content } of reader.objects(chunkSize)) {
    if (last || type !== 'blob') throw notAnImage(tree, `object ${oid} is not a chunk`);
    last = content.length < chunkSize;
    yield content;
  }
}

/** True when the content of a file is that of an image. Reads the file, and of the image only its trees. */
export async function compareImage(repository: Repository, tree: string, file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const chunks = imageOids(repository, tree);
    for await (const content of fileChunks(handle)) {
      const next = await chunks.next();
      if (next.done === true || next.value !== hashObject(repository, 'blob', content)) {
        await chunks.return(undefined);
        return false;
      }
    }
    const more = await chunks.next();
    await chunks.return(undefined);
    return more.done === true;
  } finally {
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
    this.#previous = listTree(repository, previous ?? '', {
      recursive: true,
      sizes: false,
      paths: ['image/'],
    });
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
    for await (const content of fileChunks(this.#handle)) {
      const path = chunkPath(index++);
      this.#hash.update(content);
      this.bytes += content.length;
      const oid = hashObject(this.#repository, 'blob', content);
      // What sorts before this chunk and is none: not ours, or from a format that is not this one.
      while (before.done !== true && before.value.path < path) before = await this.#drop(before.value.path);
      const same = before.done !== true && before.value.path === path ? before.value : undefined;
      if (same !== undefined) before = await this.#previous.next();
      if (same?.oid === oid && same.mode === '100644') continue;
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
    const index = chunkIndex(path);
    const unit = index === undefined || index % chunksPerFolder !== 0 ? path : folder;
    if (!path.startsWith(`${this.superfluous.at(-1) ?? '\0'}/`)) this.superfluous.push(unit);
    return this.#previous.next();
  }

  /** Hash of all that was read; the end of `changes()` comes first. */
  sha256(): string {
    if (this.#digest === '') this.#digest = this.#hash.digest('hex');
    return this.#digest;
  }
}

/**
 * Writes chunks and trees with one fast-import; git itself rewrites only the folders on the way to a change. The
 * commit that carries them stays unreferenced (its branch is reset before the end).
 */
async function importChanges(
  repository: Repository,
  previous: string | undefined,
  scan: ImageScan,
  first: IteratorResult<ChangedChunk>,
  rest: AsyncGenerator<ChangedChunk>,
): Promise<string> {
  const branch = 'refs/pitr/incoming/image';
  const base = previous === undefined ? '' : await resolveTree(repository, `${previous}:image`);
  async function* commands(): AsyncGenerator<Buffer | string> {
    yield `commit ${branch}\ncommitter git-pitr <git-pitr@localhost> 0 +0000\ndata 5\nimage\n`;
    if (base !== '') yield `M 040000 ${base} image\n`;
    for (let next = first; next.done !== true; next = await rest.next()) {
      const { path, oid, content } = next.value;
      if (content === undefined) {
        yield `M 100644 ${oid} ${path}\n`;
      } else {
        yield `M 100644 inline ${path}\ndata ${content.length}\n`;
        yield content;
        yield '\n';
      }
    }
    for (const path of scan.superfluous) yield `D ${quoted(path)}\n`;
    yield `ls ""\nreset ${branch}\nfrom ${nullOid(repository)}\n\ndone\n`;
  }
  // No deltas: the neighbour of a chunk is seldom like it, and trying costs more than hashing. Level 1: at 6, zlib
  // takes 25 MB/s and the first copy of a database is what people wait for; git gc packs it tighter.
  const running = startGit(
    ['fast-import', '--quiet', '--done', '--depth=0', '--date-format=raw-permissive'],
    {
      cwd: repository.worktree,
      config: [
        ['pack.compression', '1'],
        ['core.compression', '1'],
      ],
      input: commands(),
    },
  );
  let answer = '';
  for await (const part of running.stdout) answer += (part as Buffer).toString('latin1');
  await running.end();
  const oid = /^040000 tree ([0-9a-f]+)\t/.exec(answer)?.[1];
  if (oid === undefined)
    throw new PitrError(
      'failed',
      `git fast-import did not tell the tree it wrote, but: ${answer.slice(0, 200)}`,
    );
  return oid;
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path)
    ? path
    : `"${path.replace(/["\\\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`;
}

function chunkPath(index: number): string {
  if (index >= maxChunks)
    throw new PitrError(
      'failed',
      `The database is larger than ${(maxChunks * chunkSize) / 1024 ** 3} GiB, which an image cannot hold.`,
    );
  const digits = (value: number) => String(value).padStart(4, '0');
  return `image/${digits(Math.floor(index / chunksPerFolder))}/${digits(index % chunksPerFolder)}`;
}

function chunkIndex(path: string): number | undefined {
  const match = /^image\/(\d{4})\/(\d{4})$/.exec(path);
  return match === null ? undefined : Number(match[1]) * chunksPerFolder + Number(match[2]);
}

/** The oids of an image's chunks in order, checked to be all of them: a fetched tree may hold anything. */
async function* imageOids(repository: Repository, tree: string): AsyncGenerator<string, undefined> {
  let index = 0;
  for await (const { path, mode, oid } of listTree(repository, tree, {
    recursive: true,
    sizes: false,
    paths: ['image/'],
  })) {
    if (path !== chunkPath(index) || mode !== '100644')
      throw notAnImage(tree, `"${path}" is where ${chunkPath(index)} should be`);
    index++;
    yield oid;
  }
  if (index === 0) throw notAnImage(tree, 'it has no chunk');
  return undefined;
}

function notAnImage(tree: string, reason: string): PitrError {
  return new PitrError('integrity', `The tree ${tree} is not a whole image of a database: ${reason}.`, {
    hints: ['git fsck tells whether the repository lost objects.'],
  });
}

const readSize = 16 * chunkSize;

/** The chunks of a file in order. The buffer of one is used again for the next: copy what is to stay. */
async function* fileChunks(handle: FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(readSize);
  for (let position = 0; ; position += readSize) {
    let filled = 0;
    while (filled < readSize) {
      const { bytesRead } = await handle.read(buffer, filled, readSize - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    for (let start = 0; start < filled; start += chunkSize)
      yield buffer.subarray(start, Math.min(start + chunkSize, filled));
    if (filled === 0 && position === 0) yield buffer.subarray(0, 0);
    if (filled < readSize) return;
  }
}
