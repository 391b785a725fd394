import type { Repository } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';

/** Bytes on the disk, as git stores them (`git rev-list --disk-usage`). */

/**
 * What only the snapshots that go take: not what others of the line hold, nor the branches.
 * @param gone, kept commits, newest first
 * @param below the newest commit below all of `gone`; '' when there is none
 */
export async function measureFreed(
  repository: Repository,
  gone: readonly string[],
  kept: readonly string[],
  below: string,
): Promise<number> {
  const without = [...kept.map(treeOf), ...(await ownTrees(repository)), below];
  return diskUsage(repository, gone, without);
}

/** What snapshots take together, beyond what the branches hold. */
export async function measureKept(repository: Repository, kept: readonly string[]): Promise<number> {
  return diskUsage(repository, kept.map(treeOf), await ownTrees(repository));
}

async function diskUsage(
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

function treeOf(commit: string): string {
  return `${commit}^{tree}`;
}

/** So many of the newest commits of the branches are looked at: what older ones alone hold is hardly in a snapshot. */
const newest = 1000;

async function ownTrees({ worktree }: Repository): Promise<string[]> {
  const which = ['--branches', '--tags', '--remotes', `--max-count=${newest}`];
  const listed = await gitText(['log', '--no-show-signature', '--format=%T', ...which], { cwd: worktree });
  return listed.split('\n').filter(Boolean);
}
