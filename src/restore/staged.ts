import { PitrError } from '../errors.ts';
import type { BytePath } from '../git/paths.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { emptyTree, resolveTree } from '../git/trees.ts';
import type { Context } from './request.ts';
import { conflictsOf, restoreIndexPaths } from './stagedPaths.ts';
import type { RecordedState } from './target.ts';

/**
 * `restore --staged`: brings the user's index to how it was, all of it or only `paths`. The only place that writes it,
 * and only when asked; git itself takes `index.lock` for it, so a running git of the user's is never overwritten.
 */
export async function restoreStaged(
  { repository }: Context,
  target: RecordedState,
  paths?: readonly BytePath[],
): Promise<void> {
  const cwd = repository.worktree;
  const tree = await indexTree(repository, target);
  if (paths === undefined) await restoreWhole(repository, target, tree);
  else await restoreIndexPaths(repository, target, tree, paths);
  await git(['update-index', '-q', '--refresh'], { cwd, okCodes: [0, 1], env: { GIT_OPTIONAL_LOCKS: '1' } });
}

/**
 * The index of a recorded state as a tree. One that is not recorded was the tree of the commit HEAD was on *then*; HEAD
 * may have moved since. Error: `failed` when that commit is gone.
 */
export async function indexTree(repository: Repository, target: RecordedState): Promise<string> {
  if (target.staged !== '') return target.staged;
  if (target.head === '') return emptyTree(repository);
  const tree = await resolveTree(repository, `${target.head}^{tree}`);
  if (tree !== '') return tree;
  throw new PitrError(
    'failed',
    `The index was that of commit ${target.head.slice(0, 12)} then, which is no longer in the repository; nothing was changed.`,
    { hints: ['Without --staged the files come back, and the index stays as it is.'] },
  );
}

async function restoreWhole(repository: Repository, target: RecordedState, tree: string): Promise<void> {
  const cwd = repository.worktree;
  await git(['read-tree', '--reset', '--no-recurse-submodules', '--end-of-options', tree], { cwd });
  const entries = conflictsOf(target);
  if (entries.length === 0) return;
  const none = nullOid(repository);
  const clear = [...new Set(entries.map(({ path }) => path))].map((path) => `0 ${none}\t${path}\0`);
  const lines = [...clear, ...entries.map(({ info, path }) => `${info}\t${path}\0`)];
  const input = Buffer.from(lines.join(''), 'latin1');
  await git(['update-index', '-z', '--index-info'], { cwd, input });
}
