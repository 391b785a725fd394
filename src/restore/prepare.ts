import { type Capture, captureWorktree, databasePaths, withCompanions } from '../capture/capture.ts';
import { retryIfLost } from '../capture/retry.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import type { DatabaseCaptures } from '../databases/registry.ts';
import { PitrError } from '../errors.ts';
import { type BytePath, bytePath, isWithin, unquotePath } from '../git/paths.ts';
import { hasMagic, placeOf, requirePathspecs } from '../git/pathspecs.ts';
import { objectStore } from '../git/objectStore.ts';
import { git } from '../git/run.ts';
import { emptyTree } from '../git/trees.ts';
import { followLinks } from '../system/files.ts';
import { readCatalog } from '../timeline/catalog.ts';
import { snapshotAt } from '../timeline/select.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine } from '../timeline/take.ts';
import { planDatabases, requireRecorded, settleTables } from './databases.ts';
import { findObstacles, trackedPaths, uncommittedPaths } from './guard.ts';
import { planIndex, uncommittedInIndex } from './indexPlan.ts';
import { refuseWhileInterrupted } from './journal.ts';
import { type MergeBase, readMergeBase } from './mergeBase.ts';
import { type FilePlan, leaveAlone, planFiles, type PlanRules, type Scope, showSkipped } from './plan.ts';
import type { Context, PreparedRestore, Replanned, RestoreRequest } from './request.ts';
import { leftOut, outsideReason, sparseProtection } from './sparse.ts';
import { parseState, type RecordedState, stateOf } from './target.ts';

/**
 * Works out a restore without changing anything: no file, no index, no ref. (Content that is not recorded yet is put
 * into the object store, where nothing refers to it.)
 * Errors: `noMatch` for an instant, snapshot, path or database that is not there; `refused` for unsafe names.
 */
export async function prepareRestore(context: Context, request: RestoreRequest): Promise<PreparedRestore> {
  const { repository, config } = context;
  refuseWhileInterrupted(repository);
  const timeline =
    request.timeline ?? (needsTimeline(request) ? (await readCatalog(repository)).snapshots : []);
  const { snapshot, target } = await resolveTarget(context, { ...request, timeline });
  const base =
    request.merge === undefined
      ? undefined
      : await readMergeBase(repository, timeline, snapshot, request.merge.base);
  const lock = await lockLine(repository, config, 'restore');
  try {
    return await retryIfLost(repository, () => prepareLocked(context, request, { snapshot, target, base }));
  } finally {
    lock.release();
  }
}

function needsTimeline({ target, merge }: RestoreRequest): boolean {
  return 'instant' in target || (merge !== undefined && merge.base === undefined);
}

/** What a request leads to. */
interface Wanted {
  snapshot: Snapshot;
  target: RecordedState;
  base?: MergeBase | undefined;
}

