import { rmSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import { type BytePath, displayPath } from '../git/paths.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { git, splitNul } from '../git/run.ts';
import { diffTrees, type TreeEntry } from '../git/trees.ts';
import { refuseUnsafe } from './names.ts';
import type { Scope } from './plan.ts';
import type { RecordedState } from './target.ts';

/** The exact list of what `restore --staged` does to the index, path by path, as `plan.ts` has it for files. */

export interface StageEntry extends TreeEntry {
  /** 0, or 1 to 3 in a conflict. */
  stage: number;
}

/** What the index says of one path. */
export interface IndexSide {
  /** None: the path is not in it (or intended to be added: `N` in `flags`). */
  entries: StageEntry[];
  /** `N` intent-to-add, `h` assume-unchanged, `S` skip-worktree (format.md, `state/index-flags`). */
  flags: string;
}

export interface IndexChange {
  path: BytePath;
  before: IndexSide;
  after: IndexSide;
}

/**
 * Works out what leads from the index of `now` to that of `target`.
 * Error: `failed` when the target's index was the tree of a commit that is gone.
 */
export async function planIndex(
  repository: Repository,
  now: RecordedState,
  target: RecordedState,
  scope: Scope,
): Promise<IndexChange[]> {
  const from = await indexTree(repository, now);
  const to = await indexTree(repository, target);
  const options = { pathspecs: scope.pathspecs ?? [], cwd: scope.cwd ?? repository.worktree };
  const trees = new Map<BytePath, { before?: TreeEntry; after?: TreeEntry }>();
  for await (const { path, ...sides } of diffTrees(repository, from, to, options)) trees.set(path, sides);
  const others = notInTrees(now, target).filter((path) => !trees.has(path));
  const entries = await entriesAt(repository, to, new Set(others));
  for (const path of await inScope(repository, others, options)) {
    const entry = entries.get(path);
    trees.set(path, entry === undefined ? {} : { before: entry, after: entry });
  }
  const changes = [...trees]
    .map(([path, { before, after }]) => ({
      path,
      before: sideOf(now, path, before),
      after: sideOf(target, path, after),
    }))
    .filter(({ before, after }) => !sameIndexSide(before, after));
  refuseUnsafe(
    changes.map(({ path }) => path),
    'The snapshot',
  );
  return changes.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** The index of a state as a tree, without its conflicts; '' when it was empty. */
export async function indexTree(repository: Repository, state: RecordedState): Promise<string> {
  if (state.staged !== '' || state.emptyIndex || state.head === '') return state.staged;
  const [tree] = await objectReader(repository).info([`${state.head}^{tree}`]);
  if (tree !== undefined) return tree.oid;
  throw new PitrError(
    'failed',
    `The index was that of commit ${state.head.slice(0, 12)} then, which is no longer in the repository; nothing was changed.`,
    { hints: ['Without --staged the files come back, and the index stays as it is.'] },
  );
}

/** What the index of a state says of a path, with its entry in the tree. */
export function sideOf(state: RecordedState, path: BytePath, entry: TreeEntry | undefined): IndexSide {
  const clean = entry === undefined ? [] : [{ ...entry, stage: 0 }];
  return { entries: state.conflicts.get(path) ?? clean, flags: state.indexFlags.get(path) ?? '' };
}

export function sameIndexSide(a: IndexSide, b: IndexSide): boolean {
  const key = ({ entries, flags }: IndexSide) =>
    JSON.stringify([flags, ...entries.map(({ stage, mode, oid }) => `${stage} ${mode} ${oid}`).toSorted()]);
  return key(a) === key(b);
}

/** Paths of which a tree does not say all, and of which the two states do not say the same. */
function notInTrees(now: RecordedState, target: RecordedState): BytePath[] {
  const paths = new Set(
    [now, target].flatMap(({ conflicts, indexFlags }) => [...conflicts.keys(), ...indexFlags.keys()]),
  );
  return [...paths].filter(
    (path) => !sameIndexSide(sideOf(now, path, undefined), sideOf(target, path, undefined)),
  );
}

/** The entries of a tree at some paths. */
export async function entriesAt(
  repository: Repository,
  tree: string,
  paths: ReadonlySet<BytePath>,
): Promise<Map<BytePath, TreeEntry>> {
  const found = new Map<BytePath, TreeEntry>();
  if (paths.size === 0) return found;
  for await (const { path, after } of diffTrees(repository, '', tree))
    if (after !== undefined && paths.has(path)) found.set(path, after);
  return found;
}

/** Those of some paths that pathspecs match. git matches them, against an index that holds just these (under the line's lock). */
async function inScope(
  repository: Repository,
  paths: readonly BytePath[],
  { pathspecs, cwd }: { pathspecs: readonly string[]; cwd: string },
): Promise<BytePath[]> {
  if (pathspecs.length === 0 || paths.length === 0) return [...paths];
  const index = path.join(repository.lineDir, 'scope-index');
  rmSync(index, { force: true });
  try {
    const env = { GIT_INDEX_FILE: index };
    const oid = nullOid(repository).replace(/0$/, '1');
    // A stage for each: `a` and `a/b` can be among them, and one stage holds only one of these.
    const lines = paths.map((file, at) => `100644 ${oid} ${(at % 3) + 1}\t${file}\0`);
    await git(['update-index', '-z', '--index-info'], {
      cwd: repository.worktree,
      env,
      input: Buffer.from(lines.join(''), 'latin1'),
    });
    const { stdout } = await git(['ls-files', '-z', '--full-name', '--unmerged', '--', ...pathspecs], {
      cwd,
      env,
    });
    const matched = new Set(splitNul(stdout).map((record) => record.slice(record.indexOf('\t') + 1)));
    return paths.filter((file) => matched.has(file));
  } finally {
    rmSync(index, { force: true });
  }
}

/** The paths of index changes that git alone could not bring back: what the index says of them is not what HEAD does. */
export async function uncommittedInIndex(
  repository: Repository,
  now: RecordedState,
  changes: readonly IndexChange[],
): Promise<Set<BytePath>> {
  const found = new Set(
    changes.filter(({ before }) => before.entries.some(({ stage }) => stage > 0)).map(({ path }) => path),
  );
  if (changes.length === 0 || (now.staged === '' && !now.emptyIndex)) return found;
  const planned = new Set(changes.map(({ path }) => path));
  const head = await indexTree(repository, { ...now, staged: '', emptyIndex: false });
  for await (const { path, after } of diffTrees(repository, head, now.staged))
    if (after !== undefined && planned.has(path)) found.add(path);
  return found;
}

/** A change in words. */
export function describeIndexChange({ path, before, after }: IndexChange): string {
  const isConflict = ({ entries }: IndexSide) => entries.some(({ stage }) => stage > 0);
  const what = isConflict(after)
    ? 'in conflict again'
    : isConflict(before)
      ? 'no longer in conflict'
      : after.flags.includes('N')
        ? 'intended to be added'
        : after.entries.length === 0
          ? 'not in it'
          : 'as it was staged';
  return `${displayPath(path)}: ${what}`;
}
