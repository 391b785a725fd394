import { PitrError } from '../errors.ts';
import { ImportStream } from '../git/fastImport.ts';
import { gcRuns, gcStamp } from '../git/gc.ts';
import { objectReader } from '../git/objectReader.ts';
import { type RefUpdate, updateRefs } from '../git/refs.ts';
import { notesRef, previousRefs, type Repository, timelineRef } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { randomId } from '../system/files.ts';
import { dropHolds, keepAfter, keepBefore, type NewObjects } from './keep.ts';
import { parseMessage } from './message.ts';
import type { NoteEntry } from './notes.ts';
import { moveNotes, startNotes } from './sweep.ts';
import { readTotals, writeTotals } from './totals.ts';

/**
 * Putting another chain in the place of a line's: retention, and taking it back.
 *
 * A ref is moved at a time, even in one transaction: a machine that stops in between must leave every snapshot its
 * note. So the notes of both chains are put in place together with the new chain; those of commits that are gone are
 * taken out afterwards (`sweep.ts`), and whoever comes next does so if this one did not come to it.
 */

/** The refs that change together, as they were; '' for one that is not there. */
export interface LineRefs {
  timeline: string;
  notes: string;
  previous: string;
  previousNotes: string;
}

export async function readLineRefs(repository: Repository): Promise<LineRefs> {
  const before = previousRefs(repository);
  const names = [timelineRef(repository), notesRef, before.timeline, before.notes];
  const { stdout } = await git(['for-each-ref', '--format=%(objectname) %(refname)', ...names], {
    cwd: repository.worktree,
  });
  // A name also means what is below it.
  const found = new Map(
    stdout
      .toString('utf8')
      .split('\n')
      .map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))] as const),
  );
  const [timeline = '', notes = '', previous = '', previousNotes = ''] = names.map(
    (name) => found.get(name) ?? '',
  );
  return { timeline, notes, previous, previousNotes };
}

/** A note to be written: its text, or the blob that holds it. */
export type NoteContent = { text: string } | { blob: string };

/** The new chain. */
export interface NewChain {
  /** The commit that stays and that the new ones follow; '' to begin anew. */
  base: string;
  /** Commits to write again, oldest first: their tree, message and time stay. */
  again: readonly { commit: string; note: NoteContent | undefined }[];
  /** Notes to put back on commits that are there already. */
  notes: readonly { commit: string; note: NoteContent }[];
  /** The notes that there are without those of commits that are gone, if that is known: see `sweep.ts`. */
  staying?: readonly NoteEntry[];
}

interface Written {
  tip: string;
  notes: string;
  /** The notes of the new chain alone; '' where `staying` was not given. */
  swept: string;
}

export interface Replaced {
  tip: string;
  /** True when the notes of what is gone are gone too. */
  isSwept: boolean;
}

/**
 * Writes the chain and moves the refs to it, if they still are what they were. The former ones become the previous ones.
 * The caller holds the line's lock.
 * @param beforeMoving called when all is written and nothing has changed yet, with the new tip
 * @returns undefined when a ref had moved: nothing has changed then
 * Error: `integrity` when a gc took what was being written; everything is as before then.
 */
export async function replaceChain(
  repository: Repository,
  refs: LineRefs,
  chain: NewChain,
  message: string,
  beforeMoving: (tip: string) => void,
): Promise<Replaced | undefined> {
  const stamp = gcStamp(repository);
  const { tip, notes, swept } = await writeChain(repository, refs, chain, message);
  crashPoint('prune-written');
  const objects: NewObjects = {
    tips: [tip, notes],
    before: [refs.timeline, refs.notes, refs.previous, refs.previousNotes],
  };
  const held = await keepBefore(repository, objects, stamp);
  beforeMoving(tip);
  crashPoint('prune-noted');
  const names = previousRefs(repository);
  const updates: RefUpdate[] = [
    { ref: names.notes, to: refs.notes, from: refs.previousNotes },
    { ref: names.timeline, to: refs.timeline, from: refs.previous },
    { ref: notesRef, to: notes, from: refs.notes },
    { ref: timelineRef(repository), to: tip, from: refs.timeline },
  ];
  const changing = updates.filter(({ to, from }) => to !== from);
  const moved = await updateRefs(repository, changing);
  if (moved) crashPoint('prune-moved');
  if (held) await dropHolds(repository);
  if (!moved) return undefined;
  if (!held) await keepOrTakeBack(repository, objects, changing);
  moveTotals(repository, refs.timeline, tip);
  // Where a gc is at work, and where somebody has recorded something, the sweep takes the long way.
  if (swept === '' || held || gcStamp(repository) !== stamp || gcRuns(repository))
    return { tip, isSwept: false };
  crashPoint('notes-written');
  return { tip, isSwept: await moveNotes(repository, notes, swept) };
}

