import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';
import { createHash, randomBytes } from '../system/crypto.ts';
import { syncDir } from '../system/files.ts';
import type { Repository } from './repository.ts';
import { gitText } from './run.ts';

/**
 * Writes blobs as one pack with its index (gitformat-pack(5), version 2). `git fast-import` does the same on one core,
 * with a hash that takes six times as long; here zlib runs in Node's threads. What git reads of it, git checks.
 */

/** Blobs that are being compressed. */
const inFlight = 8;
const deflated = promisify(deflate);

interface Entry {
  /** The id, in bytes. */
  oid: Buffer;
  crc: number;
  offset: number;
}

export class PackWriter {
  readonly #repository: Repository;
  readonly #file: string;
  readonly #handle: number;
  readonly #hash: ReturnType<typeof createHash>;
  readonly #count: number;
  readonly #entries: Entry[] = [];
  readonly #waiting: { oid: Buffer; header: Buffer; content: Promise<Buffer> }[] = [];
  #offset = 0;

  /** @param count how many blobs there will be */
  constructor(repository: Repository, count: number) {
    this.#repository = repository;
    this.#count = count;
    const folder = path.join(repository.objectDir, 'pack');
    fs.mkdirSync(folder, { recursive: true });
    // Named as git names its own: what a crash leaves, git gc removes.
    this.#file = path.join(folder, `tmp_pack_${randomBytes(6).toString('hex')}`);
    this.#handle = fs.openSync(this.#file, 'wx', 0o400);
    this.#hash = createHash(repository.objectFormat);
    const header = Buffer.alloc(12);
    header.write('PACK', 'latin1');
    header.writeUInt32BE(2, 4);
    header.writeUInt32BE(count, 8);
    this.#write(header);
  }

  /** Adds a blob; no id may come twice. Level 1: git gc packs tighter, and people wait for this. */
  async add(oid: Buffer, content: Buffer): Promise<void> {
    const compressed = deflated(content, { level: 1 });
    compressed.catch(() => {}); // awaited in its turn
    this.#waiting.push({ oid, header: entryHeader(content.length), content: compressed });
    if (this.#waiting.length >= inFlight) await this.#settle();
  }

  /** Puts the pack into the object store, the index last: without it, git does not see the pack. */
  async finish(): Promise<void> {
    while (this.#waiting.length > 0) await this.#settle();
    if (this.#entries.length !== this.#count)
      throw new Error('a pack has not as many blobs as were announced');
    const checksum = this.#hash.digest();
    this.#writeRaw(checksum);
    fs.fsyncSync(this.#handle);
    fs.closeSync(this.#handle);
    const name = path.join(path.dirname(this.#file), `pack-${checksum.toString('hex')}`);
    const index = this.#file.replace('tmp_pack_', 'tmp_idx_');
    this.#writeIndex(index, checksum);
    const mode = await modeOf(this.#repository);
    for (const file of [this.#file, index]) fs.chmodSync(file, mode);
    fs.renameSync(this.#file, `${name}.pack`);
    fs.renameSync(index, `${name}.idx`);
    syncDir(path.dirname(name));
  }

  /** Leaves nothing behind. After `finish`, does nothing. */
  discard(): void {
    if (!fs.existsSync(this.#file)) return;
    try {
      fs.closeSync(this.#handle);
    } catch {
      // It was closed already.
    }
    fs.rmSync(this.#file, { force: true });
  }

  async #settle(): Promise<void> {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    const { oid, header, content } = next;
    const offset = this.#offset;
    const compressed = await content;
    this.#write(header);
    this.#write(compressed);
    this.#entries.push({ oid, crc: crc32(compressed, crc32(header)), offset });
  }

  #write(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#writeRaw(bytes);
  }

  #writeRaw(bytes: Buffer): void {
    for (let written = 0; written < bytes.length; )
      written += fs.writeSync(this.#handle, bytes, written, bytes.length - written);
    this.#offset += bytes.length;
  }

  #writeIndex(file: string, packChecksum: Buffer): void {
    const entries = this.#entries.toSorted((a, b) => a.oid.compare(b.oid));
    const fanout = Buffer.alloc(256 * 4);
    for (const { oid } of entries) {
      const first = oid.readUInt8(0);
      fanout.writeUInt32BE(fanout.readUInt32BE(first * 4) + 1, first * 4);
    }
    for (let byte = 1; byte < 256; byte++)
      fanout.writeUInt32BE(fanout.readUInt32BE(byte * 4) + fanout.readUInt32BE((byte - 1) * 4), byte * 4);
    const crcs = Buffer.alloc(entries.length * 4);
    const offsets = Buffer.alloc(entries.length * 4);
    const large: Buffer[] = [];
    for (const [at, { crc, offset }] of entries.entries()) {
      crcs.writeUInt32BE(crc >>> 0, at * 4);
      if (offset < 2 ** 31) {
        offsets.writeUInt32BE(offset, at * 4);
        continue;
      }
      offsets.writeUInt32BE(2 ** 31 + large.length, at * 4);
      const wide = Buffer.alloc(8);
      wide.writeBigUInt64BE(BigInt(offset));
      large.push(wide);
    }
    const magic = Buffer.from([0xff, 0x74, 0x4f, 0x63, 0, 0, 0, 2]);
    const oids = entries.map(({ oid }) => oid);
    const content = Buffer.concat([magic, fanout, ...oids, crcs, offsets, ...large, packChecksum]);
    const checksum = createHash(this.#repository.objectFormat).update(content).digest();
    const handle = fs.openSync(file, 'wx', 0o400);
    try {
      for (const part of [content, checksum])
        for (let written = 0; written < part.length; )
          written += fs.writeSync(handle, part, written, part.length - written);
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
  }
}

/** Who may read a pack, as git has it: the umask decides, and core.sharedRepository adds to it (git-config(1)). */
async function modeOf(repository: Repository): Promise<number> {
  const options = { cwd: repository.worktree, okCodes: [0, 1] };
  const shared = (await gitText(['config', '--get', 'core.sharedRepository'], options)).trim();
  const own = 0o444 & ~process.umask();
  if (/^(group|true|yes|on|1)$/i.test(shared)) return own | 0o440;
  if (/^(all|world|everybody|2)$/i.test(shared)) return 0o444;
  return /^0[0-7]{3}$/.test(shared) ? Number.parseInt(shared, 8) & 0o444 : own;
}

/** Type 3 (blob) and the size: four bits of it in the first byte, seven in each that follows. */
function entryHeader(size: number): Buffer {
  const bytes: number[] = [];
  let byte = (3 << 4) | (size & 15);
  for (let rest = size >>> 4; rest > 0; rest >>>= 7) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
  }
  return Buffer.from([...bytes, byte]);
}
