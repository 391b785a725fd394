import { notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { resolveTree } from '../git/trees.ts';
import { parseMessage, type Trailers } from './message.ts';

/** The newest snapshot of a line, as much as recording the next one needs, in one git process. */
export interface Tip {
  /** '' when the line has no snapshot. */
  commit: string;
  tree: string;
  trailers: Trailers | undefined;
  /** Its tree of files; '' when it holds none. */
  files: string;
  /** The tip of the notes ref; '' when there is none. */
  notes: string;
}

export async function readTip(repository: Repository): Promise<Tip> {
  const timeline = timelineRef(repository);
  const { stdout } = await git(
    ['for-each-ref', '--format=%(refname)%00%(objectname)%00%(tree)%00%(contents)%00%00', timeline, notesRef],
    {
      cwd: repository.worktree,
    },
  );
  const tip: Tip = { commit: '', tree: '', trailers: undefined, files: '', notes: '' };
  for (const record of stdout.toString('utf8').split('\0\0')) {
    const [ref, commit = '', tree = '', message = ''] = record.trimStart().split('\0');
    if (ref === timeline) Object.assign(tip, { commit, tree, trailers: parseMessage(message) });
    if (ref === notesRef) tip.notes = commit;
  }
  if (tip.commit !== '') tip.files = await resolveTree(repository, `${tip.commit}:files`);
  return tip;
}