async function keepOrTakeBack(
  repository: Repository,
  objects: NewObjects,
  updates: readonly RefUpdate[],
): Promise<void> {
  try {
    await keepAfter(repository, objects);
  } catch (error) {
    await updateRefs(
      repository,
      updates.toReversed().map(({ ref, to, from }) => ({ ref, to: from, from: to })),
    );
    throw error;
  }
}

/** One stream: the commits, then the notes of both chains. */
async function writeChain(
  repository: Repository,
  refs: LineRefs,
  { base, again, notes, staying }: NewChain,
  message: string,
): Promise<Written> {
  const stream = new ImportStream();
  const scratch = `refs/pitr/incoming/${randomId()}`;
  const sources = await readCommits(
    repository,
    again.map(({ commit }) => commit),
  );
  const marks: string[] = [];
  for (const [at, source] of sources.entries()) {
    const from = at === 0 && base !== '' ? base : undefined;
    marks.push(stream.commit({ branch: scratch, ...source, from, clear: true }));
    stream.put('040000', source.tree, '');
  }
  const tipMark = marks.at(-1);
  const notesMark = stream.commit({
    branch: `${scratch}-notes`,
    epochMs: sources.at(-1)?.epochMs ?? 0,
    message: `${message}\n`,
    from: refs.notes || undefined,
  });
  const put = (commit: string, note: NoteContent) =>
    'blob' in note ? stream.noteFrom(commit, note.blob) : stream.note(commit, note.text);
  for (const { commit, note } of notes) put(commit, note);
  for (const [at, { note }] of again.entries()) if (note !== undefined) put(marks[at] ?? '', note);
  stream.text(`get-mark ${notesMark}`);
  stream.text(`get-mark ${tipMark ?? notesMark}`);
  if (staying !== undefined) {
    const sweptMark = startNotes(stream, staying);
    for (const [at, { note }] of again.entries()) if (note !== undefined) put(marks[at] ?? '', note);
    stream.text(`get-mark ${sweptMark}`);
  }
  const [written = '', tip = '', swept = ''] = await stream.run(repository);
  return { tip: tipMark === undefined ? base : tip, notes: written, swept };
}

interface Source {
  tree: string;
  message: Buffer;
  epochMs: number;
}

/** What commits say, byte for byte. Error: `integrity` for one that is gone or is no snapshot. */
async function readCommits(repository: Repository, commits: readonly string[]): Promise<Source[]> {
  const contents = await objectReader(repository).read(commits);
  return commits.map((commit, at) => {
    const content = contents[at] ?? Buffer.alloc(0);
    const end = content.indexOf('\n\n');
    const message = content.subarray(end + 2);
    const tree = /^tree ([0-9a-f]{40,64})\n/.exec(content.toString('latin1', 0, 100))?.[1];
    const trailers = end === -1 ? undefined : parseMessage(message.toString('utf8'));
    if (tree === undefined || trailers === undefined)
      throw new PitrError('integrity', `The snapshot commit ${commit} cannot be read; nothing was changed.`, {
        hints: ['git fsck --full tells what is missing or damaged in the repository.'],
      });
    return { tree, message, epochMs: Date.parse(trailers.time) };
  });
}

/** What is known of the newest snapshot is as true of the commit that it is now. */
function moveTotals(repository: Repository, from: string, to: string): void {
  const known = readTotals(repository);
  if (known?.commit === from) writeTotals(repository, { ...known, commit: to });
}
