import { type BytePath, isWithin, parentsOf } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { diffTrees, type TreeChange, type TreeEntry } from '../git/trees.ts';
import type { MergeConflict } from './merge.ts';
import { refuseUnsafe } from './names.ts';
import { leaveNested } from './nested.ts';
import type { RecordedState } from './target.ts';

/** The exact list of what a restore does to files. It is worked out before anything changes and then carried out as it is. */

export type FileAction = 'create' | 'overwrite' | 'delete' | 'mode';

export interface PlanEntry {
  path: BytePath;
  action: FileAction;
  /** What is there now; missing for `create`. */
  before?: TreeEntry;
  /** What will be there; missing for `delete`. */
  after?: TreeEntry;
  /** Permissions other than git's two, as recorded (octal): now, and then. */
  permissionsBefore?: string;
  permissionsAfter?: string;
}

export interface ProtectedPath {
  path: BytePath;
  reason: string;
  /** The restore was to bring something here and cannot: it is done in part. */
  missed?: boolean;
}

export interface FilePlan {
  entries: PlanEntry[];
  protected: ProtectedPath[];
  /** Folders without recorded files: to be there afterwards, and not. */
  createDirs: BytePath[];
  removeDirs: BytePath[];
  /** Folders that are there and stay, though the plan takes away all that is in them. */
  keepDirs: BytePath[];
  /** Of a merge: where both sides changed something else. */
  conflicts?: MergeConflict[];
  /** Of a merge: a commit that holds new content which is in no snapshot. */
  contents?: string;
}

export function emptyPlan(): FilePlan {
  return { entries: [], protected: [], createDirs: [], removeDirs: [], keepDirs: [] };
}

/** What is asked for: everything, what git pathspecs match, or a list of paths. */
export interface Scope {
  pathspecs?: readonly string[];
  /** The folder that pathspecs are relative to. */
  cwd?: string;
  paths?: ReadonlySet<BytePath>;
  /** Of the pathspecs, the ones without magic, from the top of the worktree: empty folders follow them. */
  plainFolders?: readonly BytePath[];
}

export interface PlanRules {
  scope: Scope;
  /** Leave files alone that the target does not have. */
  keepNew: boolean;
  /** Paths that the plan leaves alone, with the reason: `undefined` for none. */
  protect: (path: BytePath, action: FileAction) => string | undefined;
  /** The only paths that may be deleted; a target that is a commit says nothing about untracked files. */
  deletable?: ReadonlySet<BytePath>;
}

/**
 * Works out what leads from `now` to `target`.
 * @param changes how their files differ, where that is known already
 * Error: `refused` when the target holds a name that is never written.
 */
export async function planFiles(
  repository: Repository,
  now: RecordedState,
  target: RecordedState,
  rules: PlanRules,
  changes: AsyncIterable<TreeChange> | Iterable<TreeChange> = diffTrees(
    repository,
    now.files,
    target.files,
    scopeOptions(rules.scope),
  ),
): Promise<FilePlan> {
  let plan = emptyPlan();
  const { scope } = rules;
  const seen = new Set<BytePath>();
  for await (const change of changes) {
    if (scope.paths?.has(change.path) === false) continue;
    if (change.after === undefined && rules.deletable?.has(change.path) === false) continue;
    seen.add(change.path);
    const entry = entryOf(change, now, target);
    if (entry !== undefined) add(plan, entry, now, target, rules);
    else
      plan.protected.push({
        path: change.path,
        reason: 'it is the commit of a nested repository, which is never moved',
      });
  }
  if (rules.deletable === undefined) {
    await planPermissions(repository, plan, now, target, rules, seen);
    planFolders(plan, now, target, scope);
    plan = await leaveNested(repository, plan, now, target, folderScope(scope));
  }
  refuseUnsafe([...plan.entries.map(({ path }) => path), ...plan.createDirs], 'The snapshot');
  return plan;
}

function scopeOptions(scope: Scope) {
  return {
    ...(scope.pathspecs === undefined ? {} : { pathspecs: scope.pathspecs }),
    ...(scope.cwd === undefined ? {} : { cwd: scope.cwd }),
  };
}

function entryOf(
  change: { path: BytePath; before?: TreeEntry; after?: TreeEntry },
  now: RecordedState,
  target: RecordedState,
): PlanEntry | undefined {
  const { path, before, after } = change;
  if (before?.mode === '160000' || after?.mode === '160000') return undefined;
  const permissionsBefore = now.permissions.get(path);
  const permissionsAfter = target.permissions.get(path);
  const entry: PlanEntry = {
    path,
    action: before === undefined ? 'create' : after === undefined ? 'delete' : 'overwrite',
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    ...(permissionsBefore === undefined ? {} : { permissionsBefore }),
    ...(permissionsAfter === undefined ? {} : { permissionsAfter }),
  };
  const sameContent =
    before !== undefined && before.oid === after?.oid && isRegular(before) && isRegular(after);
  return sameContent ? { ...entry, action: 'mode' } : entry;
}

