import { type BytePath, unquotePath } from '../git/paths.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { git, splitNul } from '../git/run.ts';
import { diffTrees } from '../git/trees.ts';
import type { Context, RestoreRequest } from './request.ts';
import type { RecordedState } from './target.ts';

/** `restore --staged -- PATH…`: of the index, only these paths come back. */

/** The index's own paths, now and then, that the pathspecs of a request match. */
export async function stagedPathsOf(
  { repository }: Context,
  { pathspecs, cwd }: RestoreRequest,
  target: RecordedState,
  tree: string,
): Promise<BytePath[]> {
  const listing = ['ls-files', '-z', '--cached', '--full-name', '--', ...pathspecs];
  const found = new Set(splitNul((await git(listing, { cwd })).stdout));
  for await (const { path } of diffTrees(repository, '', tree, { pathspecs, cwd })) found.add(path);
  const unmerged = new Set(conflictsOf(target).map(({ path }) => path));
  // An unmerged path is in no tree of the index; its file was in the working tree.
  if (unmerged.size > 0) {
    for await (const { path } of diffTrees(repository, '', target.files, { pathspecs, cwd }))
      if (unmerged.has(path)) found.add(path);
  }
  return [...found].toSorted();
}

/** Brings these paths of the index to how a tree and the conflicts of `target` have them; all others stay. */
export async function restoreIndexPaths(
  repository: Repository,
  target: RecordedState,
  tree: string,
  paths: readonly BytePath[],
): Promise<void> {
  const scope = new Set(paths);
  const wanted = new Map<BytePath, string[]>(paths.map((path) => [path, []]));
  for await (const { path, after } of diffTrees(repository, '', tree))
    if (after !== undefined && scope.has(path)) wanted.get(path)?.push(`${after.mode} ${after.oid} 0`);
  for (const { info, path } of conflictsOf(target)) if (scope.has(path)) wanted.get(path)?.push(info);
  const present = await presentEntries(repository, scope);
  const lines = [...wanted].flatMap(([path, entries]) =>
    entries.join() === (present.get(path) ?? []).join()
      ? [] // untouched: git knows its file and need not read it again
      : [`0 ${nullOid(repository)}\t${path}\0`, ...entries.map((entry) => `${entry}\t${path}\0`)],
  );
  if (lines.length === 0) return;
  const input = Buffer.from(lines.join(''), 'latin1');
  await git(['update-index', '-z', '--index-info'], { cwd: repository.worktree, input });
}

async function presentEntries(
  repository: Repository,
  scope: ReadonlySet<BytePath>,
): Promise<Map<BytePath, string[]>> {
  const entries = new Map<BytePath, string[]>();
  const { stdout } = await git(['ls-files', '-s', '-z'], { cwd: repository.worktree });
  for (const record of splitNul(stdout)) {
    const tab = record.indexOf('\t');
    const path = record.slice(tab + 1);
    if (scope.has(path)) entries.set(path, [...(entries.get(path) ?? []), record.slice(0, tab)]);
  }
  return entries;
}

/** Unmerged entries, as `update-index --index-info` takes them. */
export function conflictsOf({ conflicts }: RecordedState): { info: string; path: BytePath }[] {
  const lines = conflicts.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const tab = line.indexOf('\t');
    return { info: line.slice(0, tab), path: unquotePath(line.slice(tab + 1)) };
  });
}
