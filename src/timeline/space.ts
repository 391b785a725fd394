import type { Repository } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';

/** Bytes on the disk, as git stores them (`git rev-list --disk-usage`). */

/**
 * What these take together, beyond what others hold.
 * @param of commits, with all that came before them, and trees
 */
export async function diskUsage(
  repository: Repository,
  of: readonly string[],
  without: readonly string[],
): Promise<number> {
  const excluded = without.filter((oid) => oid !== '').map((oid) => `^${oid}`);
  const input = [...of, ...excluded].map((line) => `${line}\n`).join('');
  const flags = ['--disk-usage', '--objects', '--missing=allow-promisor', '--stdin'];
  const { stdout } = await git(['rev-list', ...flags], { cwd: repository.worktree, input });
  return Number(stdout.toString('latin1').trim());
}

export function treeOf(commit: string): string {
  return `${commit}^{tree}`;
}

/** What older ones alone hold is hardly in a snapshot. */
const newest = 1000;

/** The trees of the newest commits of the branches and tags. */
export async function ownTrees({ worktree }: Repository): Promise<string[]> {
  const which = ['--branches', '--tags', '--remotes', `--max-count=${newest}`];
  const listed = await gitText(['log', '--no-show-signature', '--format=%T', ...which], { cwd: worktree });
  return listed.split('\n').filter(Boolean);
}
