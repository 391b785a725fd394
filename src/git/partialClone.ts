import type { Repository } from './repository.ts';
import { git } from './run.ts';

/** True when objects may be absent because they were never fetched (`clone --filter`). */
export async function isPartialClone(repository: Repository): Promise<boolean> {
  const pattern = '^(extensions\\.partialclone|remote\\..*\\.(promisor|partialclonefilter))$';
  const { code } = await git(['config', '--get-regexp', pattern], {
    cwd: repository.worktree,
    okCodes: [0, 1],
  });
  return code === 0;
}
