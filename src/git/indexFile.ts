import { createHash } from '../system/crypto.ts';
import { readFileSync, statSync } from 'node:fs';
import type { BytePath } from './paths.ts';
import type { Repository } from './repository.ts';

/**
 * Reading an index file in process (format: gitformat-index(5), versions 2 to 4): what git tells of it only through
 * several processes, or, the intent-to-add bit and the stat data, not at all in a format that stays.
 */

export interface IndexFile {
  /** When the file itself was written. */
  mtimeNs: bigint;
  entries: IndexEntry[];
}

/** What `lstat` said when the entry was made; numbers are cut to 32 bits. All 0 for one that nobody looked at. */
export interface IndexStat {
  ctimeNs: bigint;
  mtimeNs: bigint;
  ino: number;
  size: number;
}

/** Reads an index; undefined for one of a kind that only git can read (split, or of a later version). */
export function readIndexFile(
  file: string,
  { objectFormat }: Pick<Repository, 'objectFormat'>,
): IndexFile | undefined {
  try {
    const { mtimeNs } = statSync(file, { bigint: true });
    const entries = parseIndex(readFileSync(file), objectFormat === 'sha256' ? 32 : 20);
    return entries === undefined ? undefined : { mtimeNs, entries };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { mtimeNs: 0n, entries: [] };
    throw error;
  }
}

const headerLength = 12;
const statLength = 40;

/** One entry, read from the file's bytes when it is asked: most callers want little of each of 100,000. */
export class IndexEntry {
  readonly path: BytePath;
  readonly #content: Buffer;
  readonly #start: number;
  readonly #oidLength: number;

  constructor(path: BytePath, content: Buffer, start: number, oidLength: number) {
    this.path = path;
    this.#content = content;
    this.#start = start;
    this.#oidLength = oidLength;
  }

