import { type Capture, captureWorktree, databasePaths } from '../capture/capture.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import { type BytePath, bytePath, isWithin, unquotePath } from '../git/paths.ts';
import { objectStore } from '../git/objectStore.ts';
import { git } from '../git/run.ts';
import { emptyTree } from '../git/trees.ts';
import { readCatalog } from '../timeline/catalog.ts';
import { snapshotAt } from '../timeline/select.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine } from '../timeline/take.ts';
import { planDatabases } from './databases.ts';
import { findObstacles, uncommittedPaths } from './guard.ts';
import { refuseWhileInterrupted } from './journal.ts';
import { type FilePlan, leaveAlone, planFiles, type PlanRules, type Scope } from './plan.ts';
import type { Context, PreparedRestore, RestoreRequest } from './request.ts';
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
  const { snapshot, target } = await resolveTarget(context, request);
  const lock = await lockLine(repository, config, 'restore');
  try {
    return await prepareLocked(context, request, snapshot, target);
  } finally {
    lock.release();
  }
}

async function prepareLocked(
  context: Context,
  request: RestoreRequest,
  snapshot: Snapshot,
  target: RecordedState,
): Promise<PreparedRestore> {
  const { repository, config } = context;
  const first = await captureWorktree(repository, config);
  await requireMatches(context, request, first, target);
  const also = request.files
    ? obstaclesToRecord(context, await planOnce(context, request, first, target, []))
    : [];
  const capture = also.length === 0 ? first : await captureWorktree(repository, config, { also });
  const plan = await planOnce(context, request, capture, target, also);
  const uncommitted = await uncommittedPaths(repository, plan);
  const kept = request.keepChanges ? uncommitted : new Set<BytePath>();
  const copies = await currentCopies(context, request);
  const databases = planDatabases(config, request.databases, copies, target.databases);
  return {
    kind: 'restore',
    ...('instant' in request.target ? { instant: request.target.instant } : {}),
    snapshot,
    target,
    plan: leaveAlone(plan, kept, 'it has uncommitted changes (--keep-changes)'),
    databases: databases.plan,
    databasesLeft: databases.left,
    staged: request.staged,
    uncommitted: new Set([...uncommitted].filter((path) => !kept.has(path))),
    changedDatabases: [],
    also,
    replan: async (now) =>
      leaveAlone(
        await planOnce(context, request, now, target, also),
        kept,
        'it has uncommitted changes (--keep-changes)',
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
  const { snapshots } = await readCatalog(repository);
  try {
    const snapshot = snapshotAt(
      snapshots,
      instant,
      wantedDatabases(context, request, snapshots, instant.epochMs),
    );
    return { snapshot, target: await stateOf(repository, snapshot) };
  } catch (error) {
    if (!(error instanceof PitrError) || error.kind !== 'noMatch') throw error;
    const { hintAtHistory } = await import('./history.ts');
    throw await hintAtHistory(context, instant, error);
  }
}

/** A database can only come from a snapshot that holds it: the newest such one at or before the instant. */
function wantedDatabases(
  context: Context,
  request: RestoreRequest,
  snapshots: readonly Snapshot[],
  epochMs: number,
) {
  const { names, all } = request.databases;
  const wanted = all ? context.config.databases.map(({ name }) => name) : names;
  if (wanted.length === 0) return undefined;
  const fits = (snapshot: Snapshot) =>
    wanted.every((name) => snapshot.databases.some((database) => database.name === name));
  // With --all a database may have been registered only later: then the files decide.
  if (all && !snapshots.some((snapshot) => Date.parse(snapshot.time) <= epochMs && fits(snapshot)))
    return undefined;
  return {
    what: `with ${wanted.length === 1 ? 'the database' : 'the databases'} ${wanted.join(', ')}`,
    fits,
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
    conflicts: capture.state.get('conflicts') ?? '',
    skipped: new Set(capture.skipped.map(({ path }) => path)),
    databases: [...databases],
  };
}

async function planOnce(
  context: Context,
  request: RestoreRequest,
  capture: Capture,
  target: RecordedState,
  also: readonly BytePath[],
): Promise<FilePlan> {
  if (!request.files) return { entries: [], protected: [], createDirs: [], removeDirs: [] };
  const present = presentState(capture);
  const protect = await protections(context, present.gitlinks.keys());
  const history = 'source' in request.target && request.target.source === 'history';
  const deletable = history ? await (await import('./history.ts')).trackedPaths(context) : undefined;
  const rules: PlanRules = {
    scope: scopeOf(context, request),
    keepNew: request.keepNew,
    protect,
    ...(deletable === undefined ? {} : { deletable }),
  };
  const plan = await planFiles(context.repository, present, target, rules);
  const within = leaveAlone(plan, await leftOut(context, plan, target), outsideReason);
  return protectObstacles(context, within, also);
}

function scopeOf(context: Context, request: RestoreRequest): Scope {
  if (request.pathspecs.length === 0) return {};
  const prefix = context.repository.prefix.replace(/\/$/, '');
  const plainFolders = request.pathspecs
    .filter((pathspec) => !/^:|[*?[\\]/.test(pathspec))
    .map((pathspec) => bytePath(normalize(prefix === '' ? pathspec : `${prefix}/${pathspec}`)));
  return { pathspecs: request.pathspecs, cwd: request.cwd, plainFolders };
}

function normalize(file: string): string {
  const parts: string[] = [];
  for (const part of file.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** Paths that no restore of files touches: registered databases, and what a sparse checkout left out. */
async function protections(context: Context, nested: Iterable<BytePath>): Promise<PlanRules['protect']> {
  const databases = new Set(databasePaths(context.repository, context.config));
  const sparse = await sparseProtection(context, nested);
  return (path, action) => {
    if (databases.has(path)) return 'it belongs to a registered database (restore it with --db)';
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
    protected: [...plan.protected, ...[...blocked].map(([path, reason]) => ({ path, reason }))],
  };
}

/** The copies of the databases in scope as they are now; those that cannot be captured are not in it. */
async function currentCopies(context: Context, request: RestoreRequest): Promise<CapturedDatabase[]> {
  const { repository, config } = context;
  const names = request.databases.all ? config.databases.map(({ name }) => name) : request.databases.names;
  if (names.length === 0) return [];
  const { captureNow } = await import('../databases/present.ts');
  return captureNow(repository, {
    ...config,
    databases: config.databases.filter(({ name }) => names.includes(name)),
  });
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
          'git pitr list --path shows which snapshots hold a path.',
        ],
      },
    );
  }
}
