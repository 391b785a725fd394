import path from 'node:path';
import { objectReader } from '../git/objectReader.ts';
import { objectStore } from '../git/objectStore.ts';
import type { BytePath } from '../git/paths.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { readTree } from '../git/treeEntries.ts';
import { git, gitText, nulRecords, startGit } from '../git/run.ts';
import { readFileIfThere } from '../system/files.ts';
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
  return (await areFewAndSmall(repository)) ? { kind: 'sound' } : inspectAll(repository);
}

/** Few notes are all in one folder, and the process that reads objects is needed next in any case. */
async function areFewAndSmall(repository: Repository): Promise<boolean> {
  // The reader knows no refs. Where this one is not in a file of its own (packed, reftable), git is asked.
  const tip = readFileIfThere(path.join(repository.commonDir, notesRef))?.trim() ?? '';
  if (!/^[0-9a-f]{40,64}$/.test(tip)) return false;
  const entries = await readTree(repository, `${tip}^{tree}`);
  if (entries === undefined || [...entries.values()].some(({ mode }) => mode === '040000')) return false;
  const notes = await objectReader(repository).info([...entries.values()].map(({ oid }) => oid));
  return notes.every((note) => note !== undefined && note.size <= maxNoteBytes);
}

async function inspectAll(repository: Repository): Promise<Notes> {
  const { stdout, stderr, code } = await git(
    ['ls-tree', '-r', '--full-tree', '--format=%(objectsize)', '--end-of-options', notesRef],
    { cwd: repository.worktree, okCodes: [0, 1, 128] },
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

async function oidsByCommit(repository: Repository): Promise<Map<string, string>> {
  const tip = await gitText(['rev-parse', '--verify', notesRef], { cwd: repository.worktree });
  const entries = await listNotes(repository, tip);
  return new Map(entries.map(({ commit, oid }) => [commit, oid]));
}

/** A file of a tree of notes: the note on a commit, or (`commit` is '') something else. */
export interface NoteEntry {
  commit: string;
  path: BytePath;
  mode: string;
  oid: string;
}

/** What a tree of notes holds, by its oid. A note's path is the commit's id, with slashes in it once there are many (git-notes(1)). */
export async function listNotes(repository: Repository, tip: string): Promise<NoteEntry[]> {
  const entries: NoteEntry[] = [];
  const running = startGit(['ls-tree', '-rz', '--full-tree', '--end-of-options', tip], {
    cwd: repository.worktree,
    env: objectStore(repository),
  });
  for await (const record of nulRecords(running.stdout)) {
    const [, mode = '', oid = '', path = ''] = /^(\d+) \w+ (\w+)\t([^]*)$/.exec(record) ?? [];
    const name = path.replaceAll('/', '');
    entries.push({ commit: /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name) ? name : '', path, mode, oid });
  }
  await running.end();
  return entries;
}
