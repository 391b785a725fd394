import path from 'node:path';
import { type IndexEntry, readIndexFile } from '../git/indexFile.ts';
import type { BytePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { git, splitNul } from '../git/run.ts';
import type { FilePlan } from './plan.ts';

/** What stands between a plan and the user's unsaved work. */

/**
 * The paths with uncommitted changes that a plan overwrites or deletes: git alone could not bring them back.
 * A file that HEAD does not have as it is (changed, staged, untracked, ignored) counts.
 */
export async function uncommittedPaths(repository: Repository, plan: FilePlan): Promise<Set<BytePath>> {
  const lost = plan.entries
    .filter(({ action }) => action === 'overwrite' || action === 'delete')
    .map(({ path }) => path);
  if (lost.length === 0) return new Set();
  const flags = ['--no-renames', '--untracked-files=all', '--ignore-submodules=all'];
  const [status, known] = await Promise.all([
    git(['status', '--porcelain', '-z', ...flags], { cwd: repository.worktree }),
    trackedPaths(repository, 'plainly'),
  ]);
  const changed = new Set(splitNul(status.stdout).map((record) => record.slice(3)));
  return new Set(lost.filter((path) => changed.has(path) || !known.has(path)));
}

/**
 * What the user's index tracks; `plainly`: without conflicts and without paths with assume-unchanged or skip-worktree,
 * of which `git status` says nothing.
 */
export async function trackedPaths(
  repository: Repository,
  how: 'plainly' | 'at all' = 'at all',
): Promise<Set<BytePath>> {
  const index = readIndexFile(path.join(repository.gitDir, 'index'), repository);
  if (index !== undefined) {
    const isPlain = (entry: IndexEntry) => entry.stage === 0 && !entry.assumeUnchanged && !entry.skipWorktree;
    const entries = how === 'plainly' ? index.entries.filter(isPlain) : index.entries;
    return new Set(entries.map((entry) => entry.path));
  }
  const { stdout } = await git(['ls-files', '-z', '-v'], { cwd: repository.worktree });
  const records = splitNul(stdout).filter((record) => how === 'at all' || record.startsWith('H '));
  return new Set(records.map((record) => record.slice(2)));
}