  /** Octal, six digits, as in trees. */
  get mode(): string {
    return this.#content
      .readUInt32BE(this.#start + 24)
      .toString(8)
      .padStart(6, '0');
  }

  get oid(): string {
    const at = this.#start + statLength;
    return this.#content.toString('hex', at, at + this.#oidLength);
  }

  /** 0, or 1 to 3 in a conflict. */
  get stage(): number {
    return (this.#flags >> 12) & 3;
  }

  get assumeUnchanged(): boolean {
    return (this.#flags & 0x8000) !== 0;
  }

  get skipWorktree(): boolean {
    return (this.#extended & 0x4000) !== 0;
  }

  get intentToAdd(): boolean {
    return (this.#extended & 0x2000) !== 0;
  }

  get stat(): IndexStat {
    const number = (offset: number) => this.#content.readUInt32BE(this.#start + offset);
    const time = (offset: number) => BigInt(number(offset)) * 1_000_000_000n + BigInt(number(offset + 4));
    return { ctimeNs: time(0), mtimeNs: time(8), ino: number(20), size: number(36) };
  }

  get #flags(): number {
    return this.#content.readUInt16BE(this.#start + statLength + this.#oidLength);
  }

  get #extended(): number {
    const isExtended = (this.#flags & 0x4000) !== 0;
    return isExtended ? this.#content.readUInt16BE(this.#start + statLength + this.#oidLength + 2) : 0;
  }
}

/** The entries of an index file's content; undefined as above. */
function parseIndex(content: Buffer, oidLength: number): IndexEntry[] | undefined {
  const entries: IndexEntry[] = [];
  let previous = '';
  const whole = scanIndex(content, oidLength, (start, kept, from, end) => {
    previous = previous.slice(0, previous.length - kept) + content.toString('latin1', from, end);
    entries.push(new IndexEntry(previous, content, start, oidLength));
  });
  return whole ? entries : undefined;
}

/** What there is to know of an index without making anything of its ordinary entries. */
export interface IndexSummary {
  /** Equal when the same paths are tracked, and those outside a sparse checkout with the same content. */
  paths: string;
  /** Equal when every entry says the same, whatever it remembers of file times. */
  all: string;
  /** Unmerged entries, gitlinks, folders of a sparse index, those with a flag, and `.gitattributes` files. */
  unusual: IndexEntry[];
}

/** Undefined as above. One look takes some 40 ms for 100,000 entries. */
export function summarizeIndex(
  content: Buffer,
  { objectFormat }: Pick<Repository, 'objectFormat'>,
): IndexSummary | undefined {
  const oidLength = objectFormat === 'sha256' ? 32 : 20;
  const all = Buffer.from(content);
  const paths = Buffer.from(content);
  const unusual: IndexEntry[] = [];
  // In version 4 a path is told by how it differs from the one before.
  const isVersion4 = content.length > 8 && content.readUInt32BE(4) === 4;
  let previous = '';
  let last = 0;
  const whole = scanIndex(content, oidLength, (start, drop, from, end) => {
    if (isVersion4)
      previous = previous.slice(0, previous.length - drop) + content.toString('latin1', from, end);
    for (const copy of [all, paths]) {
      clear(copy, start, start + 24); // times, device, inode
      clear(copy, start + 28, start + statLength); // owner, size
    }
    const isRules = isVersion4 ? previous.endsWith(attributes) : endsInAttributes(content, from, end);
    let isSkipped = false;
    if (isRules || isMarked(content, start, oidLength)) {
      const file = isVersion4 ? previous : content.toString('latin1', from, end);
      const entry = new IndexEntry(file, content, start, oidLength);
      isSkipped = entry.skipWorktree;
      unusual.push(entry);
    }
    if (!isSkipped) clear(paths, start + statLength, from);
    last = end;
  });
  if (!whole) return undefined;
  const hash = (copy: Buffer) => createHash('sha1').update(copy.subarray(0, last)).digest('hex');
  return { paths: hash(paths), all: hash(all), unusual };
}

/** `fill` of so few bytes costs ten times as much. */
function clear(bytes: Buffer, from: number, to: number): void {
  for (let at = from; at < to; at++) bytes[at] = 0;
}

/** True for an entry with a flag or a stage, and for one that is neither a file nor a link. */
function isMarked(content: Buffer, start: number, oidLength: number): boolean {
  const kind = (content[start + 26] ?? 0) >> 4;
  // The upper four bits: assume-unchanged, more flags, the stage.
  return ((content[start + statLength + oidLength] ?? 0) & 0xf0) !== 0 || (kind !== 0o10 && kind !== 0o12);
}

const attributes = '.gitattributes';
const lastLetter = attributes.charCodeAt(attributes.length - 1);

function endsInAttributes(content: Buffer, from: number, end: number): boolean {
  if (content[end - 1] !== lastLetter) return false;
  return content.toString('latin1', Math.max(from, end - attributes.length), end) === attributes;
}

/**
 * Goes through the entries: where each starts, how much of the previous path it drops at the end (all but the
 * beginning it shares, in version 4), and where the rest of its own path is. False for what cannot be read so.
 */
function scanIndex(
  content: Buffer,
  oidLength: number,
  take: (start: number, drop: number, from: number, end: number) => void,
): boolean {
  if (content.length < headerLength + oidLength || content.toString('latin1', 0, 4) !== 'DIRC') return false;
  const version = content.readUInt32BE(4);
  if (version < 2 || version > 4) return false;
  let at = headerLength;
  let length = 0;
  for (let left = content.readUInt32BE(8); left > 0; left--) {
    const start = at;
    const flagsAt = start + statLength + oidLength;
    if (flagsAt + 4 > content.length) return false;
    let from = flagsAt + ((content.readUInt16BE(flagsAt) & 0x4000) === 0 ? 2 : 4);
    let drop = length;
    if (version === 4) ({ value: drop, next: from } = readVariable(content, from));
    const end = content.indexOf(0, from);
    if (end === -1 || drop > length) return false;
    take(start, drop, from, end);
    length += end - from - drop;
    // Up to version 3 an entry is padded with 1 to 8 NULs to a multiple of 8.
    at = version === 4 ? end + 1 : start + (Math.floor((end - start) / 8) + 1) * 8;
  }
  return isWhole(content, at, oidLength);
}

/**
 * True when extensions, and then the checksum, follow to the very end. One with a name in lower case changes what the
 * entries mean: of those only `sdir` (sparse) does not here.
 */
function isWhole(content: Buffer, extensions: number, oidLength: number): boolean {
  const end = content.length - oidLength;
  let at = extensions;
  while (at + 8 <= end) {
    const name = content.toString('latin1', at, at + 4);
    if (!/^[A-Z]/.test(name) && name !== 'sdir') return false;
    at += 8 + content.readUInt32BE(at + 4);
  }
  return at === end;
}

/** git's variable-width numbers (gitformat-pack(5), OFS_DELTA). */
function readVariable(content: Buffer, from: number): { value: number; next: number } {
  let at = from;
  let byte = content[at++] ?? 0;
  let value = byte & 0x7f;
  while ((byte & 0x80) !== 0) {
    byte = content[at++] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return { value, next: at };
}