function isRegular(entry: TreeEntry): boolean {
  return entry.mode.startsWith('100');
}

function add(
  plan: FilePlan,
  entry: PlanEntry,
  now: RecordedState,
  target: RecordedState,
  rules: PlanRules,
): void {
  const reason =
    rules.protect(entry.path, entry.action) ??
    skippedReason(entry.path, now, target) ??
    keepNewReason(entry, rules);
  if (reason === undefined) plan.entries.push(entry);
  else
    plan.protected.push({
      path: entry.path,
      reason,
      ...(reason === unrecordable ? { missed: true } : {}),
    });
}

export const unrecordable = 'what is there now could not be recorded';

/** What a snapshot left out was there all the same: its absence from the tree says nothing (GitButler #3633 #3686). */
function skippedReason(path: BytePath, now: RecordedState, target: RecordedState): string | undefined {
  const within = (skipped: ReadonlySet<BytePath>) =>
    skipped.has(path) || parentsOf(path).some((parent) => skipped.has(parent));
  if (within(now.skipped)) return unrecordable;
  if (within(target.skipped)) return 'it was left out of that snapshot';
  return undefined;
}

function keepNewReason(entry: PlanEntry, rules: PlanRules): string | undefined {
  return rules.keepNew && entry.action === 'delete' ? 'it is new since then (--keep-new)' : undefined;
}

/** Files whose bytes are the same and whose recorded permissions are not. */
async function planPermissions(
  repository: Repository,
  plan: FilePlan,
  now: RecordedState,
  target: RecordedState,
  rules: PlanRules,
  seen: ReadonlySet<BytePath>,
): Promise<void> {
  const differing = new Set<BytePath>();
  for (const path of [...now.permissions.keys(), ...target.permissions.keys()]) {
    if (!seen.has(path) && now.permissions.get(path) !== target.permissions.get(path)) differing.add(path);
  }
  if (differing.size === 0) return;
  const { scope } = rules;
  for await (const { path, after } of diffTrees(repository, '', now.files, scopeOptions(scope))) {
    if (after === undefined || !differing.has(path) || scope.paths?.has(path) === false || !isRegular(after))
      continue;
    const permissionsBefore = now.permissions.get(path);
    const permissionsAfter = target.permissions.get(path);
    const entry: PlanEntry = {
      path,
      action: 'mode',
      before: after,
      after,
      ...(permissionsBefore === undefined ? {} : { permissionsBefore }),
      ...(permissionsAfter === undefined ? {} : { permissionsAfter }),
    };
    add(plan, entry, now, target, rules);
  }
}

function planFolders(plan: FilePlan, now: RecordedState, target: RecordedState, scope: Scope): void {
  const inScope = folderScope(scope);
  plan.createDirs = [...target.emptyDirs].filter((dir) => !now.emptyDirs.has(dir) && inScope(dir)).toSorted();
  plan.removeDirs = [...now.emptyDirs].filter((dir) => !target.emptyDirs.has(dir) && inScope(dir)).toSorted();
}

/** Empty folders have no place in a tree for git to match: they follow pathspecs that are plain paths. */
function folderScope(scope: Scope): (dir: BytePath) => boolean {
  if (scope.paths !== undefined) return () => false;
  if (scope.pathspecs === undefined || scope.pathspecs.length === 0) return () => true;
  const folders = scope.plainFolders ?? [];
  return (dir) => folders.some((folder) => isWithin(dir, folder));
}

/**
 * Names what a restore cannot touch since it is recorded nowhere: what is there now, and what was there then.
 */
export function showSkipped(
  plan: FilePlan,
  scope: Scope,
  now: readonly ProtectedPath[],
  then: readonly ProtectedPath[],
): FilePlan {
  const inScope = folderScope(scope);
  const shown = new Set(plan.protected.map(({ path }) => path));
  const missing = (entries: readonly ProtectedPath[], word: string) =>
    entries.flatMap(({ path, reason }) => {
      if (shown.has(path) || !inScope(path)) return [];
      shown.add(path);
      return [{ path, reason: `${word}: ${reason}` }];
    });
  const added = [...missing(now, 'not recorded'), ...missing(then, 'not in that snapshot')];
  return { ...plan, protected: [...plan.protected, ...added] };
}

/** Takes paths out of a plan. */
export function leaveAlone(plan: FilePlan, paths: ReadonlySet<BytePath>, reason: string): FilePlan {
  if (paths.size === 0) return plan;
  const left = plan.entries.filter(({ path }) => paths.has(path)).map(({ path }) => ({ path, reason }));
  const shelters = new Set([...paths].flatMap(parentsOf));
  return {
    ...plan,
    entries: plan.entries.filter(({ path }) => !paths.has(path)),
    protected: [...plan.protected, ...left],
    removeDirs: plan.removeDirs.filter((dir) => !shelters.has(dir)),
  };
}
