import { lstatSync } from 'node:fs';
import { type Capture, captureWorktree } from '../capture/capture.ts';
import { retryIfLost } from '../capture/retry.ts';
import type { DatabaseConfig } from '../config/config.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import { type BytePath, displayPath, onDisk, parentOf } from '../git/paths.ts';
import type { TreeEntry } from '../git/trees.ts';
import { readSnapshot } from '../timeline/catalog.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { progressOf } from '../system/progress.ts';
import { copiesIn } from '../timeline/take.ts';
import { applyFiles, lookAtPlan } from './apply.ts';
import { restoreDatabase } from './databases.ts';
import {
  entriesAt,
  type IndexChange,
  type IndexSide,
  indexTree,
  sameIndexSide,
  sideOf as indexSideOf,
} from './indexPlan.ts';
import { settleFolders } from './folders.ts';
import type { Operation } from './journal.ts';
import { emptyPlan, type FilePlan, type PlanEntry, unrecordable } from './plan.ts';
import { presentState } from './present.ts';
import type { Context } from './request.ts';
import { stageFiles } from './stage.ts';
import type { RecordedState } from './target.ts';

/** Which end of an operation: the state before it, or the one it leads to. */
export type End = 'before' | 'after';

export interface Way {
  plan: FilePlan;
  index: IndexChange[];
  /** Paths that are neither as they were before the operation nor as it makes them. */
  changed: Set<BytePath>;
}

/**
 * Works out what leads from what is there now to one end of an operation, path by path, from whatever mixture of both
 * ends a killed restore has left.
 */
export async function wayTo(
  context: Context,
  operation: Operation,
  end: End,
  capture: Capture,
): Promise<Way> {
  const now = presentState(capture);
  const current = await entriesAt(
    context.repository,
    now.files,
    new Set(operation.files.map(({ path }) => path)),
  );
  const way: Way = {
    plan: emptyPlan(),
    index: [],
    changed: new Set(),
  };
  for (const entry of operation.files) {
    const wanted = sideOf(entry, end);
    const other = sideOf(entry, end === 'before' ? 'after' : 'before');
    const is: Side = {
      ...optional('entry', current.get(entry.path)),
      ...optional('permissions', now.permissions.get(entry.path)),
    };
    if (now.skipped.has(entry.path)) {
      way.plan.protected.push({ path: entry.path, reason: unrecordable, missed: true });
      continue;
    }
    if (sameSide(is, wanted)) continue;
    if (!sameSide(is, other) && !hasPermissions(context, entry.path, is, other)) way.changed.add(entry.path);
    way.plan.entries.push(entryBetween(entry.path, is, wanted));
  }
  const { createDirs, removeDirs, keepDirs, hadDirs } = operation;
  way.plan = settleFolders(context.repository.worktree, {
    ...way.plan,
    createDirs: end === 'after' ? createDirs : removeDirs,
    removeDirs: [...(end === 'after' ? removeDirs : createDirs), ...foldersOfGone(operation, end)],
    keepDirs: end === 'after' ? keepDirs : hadDirs,
  });
  way.index = await indexWay(context, operation, end, now, way.changed);
  return way;
}

/**
 * The folders of files that are not there at this end. They go when they are empty: the one that was killed may have
 * made them and put nothing in yet, or have emptied them and not removed them yet.
 */
function foldersOfGone(operation: Operation, end: End): BytePath[] {
  const gone = operation.files.filter((entry) => sideOf(entry, end).entry === undefined);
  return [...new Set(gone.map(({ path }) => parentOf(path)))].filter((folder) => folder !== '').toSorted();
}

