import crypto from 'node:crypto';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { progressOf } from '../system/progress.ts';
import type { Repository } from '../git/repository.ts';

/**
 * A file of one instant, read through open descriptors: its bytes, some of which are elsewhere (in a WAL) or are given.
 * Plain data, so that a thread can read it too.
 */
export interface FileView {
  bytes: number;
  /** The descriptor of the file. */
  main: number;
  /** Pages that are to be read from another file. */
  overlay?: {
    handle: number;
    pageSize: number;
    /** Where the pages are in the view, ascending, and where each is in the other file. */
    places: Float64Array;
    offsets: Float64Array;
  };
  /** What takes the place of what is there. */
  patches: readonly { at: number; content: Uint8Array }[];
}

export interface ViewHashes {
  /** Hash of all of it. */
  sha256: string;
  /** The ids of its chunks as git blobs, one after the other. */
  oids: Buffer;
}

/**
 * Reading and hashing a view. It is turned into text for the thread: only what is inside, and the two modules, are
 * there. Errors: `RangeError` for a view that is longer than what is there.
 */
function viewTools(files: typeof fs, hashing: typeof crypto) {
  /** The first of ascending places that is not before `at`. */
  function firstFrom(places: Float64Array, at: number): number {
    let [low, high] = [0, places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((places[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function readFully(handle: number, buffer: Uint8Array, length: number, position: number): number {
    let filled = 0;
    while (filled < length) {
      const count = files.readSync(handle, buffer, filled, length - filled, position + filled);
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** Fills `buffer` from `position` on; both ends are page borders, or the end of the view. */
  function read(view: FileView, position: number, buffer: Uint8Array): void {
    let covered = readFully(view.main, buffer, buffer.length, position);
    const { overlay } = view;
    if (overlay !== undefined) {
      const { handle, pageSize, places, offsets } = overlay;
      for (let at = firstFrom(places, position); at < places.length; at++) {
        const start = (places[at] as number) - position;
        if (start >= buffer.length) break;
        const page = buffer.subarray(start, start + pageSize);
        if (readFully(handle, page, page.length, offsets[at] as number) < page.length)
          throw new RangeError('the write-ahead log is shorter than it says');
        // What the file is too short for must be in the other one, page after page.
        if (start <= covered) covered = Math.max(covered, start + page.length);
      }
    }
    if (covered < buffer.length) throw new RangeError('the file is shorter than it says');
    for (const { at, content } of view.patches) {
      const from = Math.max(at, position);
      const to = Math.min(at + content.length, position + buffer.length);
      if (from < to) buffer.set(content.subarray(from - at, to - at), from - position);
    }
  }

  function hash(
    view: FileView,
    algorithm: string,
    chunkSize: number,
    advance: (bytes: number) => void,
  ): { sha256: string; oids: Uint8Array } {
    const whole = hashing.createHash('sha256');
    const chunks = Math.max(1, Math.ceil(view.bytes / chunkSize));
    const width = algorithm === 'sha256' ? 32 : 20;
    const oids = new Uint8Array(chunks * width);
    const block = new Uint8Array(16 * chunkSize);
    let chunk = 0;
    for (let position = 0; position < view.bytes || chunk === 0; position += block.length) {
      const part = block.subarray(0, Math.min(block.length, view.bytes - position));
      read(view, position, part);
      whole.update(part);
      for (let start = 0; start < part.length || chunk === 0; start += chunkSize) {
        const content = part.subarray(start, start + chunkSize);
        const oid = hashing.createHash(algorithm).update(`blob ${content.length}\0`).update(content).digest();
        oids.set(oid, chunk * width);
        chunk++;
      }
      advance(part.length);
    }
    return { sha256: whole.digest('hex'), oids };
  }

  return { read, hash };
}

const tools = viewTools(fs, crypto);

/** Reads `length` bytes of a view, from a page border to another, or to its end. */
export function readView(view: FileView, position: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(length);
  tools.read(view, position, buffer);
  return buffer;
}

/** Starting a thread takes some 30 ms, in which 20 MB are hashed. */
const threadFrom = 48 * 1024 * 1024;

/**
 * Hashes a view, a large one in a thread of its own: the check of the database takes as long, and goes on meanwhile.
 * @param chunkSize a multiple of the page size
 */
export function hashView(
  repository: Repository,
  view: FileView,
  chunkSize: number,
  signal?: AbortSignal,
): Promise<ViewHashes> {
  const progress = progressOf(repository);
  const advance = (bytes: number) => progress?.advance({ bytes });
  const algorithm = repository.objectFormat;
  if (view.bytes < threadFrom)
    return Promise.resolve(asHashes(tools.hash(view, algorithm, chunkSize, advance)));
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    const tools = (${viewTools.toString()})(require('node:fs'), require('node:crypto'));
    const { view, algorithm, chunkSize } = workerData;
    parentPort.postMessage({ done: tools.hash(view, algorithm, chunkSize, (bytes) => parentPort.postMessage({ bytes })) });`;
  const worker = new Worker(script, { eval: true, workerData: { view, algorithm, chunkSize } });
  return new Promise<ViewHashes>((resolve, reject) => {
    const abort = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    worker.on('message', (message: { bytes?: number; done?: { sha256: string; oids: Uint8Array } }) => {
      if (message.bytes !== undefined) advance(message.bytes);
      if (message.done !== undefined) resolve(asHashes(message.done));
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that hashes ended early')));
  }).finally(() => worker.terminate());
}

function asHashes({ sha256, oids }: { sha256: string; oids: Uint8Array }): ViewHashes {
  return { sha256, oids: Buffer.from(oids.buffer, oids.byteOffset, oids.byteLength) };
}
