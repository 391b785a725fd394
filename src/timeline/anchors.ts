import { ImportStream } from '../git/fastImport.ts';
import { updateRefs } from '../git/refs.ts';
import { anchorRef, type Repository } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';
import { currentTime } from '../system/clock.ts';
import { randomId } from '../system/files.ts';

/**
 * Makes the chain of anchors of a line anew: it then keeps just these. After a prune, what only dropped snapshots
 * needed can go; after the ref was lost, everything is kept again. The caller holds the line's lock.
 * @param anchors oldest first; one that is gone is left out
 * @returns false when another program moved the ref meanwhile: nothing was changed
 */
export async function chainAnchors(repository: Repository, anchors: readonly string[]): Promise<boolean> {
  const cwd = repository.worktree;
  const ref = anchorRef(repository);
  const before = await gitText(['rev-parse', '-q', '--verify', ref], { cwd, okCodes: [0, 1, 128] });
  const { stdout } = await git(['cat-file', '--batch-check'], {
    cwd,
    input: [...new Set(anchors)].map((oid) => `${oid}\n`).join(''),
  });
  const there = stdout
    .toString('latin1')
    .split('\n')
    .filter((line) => line.includes(' commit '))
    .map((line) => line.split(' ')[0] ?? '');
  if (there.length === 0) return before === '' || updateRefs(repository, [{ ref, to: '', from: before }]);
  const stream = new ImportStream();
  const scratch = `refs/pitr/incoming/${randomId()}`;
  let mark = '';
  for (const anchor of there) {
    const begin = { branch: scratch, epochMs: currentTime(), message: `Anchor ${anchor}\n`, clear: true };
    const isFirst = mark === '';
    mark = stream.commit({ ...begin, from: isFirst ? anchor : undefined });
    // A branch that goes on has its own last commit as the first parent.
    if (!isFirst) stream.text(`merge ${anchor}`);
  }
  stream.text(`get-mark ${mark}`);
  const [tip = ''] = await stream.run(repository);
  return updateRefs(repository, [{ ref, to: tip, from: before }]);
}