interface Side {
  entry?: TreeEntry;
  permissions?: string;
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

function sideOf(entry: PlanEntry, end: End): Side {
  return end === 'before'
    ? { ...optional('entry', entry.before), ...optional('permissions', entry.permissionsBefore) }
    : { ...optional('entry', entry.after), ...optional('permissions', entry.permissionsAfter) };
}

function sameSide(a: Side, b: Side): boolean {
  return a.entry?.oid === b.entry?.oid && a.entry?.mode === b.entry?.mode && a.permissions === b.permissions;
}

/**
 * True when only the permissions seem to differ, and on disk they do not: they are not recorded of a path that was tracked
 * only after they had been.
 */
function hasPermissions({ repository }: Context, path: BytePath, is: Side, other: Side): boolean {
  if (is.permissions !== undefined || other.permissions === undefined) return false;
  if (!sameSide({ ...is, permissions: other.permissions }, other)) return false;
  const { mode } = lstatSync(onDisk(repository.worktree, path));
  return (mode & 0o7777) === Number.parseInt(other.permissions, 8);
}

function entryBetween(path: BytePath, from: Side, to: Side): PlanEntry {
  const regular = from.entry?.mode.startsWith('100') === true && to.entry?.mode.startsWith('100') === true;
  const onlyMode = regular && from.entry?.oid === to.entry?.oid;
  return {
    path,
    action:
      from.entry === undefined
        ? 'create'
        : to.entry === undefined
          ? 'delete'
          : onlyMode
            ? 'mode'
            : 'overwrite',
    ...optional('before', from.entry),
    ...optional('after', to.entry),
    ...optional('permissionsBefore', from.permissions),
    ...optional('permissionsAfter', to.permissions),
  };
}

/** The same for the index. */
async function indexWay(
  context: Context,
  operation: Operation,
  end: End,
  now: RecordedState,
  changed: Set<BytePath>,
): Promise<IndexChange[]> {
  if (operation.index.length === 0) return [];
  const { repository } = context;
  const paths = new Set(operation.index.map(({ path }) => path));
  const entries = await entriesAt(repository, await indexTree(repository, now), paths);
  const way: IndexChange[] = [];
  for (const change of operation.index) {
    const is = indexSideOf(now, change.path, entries.get(change.path));
    const [wanted, other] = end === 'before' ? [change.before, change.after] : [change.after, change.before];
    if (sameIndexSide(is, wanted)) continue;
    if (!sameIndexSide(is, other) && !isMissingIntent(is, other)) changed.add(change.path);
    way.push({ path: change.path, before: is, after: wanted });
  }
  return way;
}

/** An intent to add a file that is not on disk cannot be brought back: that it is not there is nobody's change. */
function isMissingIntent(is: IndexSide, intended: IndexSide): boolean {
  return intended.flags === 'N' && is.entries.length === 0 && is.flags === '';
}

/**
 * Brings files, index and databases to one end of an operation. The caller holds the lock and has recorded the
 * present state. Error: `refused` when paths changed on their own, unless `force`.
 */
export async function driveTo(
  context: Context,
  operation: Operation,
  end: End,
  options: { force: boolean },
): Promise<void> {
  const { repository, config } = context;
  const also = operation.files.map(({ path }) => path);
  const way = await retryIfLost(repository, async () =>
    wayTo(context, operation, end, await captureWorktree(repository, config, { also })),
  );
  if (way.changed.size > 0 && !options.force) throw changedError([...way.changed]);
  const stage = await stageFiles(context, repository.worktree, way.plan.entries);
  try {
    await applyFiles(way.plan, {
      root: repository.worktree,
      stage,
      seen: lookAtPlan(repository.worktree, way.plan),
      progress: progressOf(repository),
    });
  } finally {
    stage.remove();
  }
  if (way.index.length > 0) await (await import('./staged.ts')).applyIndex(context, way.index);
  for (const copy of await copiesAt(context, operation, end)) {
    await driveDatabase(context, copy, operation.tables?.[copy.name]);
    crashPoint('database-restored');
  }
}

function changedError(paths: readonly BytePath[]): PitrError {
  return new PitrError(
    'refused',
    `${paths.length} paths were changed after the restore was interrupted: ${paths.slice(0, 10).map(displayPath).join(', ')}. Nothing was changed.`,
    {
      hints: ['--force goes on over them; they are in the safety snapshot taken now.'],
      details: { changed: paths.map(displayPath) },
    },
  );
}

/** The copies of an operation's databases at one end of it. */
export async function copiesAt(
  context: Context,
  operation: Operation,
  end: End,
): Promise<CapturedDatabase[]> {
  const copies: CapturedDatabase[] = [];
  for (const name of operation.databases) {
    const commit =
      end === 'after'
        ? operation.target.commit
        : (operation.databasesBefore[name] ?? operation.before.commit);
    const snapshot = await readSnapshot(context.repository, commit);
    const copy =
      snapshot === undefined
        ? undefined
        : (await copiesIn(context.repository, snapshot)).find((candidate) => candidate.name === name);
    if (copy !== undefined) copies.push(copy);
  }
  return copies;
}

/**
 * Databases that were not there before an operation and are now, on a server or in a file: taking it back leaves them.
 * Removing the file of a live database would send the next commit of whoever has it open into nowhere, and what others
 * have written since is recorded nowhere.
 * @param before the copies at the operation's begin
 */
export async function databasesMadeBy(
  context: Context,
  operation: Operation,
  before: readonly CapturedDatabase[],
): Promise<string[]> {
  const made: string[] = [];
  for (const name of operation.databases) {
    const database = context.config.databases.find((candidate) => candidate.name === name);
    if (database === undefined || before.some((copy) => copy.name === name)) continue;
    if (await isThere(context, database)) made.push(name);
  }
  return made;
}

async function isThere({ repository, config }: Context, database: DatabaseConfig): Promise<boolean> {
  const { withEngine } = await import('../databases/registry.ts');
  try {
    return await withEngine(repository, config, database, (engine, context) => engine.isThere(context));
  } catch {
    return true; // it was made, and nobody knows that it has gone
  }
}

/** Restores a database, or tables of it, to a copy unless it is there already. */
async function driveDatabase(
  context: Context,
  copy: CapturedDatabase,
  tables: readonly string[] | undefined,
): Promise<void> {
  const { repository, config } = context;
  const { captureDatabases } = await import('../databases/registry.ts');
  const only = { ...config, databases: config.databases.filter(({ name }) => name === copy.name) };
  const { captured } = await captureDatabases(repository, only, new Map([[copy.name, copy]]));
  if (captured[0]?.tree !== copy.tree) await restoreDatabase(repository, config, copy, captured[0], tables);
}
