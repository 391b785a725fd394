/** All that git-pitr promises not to touch, as lines that can be compared and read in a failed assertion. */
import { execFileSync } from 'node:child_process';
import { cleanEnvironment } from './environment.ts';

/**
 * `sha256sum` of every file below `folder`, in path order, worked out by other processes: reading an open SQLite
 * database in this one would drop its locks when the file is closed.
 * @param leaveOut patterns of `find -path`, relative to the folder
 */
export function sha256sums(folder: string, leaveOut: readonly string[] = []): string[] {
  const not = leaveOut.flatMap((pattern) => ['!', '-path', `./${pattern}`]);
  const list = 'find . "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum';
  const output = execFileSync('sh', ['-c', list, 'sh', ...not], {
    cwd: folder,
    env: cleanEnvironment(),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return output.split('\n').filter((line) => line !== '');
}

/**
 * A repository as its owner sees it: every file of the worktree (databases with their `-wal` too), and all of `.git`
 * with index and refs. Left out: objects, which nothing refers to yet; the private folder of git-pitr, which holds
 * what it remembers of the last look; `-shm`, which every reader of a database writes.
 */
export function everything(worktree: string): string[] {
  return sha256sums(worktree, ['.git/objects/*', '.git/pitr/*', '*-shm']);
}

/** The same for the worktree alone. */
export function allFiles(worktree: string): string[] {
  return sha256sums(worktree, ['.git/*', '*-shm']);
}
