import { type Capture, captureWorktree } from '../capture/capture.ts';
import { PitrError } from '../errors.ts';
import type { BytePath } from '../git/paths.ts';
import { readSnapshot } from '../timeline/catalog.ts';
import { lockLine, takeSnapshotLocked } from '../timeline/take.ts';
import type { DatabasePlan } from './databases.ts';
import { copiesAt, driveTo, type End, wayTo } from './drive.ts';
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
  const snapshot = await readSnapshot(repository, operation.before.commit);
  if (snapshot === undefined) {
    throw new PitrError(
      'integrity',
      `The state before the last restore (snapshot ${operation.before.id}) is no longer there; nothing was changed.`,
    );
  }
  const lock = await lockLine(repository, config, 'restore');
  try {
    const also = operation.files.map(({ path }) => path);
    const capture = await captureWorktree(repository, config, { also });
    const { changed } = await wayTo(context, operation, 'before', capture);
    const kept = options.keepChanges ? changed : new Set<BytePath>();
    const replan = async (now: Capture) =>
      leaveAlone(
        (await wayTo(context, operation, 'before', now)).plan,
        kept,
        'it changed since the restore (--keep-changes)',
      );
    const { databases, changedDatabases } = await undoDatabases(context, operation);
    return {
      kind: 'undo',
      snapshot,
      target: await stateOf(repository, snapshot),
      plan: await replan(capture),
      databases,
      databasesLeft: [],
      staged: operation.staged,
      uncommitted: new Set([...changed].filter((path) => !kept.has(path))),
      changedDatabases,
      also,
      replan,
    };
  } finally {
    lock.release();
  }
}

async function undoDatabases(
  context: Context,
  operation: Operation,
): Promise<{ databases: DatabasePlan[]; changedDatabases: string[] }> {
  const { repository, config } = context;
  const targets = await copiesAt(context, operation, 'before');
  const restored = await copiesAt(context, operation, 'after');
  const { captureDatabases } = await import('../databases/registry.ts');
  const names = targets.map(({ name }) => name);
  const only = { ...config, databases: config.databases.filter(({ name }) => names.includes(name)) };
  const newest = new Map(restored.map((copy) => [copy.name, copy]));
  const { captured } =
    names.length === 0 ? { captured: [] } : await captureDatabases(repository, only, newest);
  const databases = targets.map((target): DatabasePlan => {
    const database = config.databases.find(({ name }) => name === target.name);
    const now = captured.find(({ name }) => name === target.name);
    return {
      name: target.name,
      engine: target.engine,
      path: database?.path ?? '',
      action: now?.tree === target.tree ? 'unchanged' : 'restore',
      target,
    };
  });
  const changedDatabases = captured.filter(
    (now) =>
      now.tree !== newest.get(now.name)?.tree &&
      now.tree !== targets.find(({ name }) => name === now.name)?.tree,
  );
  return { databases, changedDatabases: changedDatabases.map(({ name }) => name) };
}

/**
 * Finishes (`after`) or takes back (`before`) a restore that was interrupted. What is there now is recorded first.
 * Errors: `noMatch` when none is; `refused` when paths changed meanwhile, unless `force`.
 */
export async function resumeRestore(
  context: Context,
  end: End,
  options: { force: boolean },
): Promise<{ operation: Operation; safety: { id: string; commit: string } }> {
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
    await driveTo(context, operation, end, options);
    if (end === 'after') finishOperation(repository);
    else forgetOperation(repository);
    return { operation, safety: { id: safety.id, commit: safety.commit } };
  } finally {
    lock.release();
  }
}
