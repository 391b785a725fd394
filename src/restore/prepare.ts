import { type Capture, captureWorktree, databasePaths, withCompanions } from '../capture/capture.ts';
import { retryIfLost } from '../capture/retry.ts';
import { type BytePath, bytePath, unquotePath } from '../git/paths.ts';
import { requirePathspecs } from '../git/pathspecs.ts';
import { readCatalog } from '../timeline/catalog.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine } from '../timeline/take.ts';
import { copiesElsewhere, currentCopies } from './copies.ts';
import { leaveIgnoredThen } from './coverage.ts';
import { planDatabases, requireRecorded, settleTables } from './databases.ts';
import { settleFolders } from './folders.ts';
import { trackedPaths, uncommittedPaths } from './guard.ts';
import { planIndex, uncommittedInIndex } from './indexPlan.ts';
import { refuseWhileInterrupted } from './journal.ts';
import { type MergeBase, readMergeBase } from './mergeBase.ts';
import { obstaclesToRecord, protectObstacles } from './obstacles.ts';
import { emptyPlan, type FilePlan, leaveAlone, planFiles, type PlanRules, showSkipped } from './plan.ts';
import { presentState } from './present.ts';
import type { Context, PreparedRestore, Replanned, RestoreRequest } from './request.ts';
import { resolveTarget } from './resolve.ts';
import { refuseDatabasePaths, requireMatches, scopeOf } from './scope.ts';
import { leftOut, outsideReason, sparseProtection } from './sparse.ts';
import type { RecordedState } from './target.ts';

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
  const also = obstaclesToRecord(repository.worktree, firstPlan);
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
    plan: keepChanges(context, whole.plan, kept, also),
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

async function planOnce(
  context: Context,
  request: RestoreRequest,
  capture: Capture,
  { target, base }: Wanted,
  also: readonly BytePath[],
): Promise<FilePlan> {
  if (!request.files) return emptyPlan();
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
  // A commit says nothing of untracked files in any case, and of the tracked ones it says all.
  const left = history ? within : await leaveIgnoredThen(context, within, target);
  return fitToDisk(context, left, also);
}

/** What is kept may be in the way of something else. */
function keepChanges(
  context: Context,
  plan: FilePlan,
  kept: ReadonlySet<BytePath>,
  also: readonly BytePath[],
): FilePlan {
  if (kept.size === 0) return plan;
  const left = leaveAlone(plan, kept, 'it has uncommitted changes (--keep-changes)');
  return fitToDisk(context, left, [...also, ...kept]);
}

/** What is on disk decides what can be done. */
function fitToDisk(
  { repository: { worktree } }: Context,
  plan: FilePlan,
  also: readonly BytePath[],
): FilePlan {
  return settleFolders(worktree, protectObstacles(worktree, plan, also));
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
