import { readOwnRefs, type RefState } from '../capture/refs.ts';
import { anchorRef, notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { resolveTree } from '../git/trees.ts';
import { parseMessage, type Trailers } from './message.ts';
import { readTotals } from './totals.ts';

/** The newest snapshot of a line, as much as recording the next one needs. */
export interface Tip {
  /** '' when the line has no snapshot. */
  commit: string;
  tree: string;
  trailers: Trailers | undefined;
  /** What it holds (see `contentsKey`), if that is known. */
  contents?: string | undefined;
  /** Its tree of files; '' when it holds none. */
  files: string;
  /** The tip of the notes ref; '' when there is none. */
  notes: string;
  /** The tip of the anchors; '' when there is none. */
  anchors: string;
  /** `tipsKey` of what its anchor keeps, if that is known. */
  tips?: string | undefined;
}

export async function readTip(
  repository: Repository,
  refs: Promise<Pick<RefState, 'own'>> = readOwnRefs(repository),
): Promise<Tip> {
  const { own } = await refs;
  const commit = own.get(timelineRef(repository)) ?? '';
  const notes = own.get(notesRef) ?? '';
  const anchors = own.get(anchorRef(repository)) ?? '';
  if (commit === '') return { commit, tree: '', trailers: undefined, files: '', notes, anchors };
  const known = readTotals(repository);
  if (known?.commit === commit && known.trailers !== undefined)
    return {
      commit,
      tree: known.root,
      trailers: known.trailers,
      contents: known.contents,
      files: known.tree,
      notes,
      anchors,
      tips: known.tips,
    };
  const { stdout } = await git(['log', '-1', '--format=%T%x00%B', '--end-of-options', commit, '--'], {
    cwd: repository.worktree,
  });
  const [tree = '', message = ''] = stdout.toString('utf8').split('\0');
  const files = await resolveTree(repository, `${commit}:files`);
  return { commit, tree, trailers: parseMessage(message), files, notes, anchors };
}
