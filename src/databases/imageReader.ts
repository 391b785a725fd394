import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { chunkSize, chunksPerFolder } from './chunks.ts';

/** Reading single chunks of images (`chunks.ts`), in any order and of several images at once. */

/** Chunks kept: 32 MiB. */
const cachedChunks = 512;

/** Reads folders and chunks once, however many images have them. */
export class ImageStore {
  readonly #repository: Repository;
  readonly #folders = new Map<string, readonly string[]>();
  readonly #chunks = new Map<string, Buffer>();

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /**
   * The image in a tree of `databases/<name>/`.
   * @param length how long the file is, where that is known
   */
  async open(tree: string, length?: number): Promise<Image> {
    const folders = await this.#list(`${tree}:image`, '40000');
    const bytes = length ?? (await this.#bytesOf(folders));
    const chunks = Math.max(1, Math.ceil(bytes / chunkSize));
    if (folders.length !== Math.ceil(chunks / chunksPerFolder)) throw notAnImage(tree);
    return new Image(this, folders, bytes);
  }

  /** The ids of the chunks of a folder. */
  async folder(oid: string): Promise<readonly string[]> {
    const known = this.#folders.get(oid);
    if (known !== undefined) return known;
    const chunks = await this.#list(oid, '100644');
    this.#folders.set(oid, chunks);
    return chunks;
  }

  /** Chunks in the order asked; what is not in the cache comes in one batch. */
  async chunks(oids: readonly string[]): Promise<Buffer[]> {
    const missing = [...new Set(oids.filter((oid) => !this.#chunks.has(oid)))];
    const read = await objectReader(this.#repository).read(missing, chunkSize);
    const fresh = new Map<string, Buffer>();
    for (const [at, oid] of missing.entries()) {
      const content = read[at];
      if (content === undefined)
        throw new PitrError('integrity', `The chunk ${oid} of a database is missing from the repository.`, {
          hints: ['git fsck --full tells what else is missing.'],
        });
      fresh.set(oid, content);
    }
    const found = oids.map((oid) => (this.#chunks.get(oid) ?? fresh.get(oid)) as Buffer);
    for (const [oid, content] of fresh) this.#keep(oid, content);
    return found;
  }

  /** All chunks but the last have the same size. */
  async #bytesOf(folders: readonly string[]): Promise<number> {
    const last = await this.folder(folders.at(-1) ?? '');
    const [info] = await objectReader(this.#repository).info([last.at(-1) ?? '']);
    if (info === undefined) throw notAnImage('its last chunk is missing');
    return ((folders.length - 1) * chunksPerFolder + last.length - 1) * chunkSize + info.size;
  }

  #keep(oid: string, content: Buffer): void {
    this.#chunks.set(oid, content);
    for (const oldest of this.#chunks.keys()) {
      if (this.#chunks.size <= cachedChunks) break;
      this.#chunks.delete(oldest);
    }
  }

  /** The ids in a tree whose entries must be 0000, 0001 and so on: a fetched tree may hold anything. */
  async #list(name: string, mode: string): Promise<string[]> {
    const [content] = await objectReader(this.#repository).read([name]);
    if (content === undefined) throw notAnImage(name);
    const bytes = this.#repository.objectFormat === 'sha256' ? 32 : 20;
    const oids: string[] = [];
    for (let at = 0; at < content.length; ) {
      const head = `${mode} ${String(oids.length).padStart(4, '0')}\0`;
      const start = at + head.length;
      if (content.toString('latin1', at, start) !== head) throw notAnImage(name);
      at = start + bytes;
      oids.push(content.toString('hex', start, at));
    }
    return oids;
  }
}

export class Image {
  readonly bytes: number;
  readonly #store: ImageStore;
  readonly #folders: readonly string[];

  constructor(store: ImageStore, folders: readonly string[], bytes: number) {
    this.#store = store;
    this.#folders = folders;
    this.bytes = bytes;
  }

  get chunkCount(): number {
    return Math.max(1, Math.ceil(this.bytes / chunkSize));
  }

  /** Chunks by their numbers. Error: `integrity` when one is missing or has another length than it should. */
  async chunks(numbers: readonly number[]): Promise<Buffer[]> {
    const oids: string[] = [];
    for (const number of numbers) {
      const folder = await this.#store.folder(this.#folders[Math.floor(number / chunksPerFolder)] ?? '');
      const oid = folder[number % chunksPerFolder];
      if (oid === undefined) throw notAnImage(`chunk ${number}`);
      oids.push(oid);
    }
    const chunks = await this.#store.chunks(oids);
    for (const [at, number] of numbers.entries()) {
      const length = Math.min(chunkSize, this.bytes - number * chunkSize);
      if (chunks[at]?.length !== length) throw notAnImage(`chunk ${number}`);
    }
    return chunks;
  }

  /** The numbers of the chunks that are not the same in another image, in order. */
  async differing(other: Image): Promise<number[]> {
    const numbers: number[] = [];
    const folders = Math.max(this.#folders.length, other.#folders.length);
    for (let at = 0; at < folders; at++) {
      const [mine, its] = [this.#folders[at], other.#folders[at]];
      if (mine === its) continue;
      const [a, b] = [await this.#listed(mine), await this.#listed(its)];
      for (let index = 0; index < Math.max(a.length, b.length); index++)
        if (a[index] !== b[index]) numbers.push(at * chunksPerFolder + index);
    }
    return numbers;
  }

  async #listed(oid: string | undefined): Promise<readonly string[]> {
    return oid === undefined ? [] : this.#store.folder(oid);
  }
}

function notAnImage(what: string): PitrError {
  return new PitrError('integrity', `What is recorded is not a whole image of a database: ${what}.`, {
    hints: ['git fsck --full tells whether the repository lost objects.'],
  });
}