async function prepareLocked(
  context: Context,
  request: RestoreRequest,
  wanted: Wanted,
): Promise<PreparedRestore> {
  const { repository, config } = context;
  const { snapshot, target, base } = wanted;
  await requirePathspecs(repository, request.pathspecs, request.cwd);
  refuseDatabasePaths(context, request);
  const first = await captureWorktree(repository, config, { thorough: true });
  await requireMatches(context, request, first, target);
  const firstPlan = await planOnce(context, request, first, wanted, []);
  const also = obstaclesToRecord(context, firstPlan);
  const capture = also.length === 0 ? first : await captureWorktree(repository, config, { also });
  const plan = also.length === 0 ? firstPlan : await planOnce(context, request, capture, wanted, also);
  const present = presentState(capture);
  const planStaged = async (now: RecordedState) =>
    request.staged ? planIndex(repository, now, target, scopeOf(context, request)) : [];
  const index = await planStaged(present);
  const uncommitted = new Set([
    // What a merge overwrites it merges in, and what it takes back is in the base.
    ...(base === undefined ? await uncommittedPaths(repository, plan) : []),
    ...(await uncommittedInIndex(repository, present, index)),
  ]);
  const kept = request.keepChanges ? uncommitted : new Set<BytePath>();
  const copies = await currentCopies(context, request);
  const elsewhere = await copiesElsewhere(context, request, snapshot, target);
  const databases = planDatabases(config, request.databases, copies.captured, target.databases, elsewhere);
  databases.plan = await settleTables(context, databases.plan, copies);
  requireRecorded(databases.plan, copies.failed);
  const keep = (whole: Replanned): Replanned => ({
    plan: leaveAlone(whole.plan, kept, 'it has uncommitted changes (--keep-changes)'),
    index: whole.index.filter(({ path }) => !kept.has(path)),
  });
  const planned = keep({ plan, index });
  const left = snapshot.skipped.map(({ path, reason }) => ({ path: unquotePath(bytePath(path)), reason }));
  const shown = request.files
    ? { ...planned, plan: showSkipped(planned.plan, scopeOf(context, request), capture.skipped, left) }
    : planned;
  return {
    kind: 'restore',
    ...('instant' in request.target ? { instant: request.target.instant } : {}),
    snapshot,
    target,
    ...(base === undefined ? {} : { base: base.snapshot }),
    ...shown,
    capture,
    databases: databases.plan,
    databasesLeft: databases.left,
    uncommitted: new Set([...uncommitted].filter((path) => !kept.has(path))),
    changedDatabases: [],
    also,
    replan: async (now) =>
      keep(
        now === capture
          ? { plan, index }
          : {
              plan: await planOnce(context, request, now, wanted, also),
              index: await planStaged(presentState(now)),
            },
      ),
  };
}

export async function resolveTarget(
  context: Context,
  request: RestoreRequest,
): Promise<{ snapshot: Snapshot; target: RecordedState }> {
  const { repository } = context;
  if ('snapshot' in request.target) {
    const { snapshot } = request.target;
    return { snapshot, target: await stateOf(repository, snapshot) };
  }
  const { instant, source } = request.target;
  if (source === 'history') {
    const { historyTarget } = await import('./history.ts');
    return historyTarget(context, instant);
  }
  const snapshots = request.timeline ?? (await readCatalog(repository)).snapshots;
  try {
    const snapshot = snapshotAt(snapshots, instant, wantedDatabases(request));
    return { snapshot, target: await stateOf(repository, snapshot) };
  } catch (error) {
    if (!(error instanceof PitrError) || error.kind !== 'noMatch') throw error;
    const { hintAtHistory } = await import('./history.ts');
    throw await hintAtHistory(context, instant, error);
  }
}

/**
 * Databases alone come from the newest snapshot that holds them. With files in scope the newest snapshot of all
 * decides, and what it has no copy of is left alone: one database that cannot be recorded since Monday must not take
 * everybody's files back to Monday.
 */
function wantedDatabases(request: RestoreRequest) {
  const { names } = request.databases;
  if (request.files || names.length === 0) return undefined;
  return {
    what: `with ${names.length === 1 ? 'the database' : 'the databases'} ${names.join(', ')}`,
    fits: (snapshot: Snapshot) => names.every((name) => mayHold(snapshot, name)),
  };
}

/** Without its note nobody can tell before looking into it. */
function mayHold(snapshot: Snapshot, name: string): boolean {
  return snapshot.fromTrailers === true || snapshot.databases.some((database) => database.name === name);
}

/** Says where a copy of a database can be had that `snapshot` does not hold. */
async function copiesElsewhere(
  { repository, config }: Context,
  { databases: scope }: RestoreRequest,
  snapshot: Snapshot,
  target: RecordedState,
): Promise<(name: string) => string> {
  const wanted = scope.all ? config.databases.map(({ name }) => name) : scope.names;
  const isThere = (name: string) => target.databases.some((copy) => copy.name === name);
  if (wanted.every(isThere)) return () => '';
  const { snapshots } = await readCatalog(repository);
  return (name) => {
    const older = snapshots.find(
      ({ time, databases }) => time <= snapshot.time && databases.some((database) => database.name === name),
    );
    return older === undefined
      ? ''
      : `; the newest that does until then: git pitr restore --snapshot ${older.id} --db ${name}`;
  };
}

