import { type Capture, captureWorktree } from '../capture/capture.ts';
import { retryIfLost } from '../capture/retry.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import type { BytePath } from '../git/paths.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { findSnapshot } from '../timeline/catalog.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine, takeSnapshotLocked } from '../timeline/take.ts';
import { type DatabasePlan, requireRecorded, settleTables } from './databases.ts';
import { copiesAt, databasesMadeBy, driveTo, type End, wayTo } from './drive.ts';
import { releaseContents } from './hold.ts';
import {
  finishOperation,
  forgetOperation,
  interruptedOperation,
  lastOperation,
  type Operation,
  refuseWhileInterrupted,
} from './journal.ts';
import { leaveAlone } from './plan.ts';
import type { Context, PreparedRestore } from './request.ts';
import { stateOf } from './target.ts';

/**
 * Works out what takes back the last restore: exactly its paths and databases, back to how they were. Taking back an
 * undo is a redo. Nothing is changed. Error: `noMatch` when nothing was restored here yet.
 */
export async function prepareUndo(
  context: Context,
  options: { keepChanges: boolean },
): Promise<PreparedRestore> {
  const { repository, config } = context;
  refuseWhileInterrupted(repository);
  const operation = lastOperation(repository);
  if (operation === undefined) {
    throw new PitrError('noMatch', 'There is nothing to undo: no restore was carried out in this worktree.', {
      hints: ['git pitr list shows the snapshots.'],
    });
  }
  const snapshot = await findSnapshot(repository, operation.before);
  if (snapshot === undefined) {
    throw new PitrError(
      'integrity',
      `The state before the last restore (snapshot ${operation.before.id}) is no longer there; nothing was changed.`,
    );
  }
  const lock = await lockLine(repository, config, 'restore');
  try {
    return await retryIfLost(repository, () => prepareLocked(context, operation, snapshot, options));
  } finally {
    lock.release();
  }
}

async function prepareLocked(
  context: Context,
  operation: Operation,
  snapshot: Snapshot,
  options: { keepChanges: boolean },
): Promise<PreparedRestore> {
  const { repository, config } = context;
  const also = operation.files.map(({ path }) => path);
  const capture = await captureWorktree(repository, config, { also });
  const way = await wayTo(context, operation, 'before', capture);
  const { changed } = way;
  const kept = options.keepChanges ? changed : new Set<BytePath>();
  const replan = async (now: Capture) => {
    const { plan, index } = now === capture ? way : await wayTo(context, operation, 'before', now);
    return {
      plan: leaveAlone(plan, kept, 'it changed since the restore (--keep-changes)'),
      index: index.filter(({ path }) => !kept.has(path)),
    };
  };
  const databases = await undoDatabases(context, operation, options);
  return {
    kind: 'undo',
    snapshot,
    target: await stateOf(repository, snapshot),
    ...(await replan(capture)),
    capture,
    ...databases,
    uncommitted: new Set([...changed].filter((path) => !kept.has(path))),
    also,
    replan,
  };
}

async function undoDatabases(
  context: Context,
  operation: Operation,
  options: { keepChanges: boolean },
): Promise<Pick<PreparedRestore, 'databases' | 'databasesLeft' | 'changedDatabases'>> {
  const { repository, config } = context;
  const targets = await copiesAt(context, operation, 'before');
  const restored = await copiesAt(context, operation, 'after');
  const { captureDatabases } = await import('../databases/registry.ts');
  const names = targets.map(({ name }) => name);
  const only = { ...config, databases: config.databases.filter(({ name }) => names.includes(name)) };
  const newest = new Map(restored.map((copy) => [copy.name, copy]));
  const { captured, failed } =
    names.length === 0 ? { captured: [], failed: [] } : await captureDatabases(repository, only, newest);
  const planned = targets.map((target): DatabasePlan => {
    const database = config.databases.find(({ name }) => name === target.name);
    const now = captured.find(({ name }) => name === target.name);
    const tables = operation.tables?.[target.name];
    return {
      name: target.name,
      engine: target.engine,
      path: database?.path ?? '',
      action: now?.tree === target.tree ? 'unchanged' : 'restore',
      target,
      ...(tables === undefined ? {} : { tables }),
    };
  });
  const databases = await settleTables(context, planned, { captured, failed });
  requireRecorded(databases, failed);
  const changed: CapturedDatabase[] = [];
  for (const now of captured) {
    const ends = [newest.get(now.name), targets.find(({ name }) => name === now.name)];
    if (!(await isOneOf(context, now, ends, operation.tables?.[now.name]))) changed.push(now);
  }
  const kept = new Set(options.keepChanges ? changed.map(({ name }) => name) : []);
  return {
    databases: databases.filter(({ name }) => !kept.has(name)),
    databasesLeft: [
      ...(await databasesMadeBy(context, operation, targets)).map((name) => ({
        name,
        reason: 'it was not there before the restore, and a database is never removed: do that yourself',
      })),
      ...[...kept].map((name) => ({
        name,
        reason: 'it changed since the restore (--keep-changes)',
        asked: true,
      })),
    ],
    changedDatabases: changed.map(({ name }) => name).filter((name) => !kept.has(name)),
  };
}

/** True when a database, or tables of it, are as in one of these copies. */
async function isOneOf(
  { repository, config }: Context,
  now: CapturedDatabase,
  copies: readonly (CapturedDatabase | undefined)[],
  tables: readonly string[] | undefined,
): Promise<boolean> {
  if (copies.some((copy) => copy?.tree === now.tree)) return true;
  if (tables === undefined) return false;
  const { anyDifferenceOf } = await import('../databases/rowDiff.ts');
  for (const copy of copies) {
    const compared = { name: now.name, from: copy, to: now };
    if (copy !== undefined && !(await anyDifferenceOf(repository, config, compared, tables))) return true;
  }
  return false;
}

/**
 * Finishes (`after`) or takes back (`before`) a restore that was interrupted. What is there now is recorded first.
 * Errors: `noMatch` when none is; `refused` when paths changed meanwhile, unless `force`.
 */
export async function resumeRestore(
  context: Context,
  end: End,
  options: { force: boolean },
): Promise<{ operation: Operation; safety: { id: string; commit: string }; databasesLeft: string[] }> {
  const { repository, config } = context;
  const lock = await lockLine(repository, config, 'restore');
  try {
    const operation = interruptedOperation(repository);
    if (operation === undefined)
      throw new PitrError(
        'noMatch',
        'No restore was interrupted here; there is nothing to continue or abort.',
      );
    const safety = await takeSnapshotLocked(repository, config, {
      type: 'safety',
      trigger: 'restore',
      message: end === 'after' ? 'before restore --continue' : 'before restore --abort',
      also: operation.files.map(({ path }) => path),
      force: true,
    });
    crashPoint('safety-taken');
    if (operation.refs === undefined) await driveTo(context, operation, end, options);
    else await (await import('../refs/apply.ts')).driveRefs(context, operation, end, options);
    crashPoint('driven');
    const databasesLeft =
      end === 'after'
        ? []
        : await databasesMadeBy(context, operation, await copiesAt(context, operation, end));
    if (end === 'after') finishOperation(repository);
    else forgetOperation(repository);
    crashPoint(end === 'after' ? 'journal-finished' : 'journal-removed');
    if (operation.holds !== undefined) await releaseContents(repository);
    return { operation, safety: { id: safety.id, commit: safety.commit }, databasesLeft };
  } finally {
    lock.release();
  }
}
