import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database as Connection } from 'better-sqlite3';
import { messageOf, PitrError } from '../../errors.ts';
import { followLinks } from '../../system/files.ts';
import type { EngineContext } from '../engine.ts';

export type { Connection };

/** Opening databases, waiting for their locks, and what SQLite's errors mean. */

/**
 * The live file of a database: absolute, symbolic links resolved (SQLite puts `-wal` and `-journal` beside the file
 * itself, not beside a link to it). The file need not exist. Errors: no path registered, a path SQLite cannot have.
 */
export function livePath(context: EngineContext): string {
  const { name, path: file } = context.database;
  if (file === undefined) {
    throw new PitrError('usage', `The SQLite database "${name}" is registered without a path.`, {
      hints: [`git config pitr.database.${name}.path <file>`],
    });
  }
  // better-sqlite3 trims file names: it would open another file.
  if (file !== file.trim()) {
    throw new PitrError(
      'failed',
      `The path of the database "${name}" begins or ends with a space, which cannot be opened: "${file}"`,
    );
  }
  return followLinks(file);
}

/** Error: `failed`, when there is no regular file; with the detail `missing`, when there is nothing at all. */
export function requireFile(name: string, file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isFile() === true) return;
  const what = stats === undefined ? 'does not exist' : 'is not a file';
  throw new PitrError('failed', `The database "${name}" cannot be read: ${file} ${what}.`, {
    hints: [
      `If it has moved: git config pitr.database.${name}.path <file>`,
      `If it is gone for good: git config --remove-section pitr.database.${name}`,
    ],
    details: { missing: stats === undefined },
  });
}

/** Opens an existing database. Waits for nobody: `untilFree` does, without blocking the event loop. */
export async function openDatabase(file: string, options: { readonly: boolean }): Promise<Connection> {
  const { default: Database } = await import('better-sqlite3');
  const connection = new Database(file, { fileMustExist: true, readonly: options.readonly, timeout: 0 });
  try {
    // 16 MB by default; pages are read once, in order, so a cache gains nothing.
    connection.pragma('cache_size = -2000');
    // The schema is data of somebody else's: nothing in it may call what it should not.
    connection.pragma('trusted_schema = OFF');
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

export interface Deadline {
  /** Milliseconds since the epoch. */
  at: number;
  signal?: AbortSignal;
}

export function deadlineOf(context: EngineContext): Deadline {
  return {
    at: Date.now() + context.config.lockTimeout,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  };
}

/** Repeats `work` while another connection's lock is in its way. Error: `busy` past the deadline. */
export async function untilFree<Result>(
  name: string,
  deadline: Deadline,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 50)) {
    deadline.signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (Date.now() >= deadline.at) throw busyError(name, error);
    }
    await sleep(wait);
  }
}

export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(codeOf(error));
}

export function busyError(name: string, cause?: unknown): PitrError {
  return new PitrError(
    'busy',
    `The database "${name}" is in use: another connection keeps it locked. It was not changed.`,
    {
      hints: [
        'Let the other program finish its transaction, or stop it, and run the command again.',
        'git config pitr.lockTimeout 2m waits longer.',
      ],
      cause,
    },
  );
}

/** SQLite's own name of an error, such as SQLITE_CORRUPT; '' for any other error. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : '';
}

/** What an error of SQLite means for a person; other errors are given back as they are. */
export function explain(name: string, file: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === '') return error;
  if (isBusy(error)) return busyError(name, error);
  if (code === 'SQLITE_NOTADB') return notADatabase(name, file, error);
  if (code.startsWith('SQLITE_CORRUPT')) return damaged(name, file, messageOf(error), error);
  if (code === 'SQLITE_FULL')
    return new PitrError('failed', `The disk is full: the database "${name}" (${file}).`, { cause: error });
  if (code.startsWith('SQLITE_READONLY') || code === 'SQLITE_PERM' || code.startsWith('SQLITE_CANTOPEN')) {
    return new PitrError(
      'failed',
      `The database "${name}" cannot be opened: ${messageOf(error)} (${file}).`,
      {
        hints: [
          'SQLite needs to write beside the file, also to read it: check the permissions of the file and of its folder.',
        ],
        cause: error,
      },
    );
  }
  return new PitrError(
    'failed',
    `SQLite could not do it: ${messageOf(error)} (${code}, database "${name}", ${file}).`,
    { cause: error },
  );
}

function notADatabase(name: string, file: string, cause?: unknown): PitrError {
  return new PitrError(
    'failed',
    `The database "${name}" is not a SQLite database, or it is encrypted: ${file}`,
    {
      hints: [
        'git-pitr cannot read encrypted databases (SQLCipher, SEE): record a copy of the file, or a dump, instead.',
      ],
      cause,
    },
  );
}

export function damaged(name: string, file: string, reason: string, cause?: unknown): PitrError {
  return new PitrError('integrity', `The database "${name}" is damaged: ${reason} (${file}).`, {
    hints: [
      `sqlite3 ${file} "PRAGMA integrity_check" shows all of it.`,
      `An earlier state: git pitr list, then git pitr restore --snapshot <id> --db ${name}`,
    ],
    cause,
  });
}
