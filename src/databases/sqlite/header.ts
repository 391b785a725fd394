import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** The 100 bytes a SQLite file begins with (https://www.sqlite.org/fileformat2.html, section 1.3). */

export const headerSize = 100;
const magic = Buffer.from('SQLite format 3\0', 'latin1');

/** Bytes 18 and 19, the file format write and read version: 1 rollback journal, 2 WAL. */
export interface JournalVersions {
  write: number;
  read: number;
}

export const rollbackVersions: JournalVersions = { write: 1, read: 1 };

export function isSqliteHeader(bytes: Buffer): boolean {
  return bytes.length >= magic.length && bytes.subarray(0, magic.length).equals(magic);
}

export function journalVersions(header: Buffer): JournalVersions {
  return { write: header[18] ?? 1, read: header[19] ?? 1 };
}

/** Bytes of a page. */
export function pageSize(header: Buffer): number {
  const stored = header.readUInt16BE(16);
  return stored === 1 ? 65_536 : stored;
}

/** Counts transactions in the rollback modes; in WAL mode it may stand still. */
export function changeCounter(header: Buffer): number {
  return header.readUInt32BE(24);
}

/**
 * A header that depends on the file's content alone.
 *
 * Four fields tell how often a file was written and by which version, not what is in it; the backup API changes them
 * in every copy and in every file it restores into, so that a state and its restored self would never be equal:
 * - 24-27 change counter and 92-95 version-valid-for: only compared with each other (equal means that the size in
 *   28-31 holds) and with what a connection has cached, of which a copy has none;
 * - 40-43 schema cookie: only compared with what a connection has cached. A restore through the backup API sets the
 *   live file's own plus one, whatever is here;
 * - 96-99 version of the last writer: SQLite never reads it.
 * The first three get what the backup API gives a new file: 1. The last gets 3.7.0, the first version that kept 28-31.
 * @param pages how many there are; where it is missing, 28-31 say it already (the backup API sets them)
 */
export function normalisedHeader(header: Buffer, versions: JournalVersions, pages?: number): Buffer {
  const normalised = Buffer.from(header);
  normalised[18] = versions.write;
  normalised[19] = versions.read;
  for (const offset of [24, 40, 92]) normalised.writeUInt32BE(1, offset);
  normalised.writeUInt32BE(3_007_000, 96);
  if (pages !== undefined) normalised.writeUInt32BE(pages, 28);
  return normalised;
}

/** Gives a private copy its `normalisedHeader`. The copy must not be open. */
export function normaliseHeader(file: string, versions: JournalVersions): void {
  const header = readHeader(file);
  if (header.length < headerSize) return;
  const handle = openSync(file, 'r+');
  try {
    writeSync(handle, normalisedHeader(header, versions), 0, headerSize, 0);
  } finally {
    closeSync(handle);
  }
}

/**
 * The first bytes of a file (fewer when it is shorter). Never for a file that this process has open in SQLite: closing
 * any descriptor drops the process's locks on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export function readHeader(file: string, length = headerSize): Buffer {
  const handle = openSync(file, 'r');
  try {
    return readStart(handle, length);
  } finally {
    closeSync(handle);
  }
}

/** The first bytes behind an open descriptor. */
export function readStart(handle: number, length = headerSize): Buffer {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const count = readSync(handle, buffer, filled, length - filled, filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
