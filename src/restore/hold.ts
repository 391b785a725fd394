import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';

/**
 * While a merge is carried out, a ref keeps its new content: it is in no snapshot yet, and `restore --continue` must
 * find it whatever gc has run since the machine stopped.
 */
function holdRef({ line }: Repository): string {
  return `refs/pitr/incoming/merged-${line}`;
}

export async function holdContents(repository: Repository, commit: string): Promise<void> {
  await git(['update-ref', '--no-deref', '--end-of-options', holdRef(repository), commit], {
    cwd: repository.worktree,
  });
}

export async function releaseContents(repository: Repository): Promise<void> {
  await git(['update-ref', '--no-deref', '-d', '--end-of-options', holdRef(repository)], {
    cwd: repository.worktree,
  });
}
