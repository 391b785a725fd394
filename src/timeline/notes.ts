import { objectReader } from '../git/objectReader.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { git, nulRecords, startGit } from '../git/run.ts';
import { maxNoteBytes } from './limits.ts';

/**
 * How the notes can be read. `git log --notes` gives 10,000 of them in 50 ms, but holds each whole, takes one of a
 * gigabyte as it is, and stops altogether when the ref is no tree of notes: then they are read one by one, or not.
 */
export type Notes =
  | { kind: 'sound' }
  /** Text of the note on a commit; '' when there is none; undefined when it is too large to be one. */
  | { kind: 'oversized'; read: (commit: string) => Promise<string | undefined> }
  | { kind: 'broken'; problem: string };

/** Looks at the sizes of all notes, not at what they say (10,000 notes: 15 ms, while other things load). */
export async function inspectNotes(repository: Repository): Promise<Notes> {
  const { stdout, stderr, code } = await git(
    ['ls-tree', '-r', '--full-tree', '--format=%(objectsize)', '--end-of-options', notesRef],
    { cwd: repository.worktree, okCodes: [0, 128] },
  );
  if (code !== 0) {
    // Without a single note there is no ref yet.
    if (/not a valid object name/i.test(stderr)) return { kind: 'sound' };
    return { kind: 'broken', problem: `${notesRef} cannot be read (${stderr.trim()})` };
  }
  const sizes = stdout.toString('latin1').split('\n');
  if (sizes.every((size) => Number(size) <= maxNoteBytes)) return { kind: 'sound' };
  const oids = await oidsByCommit(repository);
  const read = async (commit: string) => {
    const oid = oids.get(commit);
    if (oid === undefined) return '';
    const [content] = await objectReader(repository).read([oid], maxNoteBytes);
    return content?.toString('utf8');
  };
  return { kind: 'oversized', read };
}

/** A note's path is the commit's id, with slashes in it once there are many (git-notes(1)). */
async function oidsByCommit(repository: Repository): Promise<Map<string, string>> {
  const oids = new Map<string, string>();
  const running = startGit(['ls-tree', '-rz', '--full-tree', '--end-of-options', notesRef], {
    cwd: repository.worktree,
  });
  for await (const record of nulRecords(running.stdout)) {
    const [, , oid = '', name = ''] = record.split(/[ \t]/);
    oids.set(name.replaceAll('/', ''), oid);
  }
  await running.end();
  return oids;
}
