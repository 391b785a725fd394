import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { emptyTree, resolveTree } from '../git/trees.ts';
import { unquotePath } from '../git/paths.ts';
import type { Context } from './request.ts';
import type { RecordedState } from './target.ts';

/**
 * `restore --staged`: brings the user's index to how it was. The only place that writes it, and only when asked; git
 * itself takes `index.lock` for it, so a running git of the user's is never overwritten.
 */
export async function restoreStaged({ repository }: Context, target: RecordedState): Promise<void> {
  const cwd = repository.worktree;
  const tree = target.staged !== '' ? target.staged : await headTree(repository, target);
  await git(['read-tree', '--reset', '--no-recurse-submodules', '--end-of-options', tree], { cwd });
  if (target.conflicts !== '') {
    const lines = target.conflicts.split('\n').filter((line) => line !== '');
    const entries = lines.map((line) => {
      const tab = line.indexOf('\t');
      return { info: line.slice(0, tab), file: unquotePath(line.slice(tab + 1)) };
    });
    const none = '0'.repeat(repository.objectFormat === 'sha256' ? 64 : 40);
    const clear = [...new Set(entries.map(({ file }) => file))].map((file) => `0 ${none}\t${file}\0`);
    const input = Buffer.from(
      [...clear, ...entries.map(({ info, file }) => `${info}\t${file}\0`)].join(''),
      'latin1',
    );
    await git(['update-index', '-z', '--index-info'], { cwd, input });
  }
  await git(['update-index', '-q', '--refresh'], { cwd, okCodes: [0, 1], env: { GIT_OPTIONAL_LOCKS: '1' } });
}

/** What the index equalled then: the tree of the commit that HEAD was at. Error: `integrity` when that commit is gone. */
async function headTree(repository: Repository, { head }: RecordedState): Promise<string> {
  if (head === '') return emptyTree(repository);
  const tree = await resolveTree(repository, `${head}^{tree}`);
  if (tree !== '') return tree;
  throw new PitrError(
    'integrity',
    `The index was that of commit ${head}, which is no longer in the repository.`,
    {
      hints: ['Restore without --staged: the files do not depend on that commit.'],
    },
  );
}
