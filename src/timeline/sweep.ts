import { ImportStream } from '../git/fastImport.ts';
import { gcStamp } from '../git/gc.ts';
import { updateRefs } from '../git/refs.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { gitText } from '../git/run.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { randomId } from '../system/files.ts';
import { dropHolds, keepAfter, keepBefore, type NewObjects } from './keep.ts';
import { listNotes, type NoteEntry } from './notes.ts';

const races = 20;

/**
 * Takes the notes of commits that are gone out of the notes, and their history with them: it would keep every note
 * that ever was. Notes are shared by all lines: what was recorded meanwhile stays, and the work begins again.
 * @param also more that are gone
 * @returns false when others kept recording, or a gc was in the way: the notes that are too many do no harm
 */
export async function sweepNotes(
  repository: Repository,
  gone: ReadonlySet<string>,
  also: () => Promise<ReadonlySet<string>> = async () => new Set(),
): Promise<boolean> {
  const more = await also();
  for (let race = 0; race < races; race++) {
    const stamp = gcStamp(repository);
    const tip = await gitText(['rev-parse', '-q', '--verify', notesRef], {
      cwd: repository.worktree,
      okCodes: [0, 1],
    });
    if (tip === '') return true;
    const entries = await listNotes(repository, tip);
    const staying = entries.filter(({ commit }) => !gone.has(commit) && !more.has(commit));
    if (staying.length === entries.length) return true;
    const fresh = await writeNotes(repository, staying);
    crashPoint('notes-written');
    const objects: NewObjects = { tips: [fresh, fresh], before: [tip] };
    const held = await keepBefore(repository, objects, stamp);
    if (held) {
      const moved = await updateRefs(repository, [{ ref: notesRef, to: fresh, from: tip }]);
      await dropHolds(repository);
      if (moved) return true;
    } else if (await moveNotes(repository, tip, fresh)) return true;
  }
  return false;
}

/** Puts other notes in the place of these, unless they have moved, or a gc takes what is new. True when it is done. */
export async function moveNotes(repository: Repository, from: string, to: string): Promise<boolean> {
  if (!(await updateRefs(repository, [{ ref: notesRef, to, from }]))) return false;
  try {
    await keepAfter(repository, { tips: [to], before: [from] });
    return true;
  } catch {
    await updateRefs(repository, [{ ref: notesRef, to: from, from: to }]);
    return false;
  }
}

async function writeNotes(repository: Repository, entries: readonly NoteEntry[]): Promise<string> {
  const stream = new ImportStream();
  stream.text(`get-mark ${startNotes(stream, entries)}`);
  const [commit = ''] = await stream.run(repository);
  return commit;
}

/** A tree of notes without a history, laid out as git lays out so many; more of them may follow. Gives its mark. */
export function startNotes(stream: ImportStream, entries: readonly NoteEntry[]): string {
  const notes = entries.filter(({ commit }) => commit !== '').length;
  const mark = stream.commit({
    branch: `refs/pitr/incoming/${randomId()}`,
    epochMs: currentTime(),
    message: 'Notes of the snapshots that there are\n',
    from: undefined,
  });
  for (const { commit, path, mode, oid } of entries) {
    if (mode !== '100644' && mode !== '100755' && mode !== '120000') continue;
    stream.put(mode, oid, commit === '' ? path : fannedOut(commit, notes));
  }
  return mark;
}

/** `convert_num_notes_to_fanout` of git's fast-import: a folder of two digits for each eight bits of their number. */
function fannedOut(commit: string, notes: number): string {
  let path = '';
  let rest = commit;
  for (let left = notes >> 8; left > 0; left >>= 8) {
    path += `${rest.slice(0, 2)}/`;
    rest = rest.slice(2);
  }
  return path + rest;
}
