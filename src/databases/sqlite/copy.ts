import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { currentTime } from '../../system/clock.ts';
import { progressOf } from '../../system/progress.ts';
import type { EngineContext } from '../engine.ts';
import {
  headerSize,
  type JournalVersions,
  journalVersions,
  normaliseHeader,
  readHeader,
  rollbackVersions,
} from './header.ts';
import { codeOf, type Connection, type Deadline, openDatabase, untilFree } from './open.ts';

/** A consistent private copy of a live database, through SQLite's online backup API. */

export interface PrivateCopy {
  file: string;
  /** Milliseconds since the epoch: the copy is the state of this instant. */
  instant: number;
  /** The live file's own; the copy says "rollback journal" for now, so that opening it leaves nothing beside it. */
  versions: JournalVersions;
}

/** Pages copied between two looks at the event loop: some 30 ms. */
const pagesAStep = 8192;

/** Copies the live database into `<scratchDir>/<as>`, while others read and write it. */
export async function copyLive(
  context: EngineContext,
  live: string,
  as: string,
  deadline: Deadline,
): Promise<PrivateCopy> {
  const connection = await untilFree(context.database.name, deadline, () => openForReading(live));
  try {
    return await copyFrom(context, connection, as, deadline);
  } finally {
    connection.close();
  }
}

/**
 * Copies what a connection sees. Its one read transaction spans the whole copy: the copy is of one instant, and is
 * not begun anew at each commit of somebody else (which a busy writer could make last for ever).
 */
export async function copyFrom(
  context: EngineContext,
  connection: Connection,
  as: string,
  deadline: Deadline,
): Promise<PrivateCopy> {
  const file = path.join(context.scratchDir, as);
  const instant = await untilFree(context.database.name, deadline, () => beginReading(connection));
  try {
    if (isEmpty(connection)) {
      // The backup API would make a page of it.
      writeFileSync(file, '', { mode: 0o600 });
      return { file, instant, versions: rollbackVersions };
    }
    const report = pageReport(context, `copying the database ${context.database.name}`, connection);
    const { totalPages, remainingPages } = await connection.backup(file, {
      progress: (pages) => {
        context.signal?.throwIfAborted();
        report(pages);
        return pagesAStep;
      },
    });
    // better-sqlite3 resolves when the first step finds the destination locked, with nothing copied.
    if (totalPages === 0 || remainingPages !== 0 || statSync(file).size < headerSize)
      throw new Error(`SQLite copied nothing of ${connection.name}`);
  } finally {
    if (connection.inTransaction) connection.exec('ROLLBACK');
  }
  const versions = journalVersions(readHeader(file));
  normaliseHeader(file, rollbackVersions);
  return { file, instant, versions };
}

export interface Pages {
  totalPages: number;
  remainingPages: number;
}

/** Tells how far a backup has come, in bytes. */
export function pageReport(
  { repository }: EngineContext,
  what: string,
  connection: Connection,
): (pages: Pages) => void {
  const progress = progressOf(repository);
  if (progress === undefined) return () => {};
  const pageBytes = Number(connection.pragma('page_size', { simple: true }));
  let total = -1;
  let told = 0;
  return ({ totalPages, remainingPages }) => {
    if (totalPages !== total) progress.begin(what, { bytes: totalPages * pageBytes });
    if (totalPages !== total) told = 0;
    total = totalPages;
    const done = (totalPages - remainingPages) * pageBytes;
    progress.advance({ bytes: done - told });
    told = done;
  };
}

/** Starts a read transaction that lasts until ROLLBACK; gives the instant it stands for. Error: SQLITE_BUSY. */
export function beginReading(connection: Connection): number {
  connection.exec('BEGIN');
  try {
    // Takes the read lock without needing the schema, which may use what is not here.
    connection.pragma('user_version');
    return currentTime();
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

/**
 * Read-only where a WAL file is waiting: the last connection to close writes the WAL back and deletes it, which is
 * not for a backup to do. Otherwise read-write, because a read-only connection leaves an empty WAL file behind, and
 * because a hot journal after a crash must be rolled back, as any reader does.
 */
export async function openForReading(live: string): Promise<Connection> {
  const wal = statSync(`${live}-wal`, { throwIfNoEntry: false });
  if (wal !== undefined && wal.size > 0) {
    const connection = await openDatabase(live, { readonly: true });
    try {
      connection.pragma('user_version');
      return connection;
    } catch (error) {
      connection.close();
      if (!/^SQLITE_(READONLY|CANTOPEN)/.test(codeOf(error))) throw error;
    }
  }
  try {
    return await openDatabase(live, { readonly: false });
  } catch (error) {
    if (!/^SQLITE_(READONLY|CANTOPEN|PERM)/.test(codeOf(error))) throw error;
    return openDatabase(live, { readonly: true });
  }
}

export function isEmpty(connection: Connection): boolean {
  try {
    return connection.pragma('page_count', { simple: true }) === 0;
  } catch {
    return false; // page_count wants a readable schema; an empty database has one
  }
}
