import { type BigIntStats, fstatSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { ensurePrivateDir, readFileIfThere, writeCache } from '../../system/files.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { isSqliteHeader, journalVersions, readHeader } from './header.ts';

/**
 * Recognising an unchanged database without reading it.
 *
 * The signature of a database file is what a commit cannot leave as it is. It is taken *before* a copy is made: a
 * commit in between makes the next signature differ, which only costs a copy. Equal signatures prove that nothing was
 * committed, since
 * - rollback modes (also MEMORY and OFF): each commit raises the change counter in the header. Only a connection in
 *   exclusive locking mode raises it once for many commits; but none held the file when it was copied (a copy needs
 *   the read lock), so its first commit since then shows;
 * - WAL: a commit appends to the `-wal` file or begins it anew, and changes the wal-index header in `-shm`; a
 *   checkpoint writes the main file. Where the `-shm` is gone, only times and sizes tell, so in WAL mode the last
 *   write must be `settledMs` old: then a write in the same clock tick cannot have come after.
 * A hot journal, a header that is none, and a file this process has open itself give no signature.
 * Not covered: SQLite built with SQLITE_MMAP_READWRITE (never by default), which may write without changing mtime.
 */

/** More than any file system's timestamp granularity (FAT: 2 s). */
const settledMs = 3000;

interface Saved {
  tree: string;
  sha256: string;
  signature: string;
}

export interface Signature {
  text: string;
  /** False while a later write could still look the same. */
  settled: boolean;
}

/** The signature of the live database, or undefined when none can be had. */
export function takeSignature(live: string): Signature | undefined {
  try {
    const [main, wal, shm, journal] = ['', '-wal', '-shm', '-journal'].map((suffix) =>
      statSync(live + suffix, { bigint: true, throwIfNoEntry: false }),
    );
    if (main === undefined || isOpenHere([main, wal, shm])) return undefined;
    const header = readHeader(live);
    if (!isSqliteHeader(header)) return undefined;
    // A journal that begins with zeros was finished (PERSIST); any other belongs to a transaction that may be undone.
    if (
      journal !== undefined &&
      journal.size > 0n &&
      readHeader(`${live}-journal`, 8).some((byte) => byte !== 0)
    )
      return undefined;
    const walMode = journalVersions(header).read !== 1 || wal !== undefined;
    const parts = [
      describe(main),
      header.toString('hex'),
      describe(wal),
      wal === undefined ? '' : readHeader(`${live}-wal`, 32).toString('hex'),
      // Two copies of the wal-index header (walformat.html, 2.1); what follows are marks of readers.
      shm === undefined ? '' : readHeader(`${live}-shm`, 96).toString('hex'),
    ];
    const written = Math.max(
      ...[main, wal].map((stats) =>
        stats === undefined ? 0 : Number(stats.mtimeNs > stats.ctimeNs ? stats.mtimeNs : stats.ctimeNs) / 1e6,
      ),
    );
    return { text: parts.join('\n'), settled: !walMode || Date.now() - written > settledMs };
  } catch {
    return undefined; // files that come and go: somebody is at work on it
  }
}

/** True when the live database is provably the one that `previous` is a copy of. */
export function isUnchanged(
  context: EngineContext,
  previous: CapturedDatabase,
  signature: Signature,
): boolean {
  const text = readFileIfThere(cacheFile(context));
  if (text === undefined) return false;
  try {
    const saved = JSON.parse(text) as Partial<Saved>;
    return (
      saved.tree === previous.tree && saved.sha256 === previous.sha256 && saved.signature === signature.text
    );
  } catch {
    return false;
  }
}

/** Remembers the signature taken before `captured` was copied, when it can be trusted later. */
export function rememberSignature(
  context: EngineContext,
  captured: CapturedDatabase,
  signature: Signature | undefined,
): void {
  if (signature?.settled !== true) return;
  const saved: Saved = { tree: captured.tree, sha256: captured.sha256, signature: signature.text };
  ensurePrivateDir(context.repository.lineDir);
  writeCache(cacheFile(context), `${JSON.stringify(saved)}\n`);
}

function cacheFile(context: EngineContext): string {
  return path.join(context.repository.lineDir, `sqlite-${context.database.name}.json`);
}

function describe(stats: BigIntStats | undefined): string {
  if (stats === undefined) return '-';
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
}

/**
 * True when this process has one of the files open: whoever uses git-pitr as a library may have. Closing another
 * descriptor would drop the locks of those connections.
 */
export function isOpenHere(files: readonly ({ dev: bigint; ino: bigint } | undefined)[]): boolean {
  const wanted = new Set(files.filter((stats) => stats !== undefined).map(({ dev, ino }) => `${dev} ${ino}`));
  let handles: string[];
  try {
    handles = readdirSync('/dev/fd');
  } catch {
    return true; // nobody can tell
  }
  for (const handle of handles) {
    try {
      const { dev, ino } = fstatSync(Number(handle), { bigint: true });
      if (wanted.has(`${dev} ${ino}`)) return true;
    } catch {
      // The descriptor of that very listing.
    }
  }
  return false;
}