/** What is there now, in the terms of a plan. */
export function presentState(capture: Capture, databases: readonly CapturedDatabase[] = []): RecordedState {
  return {
    commit: '',
    head: capture.head.commit ?? '',
    files: capture.files,
    staged: capture.staged,
    ...parseState(capture.state),
    skipped: new Set(capture.skipped.map(({ path }) => path)),
    databases: [...databases],
  };
}

async function planOnce(
  context: Context,
  request: RestoreRequest,
  capture: Capture,
  { target, base }: Wanted,
  also: readonly BytePath[],
): Promise<FilePlan> {
  if (!request.files) return { entries: [], protected: [], createDirs: [], removeDirs: [] };
  const present = presentState(capture);
  const protect = await protections(context, target, present.gitlinks.keys());
  const history = 'source' in request.target && request.target.source === 'history';
  const deletable = history ? await trackedPaths(context.repository) : undefined; // it says nothing of other files
  const rules: PlanRules = {
    scope: scopeOf(context, request),
    keepNew: request.keepNew,
    protect,
    ...(deletable === undefined ? {} : { deletable }),
  };
  const plan = await planTowards(context, present, target, base, rules);
  const within = leaveAlone(plan, await leftOut(context, plan, target), outsideReason);
  return protectObstacles(context, within, also);
}

async function planTowards(
  { repository, config }: Context,
  now: RecordedState,
  target: RecordedState,
  base: MergeBase | undefined,
  rules: PlanRules,
): Promise<FilePlan> {
  if (base === undefined) return planFiles(repository, now, target, rules);
  const { mergeStates } = await import('./merge.ts');
  const sides = { base: base.state, now, target, labels: base.labels };
  const merged = await mergeStates(repository, config, sides, rules);
  const plan = await planFiles(repository, now, merged.target, rules, merged.changes);
  return { ...plan, conflicts: merged.conflicts, contents: merged.contents };
}

function scopeOf(context: Context, request: RestoreRequest): Scope {
  if (request.pathspecs.length === 0) return {};
  const plainFolders = request.pathspecs
    .filter((pathspec) => !hasMagic(pathspec))
    .flatMap((pathspec) => placeOf(context.repository, pathspec) ?? []);
  return { pathspecs: request.pathspecs, cwd: request.cwd, plainFolders };
}

/** Paths that no restore of files touches: registered databases, and what a sparse checkout left out. */
async function protections(
  context: Context,
  target: RecordedState,
  nested: Iterable<BytePath>,
): Promise<PlanRules['protect']> {
  const databases = new Set(databasePaths(context.repository, context.config));
  // The snapshot has no file there because it has a database: what is there now is not new, and not to be deleted.
  const then = new Set(
    target.databases.flatMap(({ path }) => (path === undefined ? [] : withCompanions(bytePath(path)))),
  );
  const sparse = await sparseProtection(context, nested);
  return (path, action) => {
    if (databases.has(path)) return 'it belongs to a registered database (restore it with --db)';
    if (then.has(path)) return 'it was a registered database then; register it again to restore it';
    return sparse(path, action);
  };
}

function obstaclesToRecord(context: Context, plan: FilePlan): BytePath[] {
  const found = findObstacles(context.repository.worktree, plan.entries);
  return [...new Set(found.filter(({ kind }) => kind === 'file').map(({ path }) => path))];
}

