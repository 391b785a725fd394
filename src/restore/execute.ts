import { retryIfLost } from '../capture/retry.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { messageOf, PitrError } from '../errors.ts';
import { displayPath } from '../git/paths.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { progressOf } from '../system/progress.ts';
import { lockLine, type Taken, takeSnapshotLocked } from '../timeline/take.ts';
import { applyFiles, lookAtPlan } from './apply.ts';
import { type DatabasePlan, requireFree, requireRecorded, restoreDatabase } from './databases.ts';
import { copiesAt, databasesMadeBy, driveTo } from './drive.ts';
import { foldersInUse } from './folders.ts';
import { holdContents, releaseContents } from './hold.ts';
import {
  beginOperation,
  finishOperation,
  forgetOperation,
  type Operation,
  refuseWhileInterrupted,
} from './journal.ts';
import type { Context, PreparedRestore, Replanned } from './request.ts';
import { stageFiles } from './stage.ts';
import { movedSince, requireWritten } from './verify.ts';

export interface RestoreOutcome {
  /** The snapshot of the state before; `undo` goes back to it. */
  safety: { id: string; commit: string };
  applied: boolean;
  /** Databases in scope that were left alone, and why: then it was done in part. */
  databasesLeft: PreparedRestore['databasesLeft'];
}

export interface ExecuteOptions {
  /** Carry on over uncommitted changes (they are in the safety snapshot). */
  force: boolean;
  /**
   * The plan was made a moment ago and nobody was shown it or asked in between: what it was made from counts as the
   * state before, without looking through the whole worktree again. What the plan touches is looked at again anyway.
   */
  atOnce?: boolean;
}

/**
 * Carries out a prepared restore: safety snapshot, guard, staging, journal, files, databases. All or nothing: when a
 * part fails, what was done is taken back.
 * Errors: `refused` by the guard, or when the working copy moved since the plan was made (nothing is changed then);
 * those of the engines; `interruptedRestore` when taking back failed too.
 */
export async function executeRestore(
  context: Context,
  prepared: PreparedRestore,
  options: ExecuteOptions,
): Promise<RestoreOutcome> {
  const { repository, config } = context;
  if (!options.force) refuseUncommitted(prepared);
  const lock = await lockLine(repository, config, 'restore');
  try {
    refuseWhileInterrupted(repository);
    if (prepared.index.length > 0) await (await import('./staged.ts')).requireIndexFree(repository);
    await requireFree(context, prepared.databases);
    const now = await takeSafety(context, prepared, options);
    const outcome = { safety: { id: now.id, commit: now.commit }, databasesLeft: prepared.databasesLeft };
    await requireSamePlan(prepared, now);
    if (changesNothing(prepared)) return { ...outcome, applied: true };
    await carryOut(context, prepared, now);
    return { ...outcome, applied: true };
  } finally {
    lock.release();
  }
}

/** True when all that is in scope is as it was then. */
export function changesNothing(prepared: PreparedRestore): boolean {
  const { entries, createDirs, removeDirs } = prepared.plan;
  return (
    entries.length + createDirs.length + removeDirs.length === 0 &&
    prepared.databases.every(({ action }) => action === 'unchanged') &&
    prepared.index.length === 0
  );
}

/** Error: `refused`, listing the uncommitted changes that the plan would overwrite or delete. */
export function refuseUncommitted(prepared: PreparedRestore): void {
  const paths = [
    ...[...prepared.uncommitted].map(displayPath),
    ...prepared.changedDatabases.map((name) => `the database ${name}`),
  ];
  if (paths.length === 0) return;
  const shown = paths.slice(0, 10).join(', ') + (paths.length > 10 ? ` and ${paths.length - 10} more` : '');
  const what =
    prepared.kind === 'undo'
      ? 'changed since the restore that is to be undone'
      : 'uncommitted changes that the restore would overwrite or delete';
  throw new PitrError(
    'refused',
    `${paths.length} ${paths.length === 1 ? 'path has' : 'paths have'} ${what}: ${shown}. Nothing was changed.`,
    {
      hints: [
        '--force (or --yes) goes on; the present state is recorded first, and git pitr undo brings it back.',
        '--keep-changes leaves just these paths alone.',
        '--dry-run shows the whole plan.',
      ],
      details: { uncommitted: paths },
    },
  );
}

function takeSafety(context: Context, prepared: PreparedRestore, options: ExecuteOptions): Promise<Taken> {
  const what = prepared.kind === 'undo' ? 'before undo' : `before restore to ${prepared.snapshot.id}`;
  return takeSnapshotLocked(context.repository, context.config, {
    type: 'safety',
    trigger: 'restore',
    message: what,
    also: prepared.also,
    force: true,
    ...(options.atOnce === true ? { capture: prepared.capture } : {}),
  });
}

/** The plan shown is the plan done. */
async function requireSamePlan(prepared: PreparedRestore, now: Taken): Promise<void> {
  const fresh = await prepared.replan(now.capture, now.databases);
  const key = ({ plan, index }: Replanned) =>
    new Map([
      ...plan.entries.map((entry) => [entry.path, JSON.stringify(entry)] as const),
      ...index.map((change) => [`index ${change.path}`, JSON.stringify(change)] as const),
    ]);
  const [shown, found] = [key(prepared), key(fresh)];
  const moved = [...new Set([...shown.keys(), ...found.keys()])].filter(
    (path) => shown.get(path) !== found.get(path),
  );
  if (moved.length > 0) throw movedError(moved.map(displayPath));
}

function movedError(paths: readonly string[]): PitrError {
  return new PitrError(
    'refused',
    `The working copy changed after the plan was made (${paths.slice(0, 10).join(', ')}); nothing was changed.`,
    {
      hints: ['Run the command again for the new plan.'],
      details: { moved: paths },
    },
  );
}

