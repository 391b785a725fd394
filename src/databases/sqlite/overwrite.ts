import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { compareImage } from '../chunks.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { copyFrom, pageReport } from './copy.ts';
import { normaliseHeader, rollbackVersions } from './header.ts';
import { imageVersions, writeTarget } from './image.ts';
import { busyError, type Deadline, openDatabase, untilFree } from './open.ts';
import { verifyLive } from './verify.ts';
import { type Mark, sameMark, Watch } from './watch.ts';

export interface Overwrite {
  /** A private database file with at least one page, whose header says "rollback journal". */
  source: string;
  /** The copy that stands for what is overwritten. */
  now: CapturedDatabase;
  deadline: Deadline;
}

/**
 * Copies a database *into* the live file through the backup API, so that every open connection sees it and SQLite's
 * own journal makes it all or nothing. (Replacing the file is what fails: a stale `-wal` mixes two states, and a
 * connection that has the old file open commits into nowhere.)
 *
 * No commit is lost: the live database is compared with `now`, and under the write lock that the copy takes before
 * its first page, nothing must have been committed since.
 */
export async function overwriteLive(
  context: EngineContext,
  live: string,
  { source, now, deadline }: Overwrite,
): Promise<void> {
  const { name } = context.database;
  const watch = await untilFree(name, deadline, () => Watch.open(live));
  try {
    const before = await replace(context, live, watch, source, deadline, () =>
      requireState(context, watch, now, deadline),
    );
    crashPoint('database-copied');
    const found = await verifyLive(context, watch, before, source, deadline);
    if (found.result === 'wrong') {
      await putBack(context, live, watch, found.mark, now, deadline);
      throw new PitrError(
        'integrity',
        `After the copy, the database "${name}" was not what was recorded; it is back in the state from before the restore.`,
        {
          hints: ['Check the disk and the memory of this machine, and git fsck --full.'],
        },
      );
    }
    checkpoint(watch);
    watch.sync();
  } finally {
    watch.close();
  }
}

/** Retries until the copy is done; gives the mark from under the lock, right before it. */
async function replace(
  context: EngineContext,
  live: string,
  watch: Watch,
  source: string,
  deadline: Deadline,
  check: () => Promise<Mark>,
): Promise<Mark> {
  let mark = await check();
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 50)) {
    const outcome = await copyUnderLock(context, source, live, () => sameMark(mark, watch.mark()), deadline);
    if (outcome === 'copied') return mark;
    if (Date.now() >= deadline.at) throw busyError(context.database.name);
    deadline.signal?.throwIfAborted();
    if (outcome === 'moved') mark = await check();
    else await sleep(wait);
  }
}

/** Makes sure that the live database is what `now` recorded, and gives the mark for which that was true. */
export async function requireState(
  context: EngineContext,
  watch: Watch,
  now: CapturedDatabase,
  deadline: Deadline,
): Promise<Mark> {
  for (;;) {
    const before = watch.mark();
    const copy = await copyFrom(context, watch.connection, 'now.db', deadline);
    const after = watch.mark();
    // The journal mode is not content: an application may have switched it.
    normaliseHeader(copy.file, await imageVersions(context.repository, now));
    if (!after.file || !(await compareImage(context.repository, now.tree, copy.file))) {
      throw new PitrError(
        'refused',
        `The database "${now.name}" was changed while the restore was under way; it was left as it is.`,
        {
          hints: [
            'Run the command again: the new state is recorded first.',
            'Stop the program that writes to it, if it keeps doing so.',
          ],
        },
      );
    }
    if (sameMark(before, after)) return after;
    // Only the bookkeeping moved (a checkpoint), or a commit came after the copy: look again.
    if (Date.now() >= deadline.at) throw busyError(now.name);
  }
}

type Outcome = 'copied' | 'busy' | 'moved';

/** Pages between two looks at the event loop; the write lock is held from the first to the last. */
const pagesAStep = 8192;

const moved = Symbol('moved');

/**
 * One try. better-sqlite3's first step copies no page but takes the destination's write lock (exclusive in the
 * rollback modes), and then calls `progress`. Without the lock it resolves all the same, with nothing copied and
 * without having called it (12.11.1, lib/methods/backup.js: zero pages remain of zero).
 */
async function copyUnderLock(
  context: EngineContext,
  source: string,
  live: string,
  unchanged: () => boolean,
  deadline: Deadline,
): Promise<Outcome> {
  const connection = await openDatabase(source, { readonly: true });
  const report = pageReport(context, `restoring the database ${context.database.name}`, connection);
  let locked = false;
  try {
    const { totalPages, remainingPages } = await connection.backup(live, {
      progress: (pages) => {
        deadline.signal?.throwIfAborted();
        // Thrown before the first page is copied: the backup is closed and its empty transaction rolled back.
        if (!locked && !unchanged()) throw moved;
        locked = true;
        report(pages);
        return pagesAStep;
      },
    });
    return locked && totalPages > 0 && remainingPages === 0 ? 'copied' : 'busy';
  } catch (error) {
    if (error === moved) return 'moved';
    throw error;
  } finally {
    connection.close();
  }
}

async function putBack(
  context: EngineContext,
  live: string,
  watch: Watch,
  mark: Mark,
  now: CapturedDatabase,
  deadline: Deadline,
): Promise<void> {
  const file = `${context.scratchDir}/back.db`;
  await writeTarget(context, now, file);
  normaliseHeader(file, rollbackVersions);
  const outcome = await copyUnderLock(context, file, live, () => sameMark(mark, watch.mark()), deadline);
  if (outcome === 'copied') return;
  throw new PitrError(
    'integrity',
    `After the copy, the database "${now.name}" was not what was recorded, and could not be put back: another connection ${outcome === 'busy' ? 'keeps it locked' : 'has changed it since'}.`,
    {
      hints: ['git pitr undo puts it back.'],
    },
  );
}

/** Moves what is in the WAL into the file, as far as readers allow: else the WAL stays as large as the database. */
export function checkpoint(watch: Watch): void {
  if (!watch.inWalMode) return;
  try {
    watch.connection.pragma('wal_checkpoint(TRUNCATE)');
  } catch {
    // Somebody reads or writes; the next checkpoint does it. The rows are committed either way.
  }
}
