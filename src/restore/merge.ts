import type { Config } from '../config/config.ts';
import { type BytePath, parentsOf } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { diffTrees, type TreeChange, type TreeEntry } from '../git/trees.ts';
import type { Labels, ThreeContents } from './mergeLines.ts';
import { refuseUnsafe } from './names.ts';
import type { PlanRules } from './plan.ts';
import type { RecordedState } from './target.ts';
import { type Decision, decide, pick } from './threeWay.ts';

/**
 * `restore --merge`: what a revert is to commits. It takes back what changed between the target and the snapshot after
 * it (the base), and keeps what changed since. The result is one more state that a plan leads to.
 */

/** A path on which both sides changed something else. */
export interface MergeConflict {
  path: BytePath;
  reason: string;
}

export interface MergeSides {
  base: RecordedState;
  now: RecordedState;
  target: RecordedState;
  /** What base and target are called in conflict marks. */
  labels: Labels;
}

export interface Merged {
  /** The state to plan for: only where `changes` says so does it differ from now. */
  target: RecordedState;
  /** How its files differ from those of now. */
  changes: TreeChange[];
  conflicts: MergeConflict[];
  /** A commit that holds contents which are in no snapshot; '' when there are none. */
  contents: string;
}

/** Works out the merge, path by path. Error: `refused` for names that are never written. */
export async function mergeStates(
  repository: Repository,
  config: Config,
  sides: MergeSides,
  rules: PlanRules,
): Promise<Merged> {
  const paths = await pathsOf(repository, sides, rules);
  refuseUnsafe(paths.keys(), 'The snapshot');
  const conflicts: MergeConflict[] = [];
  const results = new Map<BytePath, TreeEntry | undefined>();
  const lines: { path: BytePath; decision: Extract<Decision, { kind: 'lines' }> }[] = [];
  for (const [path, { base, now, target }] of paths) {
    const decision = decide(base, now, target);
    if (decision.kind === 'now') continue;
    // The plan will leave it alone, and say why.
    if (decision.kind === 'target' || isLeftAlone(path, now, target, sides, rules)) results.set(path, target);
    else if (decision.kind === 'both') results.set(path, decision.entry);
    else if (decision.kind === 'conflict') conflicts.push({ path, reason: decision.reason });
    else lines.push({ path, decision });
  }
  keepClashing(paths, results, conflicts);
  let contents = '';
  if (lines.length > 0) {
    const { mergeLines } = await import('./mergeLines.ts');
    const three = lines.map(({ decision }): ThreeContents => decision);
    const style = config.git.get('merge.conflictstyle');
    const merged = await mergeLines(repository, three, sides.labels, style);
    contents = merged.commit;
    for (const [at, { path, decision }] of lines.entries()) {
      const { oid, conflict } = merged.results[at] ?? { oid: decision.now };
      results.set(path, { mode: decision.mode, oid });
      if (conflict !== undefined) conflicts.push({ path, reason: reasons[conflict] });
    }
  }
  const changes = [...results].map(([path, after]): TreeChange => {
    const before = paths.get(path)?.now;
    return { path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
  });
  const byPath = (a: { path: BytePath }, b: { path: BytePath }) => (a.path < b.path ? -1 : 1);
  return {
    target: mergeTheRest(sides, paths, results),
    changes: changes.filter(isChange).toSorted(byPath),
    conflicts: conflicts.toSorted(byPath),
    contents,
  };
}

const reasons = {
  marked: 'the same lines changed on both sides; they are marked in the file',
  binary: 'it changed on both sides, and is not text; left as it is now',
};

interface Three {
  base?: TreeEntry;
  now?: TreeEntry;
  target?: TreeEntry;
}

/** What each side has at every path on which they do not all agree. */
async function pathsOf(
  repository: Repository,
  { base, now, target }: MergeSides,
  { scope }: PlanRules,
): Promise<Map<BytePath, Three>> {
  const options = { pathspecs: scope.pathspecs ?? [], cwd: scope.cwd ?? repository.worktree };
  const paths = new Map<BytePath, Three>();
  for await (const { path, before, after } of diffTrees(repository, base.files, target.files, options))
    paths.set(path, withSides({ base: before, now: before, target: after }));
  for await (const { path, before, after } of diffTrees(repository, base.files, now.files, options)) {
    const known = paths.get(path);
    paths.set(
      path,
      withSides({ base: before, now: after, target: known === undefined ? before : known.target }),
    );
  }
  return paths;
}

function withSides(sides: Record<keyof Three, TreeEntry | undefined>): Three {
  return Object.fromEntries(Object.entries(sides).filter(([, entry]) => entry !== undefined));
}

/** True for a path that the plan protects, or of which one of the three snapshots does not say what was there. */
function isLeftAlone(
  path: BytePath,
  now: TreeEntry | undefined,
  target: TreeEntry | undefined,
  sides: MergeSides,
  rules: PlanRules,
): boolean {
  const action = now === undefined ? 'create' : target === undefined ? 'delete' : 'overwrite';
  if (rules.protect(path, action) !== undefined) return true;
  const places = [...parentsOf(path), path];
  return [sides.base, sides.now, sides.target].some(({ skipped }) =>
    places.some((place) => skipped.has(place)),
  );
}

/** A file cannot come back where there is a folder now, nor below a file of now: then what is there stays. */
function keepClashing(
  paths: ReadonlyMap<BytePath, Three>,
  results: Map<BytePath, TreeEntry | undefined>,
  conflicts: MergeConflict[],
): void {
  const stays = new Set<BytePath>();
  const folders = new Set<BytePath>();
  for (const [path, { now }] of paths) {
    if (now === undefined || (results.has(path) && results.get(path) === undefined)) continue;
    stays.add(path);
    for (const parent of parentsOf(path)) folders.add(parent);
  }
  for (const [path, after] of results) {
    if (after === undefined || paths.get(path)?.now !== undefined) continue;
    const inTheWay = parentsOf(path).some((parent) => stays.has(parent));
    if (!inTheWay && !folders.has(path)) continue;
    results.delete(path);
    const what = inTheWay ? 'a file is in the place of its folder now' : 'a folder is in its place now';
    conflicts.push({ path, reason: `${what}; left as it is now` });
  }
}

function isChange({ before, after }: TreeChange): boolean {
  return before?.oid !== after?.oid || before?.mode !== after?.mode;
}

/** What is no tree: permissions and empty folders, each merged on its own; where both sides changed, now stays. */
function mergeTheRest(
  { base, now, target }: MergeSides,
  paths: ReadonlyMap<BytePath, Three>,
  results: ReadonlyMap<BytePath, TreeEntry | undefined>,
): RecordedState {
  const permissions = new Map<BytePath, string>();
  const withPermissions = [base, now, target].flatMap((side) => [...side.permissions.keys()]);
  for (const path of new Set(withPermissions)) {
    const of = ({ permissions: known }: RecordedState) => known.get(path);
    const mode = pick(of(base), of(now), of(target)) ?? (of(base) === of(now) ? of(target) : of(now));
    if (mode !== undefined) permissions.set(path, mode);
  }
  const isFile = (path: BytePath) =>
    results.has(path) ? results.get(path) !== undefined : paths.get(path)?.now !== undefined;
  const emptyDirs = [...now.emptyDirs].filter((dir) => !base.emptyDirs.has(dir) || target.emptyDirs.has(dir));
  const back = [...target.emptyDirs].filter(
    (dir) => !base.emptyDirs.has(dir) && ![...parentsOf(dir), dir].some(isFile),
  );
  return {
    ...target,
    permissions,
    emptyDirs: new Set([...emptyDirs, ...back]),
    skipped: new Set([...target.skipped, ...base.skipped]),
  };
}