/** What is in the way and cannot be recorded stays, and so does what was to come in its place. */
function protectObstacles(context: Context, plan: FilePlan, also: readonly BytePath[]): FilePlan {
  const recorded = new Set(also);
  const blocked = new Map<BytePath, string>();
  for (const obstacle of findObstacles(context.repository.worktree, plan.entries)) {
    if (obstacle.kind === 'file' && !recorded.has(obstacle.path) && also.length === 0) continue; // recorded before the next look
    const what = {
      file: 'a file that could not be recorded',
      folder: 'a folder that holds unrecorded files',
      special: 'a socket, pipe or device',
    }[obstacle.kind];
    blocked.set(obstacle.of, `${what} is in its place`);
  }
  if (blocked.size === 0) return plan;
  const entries = plan.entries.filter(({ path }) => !blocked.has(path));
  return {
    ...plan,
    entries,
    protected: [...plan.protected, ...[...blocked].map(([path, reason]) => ({ path, reason, missed: true }))],
  };
}

/** The databases in scope as they are now. */
async function currentCopies(context: Context, request: RestoreRequest): Promise<DatabaseCaptures> {
  const { repository, config } = context;
  const names = request.databases.all ? config.databases.map(({ name }) => name) : request.databases.names;
  if (names.length === 0) return { captured: [], failed: [] };
  const { captureNow } = await import('../databases/present.ts');
  return captureNow(repository, {
    ...config,
    databases: config.databases.filter(({ name }) => names.includes(name)),
  });
}

/** Error: `noMatch` for a path that is a registered database's: it is none of the files. */
function refuseDatabasePaths({ repository, config }: Context, request: RestoreRequest): void {
  for (const pathspec of request.pathspecs.filter((candidate) => !hasMagic(candidate))) {
    const place = placeOf(repository, pathspec);
    const database = config.databases.find(
      ({ path: file }) =>
        file !== undefined && place === placeOf({ ...repository, prefix: '' }, followLinks(file)),
    );
    if (place === undefined || database === undefined) continue;
    throw new PitrError(
      'noMatch',
      `"${pathspec}" is the registered database "${database.name}", which is not restored as a file; nothing was changed.`,
      {
        hints: [
          `Restore it as a database: --db ${database.name}`,
          'What snapshots from before it was registered hold as a file: --into <folder>',
        ],
      },
    );
  }
}

/** Error: `noMatch` for a pathspec that fits nothing, neither now nor then. */
async function requireMatches(
  context: Context,
  request: RestoreRequest,
  capture: Capture,
  target: RecordedState,
): Promise<void> {
  const { repository } = context;
  const none = emptyTree(repository);
  for (const pathspec of request.pathspecs) {
    const matches = async (tree: string) => {
      if (tree === '') return false;
      const args = ['diff-tree', '-r', '--quiet', '--end-of-options', none, tree, '--', pathspec];
      const options = { cwd: request.cwd, env: objectStore(repository), okCodes: [0, 1] };
      return (await git(args, options)).code === 1;
    };
    if (
      /^:[!^]|^:\(.*exclude/.test(pathspec) ||
      (await matches(target.files)) ||
      (await matches(capture.files))
    )
      continue;
    const plain = scopeOf(context, { ...request, pathspecs: [pathspec] }).plainFolders?.[0];
    const folders = [...presentState(capture).emptyDirs, ...target.emptyDirs];
    if (plain !== undefined && folders.some((dir) => isWithin(dir, plain))) continue;
    const skipped = [...target.skipped, ...capture.skipped.map(({ path }) => path)].map(unquotePath);
    if (plain !== undefined && skipped.includes(plain)) {
      throw new PitrError('noMatch', `"${pathspec}" was left out of the snapshot; nothing was changed.`, {
        hints: ['git pitr show names the reason.'],
      });
    }
    throw new PitrError(
      'noMatch',
      `"${pathspec}" matches no file, neither now nor in that snapshot; nothing was changed.`,
      {
        hints: [
          'Paths are relative to the current folder.',
          'git pitr list --path <path> shows the snapshots that changed a path.',
        ],
      },
    );
  }
}
