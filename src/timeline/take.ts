import { realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { type Capture, captureWorktree } from '../capture/capture.ts';
import { keepLfsObjects } from '../capture/lfs.ts';
import { readRefs } from '../capture/refs.ts';
import { retryIfLost } from '../capture/retry.ts';
import { isEmptyTree } from '../capture/staged.ts';
import { type Config, readConfig } from '../config/config.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import { type BytePath, bytePath } from '../git/paths.ts';
import { gcStamp } from '../git/gc.ts';
import { inQuarantine } from '../git/quarantine.ts';
import { allowPrestart, dismissPrestarted } from '../git/prestart.ts';
import type { Repository } from '../git/repository.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { progressOf } from '../system/progress.ts';
import { type Lock, takeLock } from '../system/lock.ts';
import { maxMessage } from './limits.ts';
import { type Counting, startCounting } from './measure.ts';
import { prestartRecording, recordSnapshot, type Recorded, type SnapshotRequest } from './record.ts';
import type { Snapshot, SnapshotType } from './snapshot.ts';
import { type EarlyStart, lockFile, wasRight } from './early.ts';
import { readTip } from './tip.ts';

export interface TakeOptions {
  type: SnapshotType;
  trigger: string;
  label?: string;
  message?: string;
  pinned?: boolean;
  allowEmpty?: boolean;
  databases?: boolean;
  /** Take $HOME or / too. */
  force?: boolean;
  /** Paths to record although they are not covered. */
  also?: readonly BytePath[];
  /** What was begun before the repository was known. */
  early?: EarlyStart | undefined;
  /** What to record, where the worktree has been looked through already. */
  capture?: Capture | undefined;
}

export interface Taken extends Recorded {
  capture: Capture;
  databases: CapturedDatabase[];
  failedDatabases: SnapshotRequest['failedDatabases'];
}

/** The line's lock: capture, record and restore of one worktree follow each other. */
export async function lockLine(repository: Repository, config: Config, purpose: string): Promise<Lock> {
  const lock = await takeLock(lockFile(repository), { purpose, timeout: config.lockTimeout });
  try {
    if (lock.diedSince !== undefined) {
      const { cleanUpAfter } = await import('./leftovers.ts');
      await cleanUpAfter(repository, config, lock.diedSince);
    } else if (purpose === 'restore') {
      // One that died without the lock (`--into` needs none), or whose lock somebody removed by hand.
      const { removeScratch } = await import('./leftovers.ts');
      removeScratch(repository, config);
    }
    crashPoint('locked');
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Takes a snapshot of the worktree and its databases. Error: `busy`, and those of its parts. */
export async function takeSnapshot(
  repository: Repository,
  config: Config,
  options: TakeOptions,
): Promise<Taken> {
  const { early } = options;
  const lock =
    early?.lock ??
    (await lockLine(repository, config, options.trigger === 'restore' ? 'restore' : 'snapshot'));
  try {
    return await takeSnapshotLocked(repository, config, options);
  } catch (error) {
    if (!(error instanceof WrongGuess)) throw error;
  } finally {
    lock.release();
  }
  const { early: wrong, ...rest } = options;
  const actual = await (wrong as EarlyStart).actual();
  return takeSnapshot(actual, await readConfig(actual), rest);
}

/** The same for a caller that holds the lock. */
export async function takeSnapshotLocked(
  repository: Repository,
  config: Config,
  options: TakeOptions,
): Promise<Taken> {
  refuseLongMessage(options.label ?? '');
  if (options.force !== true) refuseHome(repository);
  const startedAt = performance.now();
  const epochMs = currentTime();
  allowPrestart();
  const { early: _, capture: __, ...anew } = options;
  try {
    return await retryIfLost(repository, (isAgain) =>
      isAgain
        ? inQuarantine(repository, (apart) => takeOnce(apart, config, anew, epochMs, startedAt))
        : takeOnce(repository, config, options, epochMs, startedAt),
    );
  } finally {
    dismissPrestarted();
  }
}

/** The repository is not the one that was guessed; nothing was recorded. */
class WrongGuess extends Error {}

async function takeOnce(
  repository: Repository,
  config: Config,
  options: TakeOptions,
  epochMs: number,
  startedAt: number,
): Promise<Taken> {
  const { early, also } = options;
  const packs = gcStamp(repository);
  const refs = early?.refs ?? (options.capture === undefined ? readRefs(repository) : undefined);
  const tip = early?.tip ?? readTip(repository, refs);
  tip.catch(() => {}); // awaited when it is used
  let isFirst = false;
  tip.then(
    ({ commit }) => (isFirst = commit === ''),
    () => {},
  );
  let counting: Counting | undefined;
  const capture =
    options.capture ??
    (await captureWorktree(repository, config, {
      also,
      early: early?.scan,
      refs,
      onChange: () => {
        void early?.actual();
        // Whoever needs what could not be started starts it, and meets the error (a full disk) where it is told.
        prestartRecording(repository).catch(() => {});
      },
      onTree: (tree) => {
        if (isFirst && !isEmptyTree(tree)) counting = startCounting(repository, tree);
      },
    }));
  crashPoint('captured');
  const databases = await databasesOf(repository, config, options);
  crashPoint('databases-captured');
  if (early !== undefined && !(await wasRight(early))) throw new WrongGuess();
  progressOf(repository)?.begin('writing the snapshot');
  await keepLfsObjects(repository, config, capture, (await tip).files);
  const recorded = await recordSnapshot(repository, {
    type: options.type,
    trigger: options.trigger,
    ...(options.label === undefined ? {} : { label: options.label }),
    ...(options.message === undefined ? {} : { message: options.message }),
    pinned: options.pinned ?? false,
    allowEmpty: options.allowEmpty ?? false,
    epochMs,
    capture,
    databases: databases.captured,
    failedDatabases: databases.failed,
    startedAt,
    tip,
    counting,
    packs,
  });
  return { ...recorded, capture, databases: databases.captured, failedDatabases: databases.failed };
}

async function databasesOf(repository: Repository, config: Config, options: TakeOptions) {
  if (config.databases.length === 0 || options.databases === false) return { captured: [], failed: [] };
  const { captureDatabases } = await import('../databases/registry.ts');
  return captureDatabases(repository, config, await newestCopies(repository));
}

/** The newest recorded copy of each database: what an unchanged one is recognised by. */
async function newestCopies(repository: Repository): Promise<Map<string, CapturedDatabase>> {
  const { readCatalog } = await import('./catalog.ts');
  const copies = new Map<string, CapturedDatabase>();
  const { snapshots } = await readCatalog(repository, { limit: 50 });
  for (const snapshot of snapshots) {
    for (const copy of await copiesIn(repository, snapshot))
      if (!copies.has(copy.name)) copies.set(copy.name, copy);
    if (copies.size > 0) break;
  }
  return copies;
}

/** The database copies that a snapshot holds; none of those that only its note speaks of. */
export async function copiesIn(repository: Repository, snapshot: Snapshot): Promise<CapturedDatabase[]> {
  if (snapshot.fromTrailers === true) {
    const { copiesWithoutNote } = await import('../databases/unnoted.ts');
    return copiesWithoutNote(repository, snapshot.commit);
  }
  if (snapshot.databases.length === 0) return [];
  const { readTree } = await import('../git/treeEntries.ts');
  const trees = await readTree(repository, `${snapshot.commit}:databases`);
  return snapshot.databases.flatMap((database) => {
    const entry = trees?.get(bytePath(database.name));
    return entry?.mode === '040000' ? [{ ...database, tree: entry.oid }] : [];
  });
}

/** A note that is too long to be read back would lose all that it says. */
function refuseLongMessage(label: string): void {
  if (label.length <= maxMessage) return;
  throw new PitrError(
    'usage',
    `The message has ${label.length} characters; ${maxMessage} are the most. Nothing was recorded.`,
  );
}

/** $HOME or / as a worktree is nearly always a mistake, and then a huge one (opencode #9290, #15977). */
function refuseHome(repository: Repository): void {
  if (repository.worktree !== '/' && repository.worktree !== realHome()) return;
  const what = repository.worktree === '/' ? 'the root of the file system' : 'your home folder';
  throw new PitrError(
    'refused',
    `The working tree is ${what} (${repository.worktree}); nothing was recorded.`,
    {
      hints: ['If that is meant, say so with --force; set pitr.exclude first.'],
    },
  );
}

/** The home folder as git names folders: without symbolic links. */
function realHome(): string {
  try {
    return realpathSync(homedir());
  } catch {
    return ''; // there is none
  }
}
