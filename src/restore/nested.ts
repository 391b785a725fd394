import { type BytePath, isWithin } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { resolveTree } from '../git/trees.ts';
import type { FilePlan } from './plan.ts';
import type { RecordedState } from './target.ts';

/**
 * What a plan does not do to repositories nested in the worktree. Their files are files like any others, but their git
 * directories are never written: a HEAD that moved stays, and a repository that is newer than the target is left alone
 * as a whole. Deleting its files would leave a `.git` that says everything in it was removed.
 */
export async function leaveNested(
  repository: Repository,
  plan: FilePlan,
  now: RecordedState,
  target: RecordedState,
  inScope: (folder: BytePath) => boolean,
): Promise<FilePlan> {
  const newer: BytePath[] = [];
  const reasons: FilePlan['protected'] = [];
  for (const [path, commit] of now.gitlinks) {
    const then = target.gitlinks.get(path);
    if (then !== undefined) {
      if (then !== commit && inScope(path)) reasons.push({ path, reason: movedReason(then, commit) });
    } else if (await isNewer(repository, path, plan, target, newer)) {
      newer.push(path);
      reasons.push({ path, reason: 'it is a repository of its own that is newer than the snapshot' });
    }
  }
  const left = (path: BytePath) => newer.some((folder) => path !== folder && isWithin(path, folder));
  return {
    ...plan,
    entries: plan.entries.filter(({ path }) => !left(path)),
    removeDirs: plan.removeDirs.filter((path) => !newer.includes(path) && !left(path)),
    protected: [...plan.protected, ...reasons],
  };
}

/** True when a plan would empty the repository at `path`, and the target holds nothing at all in its place. */
async function isNewer(
  repository: Repository,
  path: BytePath,
  plan: FilePlan,
  target: RecordedState,
  outer: readonly BytePath[],
): Promise<boolean> {
  if (outer.some((folder) => isWithin(path, folder))) return false;
  const inside = plan.entries.filter((entry) => entry.path !== path && isWithin(entry.path, path));
  const goes = inside.length > 0 || plan.removeDirs.some((folder) => isWithin(folder, path));
  if (!goes || inside.some(({ action }) => action !== 'delete')) return false;
  // A file then, here or in the place of a folder above: nothing that is in here now was there.
  if (plan.entries.some((entry) => entry.action === 'create' && isWithin(path, entry.path))) return true;
  const name = Buffer.from(path, 'latin1').toString('utf8');
  return target.files === '' || (await resolveTree(repository, `${target.files}:${name}`)) === '';
}

function movedReason(then: string, now: string): string {
  const name = (commit: string) => (/^0+$/.test(commit) ? 'no commit' : `commit ${commit.slice(0, 10)}`);
  return `it stood on ${name(then)} then and stands on ${name(now)} now; the HEAD of a nested repository is never moved`;
}
