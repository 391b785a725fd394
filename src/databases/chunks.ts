import { type FileHandle, open } from 'node:fs/promises';
import { PitrError } from '../errors.ts';
import { hashObject } from '../git/hash.ts';
import type { Repository } from '../git/repository.ts';
import { listTree } from '../git/trees.ts';
import { ObjectReader } from './objects.ts';

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

/** Where a chunk is in `databases/<name>/`. Error: `failed` past the last one an image can hold. */
export function chunkPath(index: number): string {
  if (index >= maxChunks)
    throw new PitrError(
      'failed',
      `The database is larger than ${(maxChunks * chunkSize) / 1024 ** 3} GiB, which an image cannot hold.`,
    );
  const digits = (value: number) => String(value).padStart(4, '0');
  return `image/${digits(Math.floor(index / chunksPerFolder))}/${digits(index % chunksPerFolder)}`;
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
