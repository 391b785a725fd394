import {
  copyFileSync,
  chmodSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  closeSync,
  fsyncSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { besideDatabase } from '../../capture/capture.ts';
import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { syncDir } from '../../system/files.ts';
import { ownedName } from '../../system/owned.ts';
import type { EngineContext } from '../engine.ts';
import { readHeader } from './header.ts';

/**
 * Puts a database where there is none: built beside it, then linked into place, which is atomic and fails when a file
 * has appeared there meanwhile. It has the journal mode that it was recorded with.
 */
export function createLive(context: EngineContext, source: string, live: string): void {
  const { name } = context.database;
  const folder = path.dirname(live);
  mkdirSync(folder, { recursive: true });
  removeCompanions(name, live);
  const beside = path.join(folder, `${besideDatabase(live)}${ownedName()}`);
  try {
    copyFileSync(source, beside, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    chmodSync(beside, 0o666 & ~process.umask());
    syncFile(beside);
    crashPoint('database-built');
    linkSync(beside, live);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new PitrError(
      'refused',
      `A file has appeared at ${live} while the database "${name}" was restored; it was left as it is.`,
      {
        hints: ['Run the command again: the file is recorded first.'],
      },
    );
  } finally {
    rmSync(beside, { force: true });
  }
  syncDir(folder);
}

/**
 * A stale `-wal` or hot `-journal` would be played into the new file: with it, integrity_check says ok while rows of
 * another time are there. They may also hold the only trace of rows that no snapshot has, so one with content is for a
 * person to move. Empty ones and the `-shm` (an index of the WAL) hold nothing.
 */
function removeCompanions(name: string, live: string): void {
  const companions = [`${live}-wal`, `${live}-journal`].filter((file) => holdsData(file));
  if (companions.length > 0) {
    throw new PitrError(
      'refused',
      `The database "${name}" is gone, but SQLite's ${companions.map((file) => path.basename(file)).join(' and ')} is still there and may hold rows of it. Nothing was changed.`,
      {
        hints: [
          ...companions.map((file) => `mv ${file} ${file}.stale`),
          'Then run the command again. Stop any program that still has the old database open.',
        ],
      },
    );
  }
  for (const suffix of ['-wal', '-journal', '-shm']) rmSync(live + suffix, { force: true });
}

function holdsData(file: string): boolean {
  if (!existsSync(file) || statSync(file).size === 0) return false;
  // A journal kept by journal_mode = PERSIST begins with zeros once its transaction is done.
  return !file.endsWith('-journal') || readHeader(file, 8).some((byte) => byte !== 0);
}

function syncFile(file: string): void {
  const handle = openSync(file, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