/** One restore at work. */
interface Run {
  operation: Operation;
  /** The copies that stand for what is overwritten. */
  copies: Map<string, CapturedDatabase>;
}

async function carryOut(context: Context, prepared: PreparedRestore, now: Taken): Promise<void> {
  const { repository } = context;
  const { plan } = prepared;
  // What is not there comes last: a database that was made cannot be taken back when another one fails.
  const isThere = ({ name }: { name: string }) => now.databases.some((copy) => copy.name === name);
  const databases = prepared.databases
    .filter(({ action }) => action === 'restore')
    .toSorted((a, b) => Number(isThere(b)) - Number(isThere(a)));
  requireRecorded(databases, now.failedDatabases);
  crashPoint('safety-taken');
  const stage = await stageFiles(context, repository.worktree, plan.entries);
  try {
    crashPoint('staged');
    const seen = lookAtPlan(repository.worktree, plan);
    const moved = await retryIfLost(repository, () =>
      movedSince(context, plan, now.capture, prepared.also, seen),
    );
    if (moved.length > 0) throw movedError(moved.map(displayPath));
    const run: Run = {
      operation: operationOf(repository.worktree, prepared, now, databases),
      copies: new Map(now.databases.map((copy) => [copy.name, copy])),
    };
    if (run.operation.holds !== undefined) await holdContents(repository, run.operation.holds);
    crashPoint('held');
    beginOperation(repository, run.operation);
    crashPoint('journal-written');
    try {
      await applyFiles(plan, {
        root: repository.worktree,
        stage,
        seen,
        progress: progressOf(repository),
      });
      if (prepared.index.length > 0) await (await import('./staged.ts')).applyIndex(context, prepared.index);
      for (const { target, tables } of databases) {
        await restoreOne(context, run, target, tables);
        crashPoint('database-restored');
      }
      requireWritten(context, plan);
      crashPoint('verified');
    } catch (error) {
      throw await takenBack(context, run, error);
    }
    finishOperation(repository);
    crashPoint('journal-finished');
    if (run.operation.holds !== undefined) await releaseContents(repository);
  } finally {
    stage.remove();
    crashPoint('stage-removed');
  }
}

function operationOf(
  root: string,
  prepared: PreparedRestore,
  now: Taken,
  databases: readonly DatabasePlan[],
): Operation {
  const { snapshot, plan, target } = prepared;
  const tables = databases.flatMap(({ name, tables: some }) =>
    some === undefined ? [] : [[name, some] as const],
  );
  return {
    version: 1,
    kind: prepared.kind,
    startedAt: new Date(currentTime()).toISOString(),
    target: { id: snapshot.id, commit: target.commit, time: snapshot.time },
    before: { id: now.id, commit: now.commit, time: new Date(currentTime()).toISOString() },
    files: plan.entries,
    createDirs: plan.createDirs,
    removeDirs: plan.removeDirs,
    keepDirs: plan.keepDirs,
    hadDirs: foldersInUse(root, plan),
    databases: databases.map(({ name }) => name),
    ...(tables.length === 0 ? {} : { tables: Object.fromEntries(tables) }),
    databasesBefore: {},
    index: prepared.index,
    ...(plan.contents === undefined || plan.contents === '' ? {} : { holds: plan.contents }),
  };
}

const databaseTurns = 5;

/** A busy database moves between the safety snapshot and its restore: then it is recorded again first. */
async function restoreOne(
  context: Context,
  run: Run,
  target: CapturedDatabase,
  tables: readonly string[] | undefined,
): Promise<void> {
  const { repository, config } = context;
  for (let turn = 1; ; turn++) {
    try {
      await restoreDatabase(repository, config, target, run.copies.get(target.name), tables);
      return;
    } catch (error) {
      if (!(error instanceof PitrError) || error.kind !== 'refused' || turn === databaseTurns) throw error;
      if (error.details['tables'] !== undefined) throw error; // it would be refused again
      const again = await takeSnapshotLocked(repository, config, {
        type: 'safety',
        trigger: 'restore',
        message: `database ${target.name} before its restore`,
        force: true,
      });
      const copy = again.databases.find(({ name }) => name === target.name);
      if (copy === undefined) throw error;
      run.copies.set(target.name, copy);
      run.operation.databasesBefore[target.name] = again.commit;
      beginOperation(repository, run.operation);
    }
  }
}

/** Takes back what a failed restore did. The error says which state there is now. */
async function takenBack(context: Context, run: Run, error: unknown): Promise<unknown> {
  const { repository } = context;
  const kind = error instanceof PitrError ? error.kind : 'failed';
  const hints = error instanceof PitrError ? error.hints : [];
  const details = error instanceof PitrError ? error.details : {};
  try {
    await driveTo(context, run.operation, 'before', { force: true });
    const made = await databasesMadeBy(
      context,
      run.operation,
      await copiesAt(context, run.operation, 'before'),
    );
    forgetOperation(repository);
    if (run.operation.holds !== undefined) await releaseContents(repository);
    const but = made.length === 0 ? '' : `, but for what was not there: ${made.join(', ')}`;
    return new PitrError(
      kind,
      `${messageOf(error)} What had been restored was taken back: everything is as it was before${but}.`,
      { hints, details, cause: error },
    );
  } catch (second) {
    return new PitrError(
      'interruptedRestore',
      `${messageOf(error)} Taking back what had been done failed too: ${messageOf(second)}`,
      {
        hints: [
          'git pitr restore --abort tries again to bring back the state before.',
          `That state is snapshot ${run.operation.before.id}.`,
        ],
        cause: error,
      },
    );
  }
}
