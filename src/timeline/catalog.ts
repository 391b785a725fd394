import { randomBytes } from '../system/crypto.ts';
import { notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { GitFailure, startGit } from '../git/run.ts';
import { parseMessage } from './message.ts';
import { maxNoteBytes } from './limits.ts';
import { inspectNotes, type Notes } from './notes.ts';
import type { Snapshot } from './snapshot.ts';

/** The snapshots of a line, newest first, and the commits on it that are none. */
export interface Catalog {
  snapshots: Snapshot[];
  /** Commits that cannot be read as snapshots, and notes that cannot be read (their snapshots stand, from the trailers). */
  problems: { commit: string; problem: string }[];
}

export interface CatalogOptions {
  /** Start at this commit instead of the line's tip. */
  from?: string;
  /** At most so many. */
  limit?: number;
  /** Only what the trailers say: no note is read, which spares loading what checks them (40 ms). */
  trailersOnly?: boolean;
}

/**
 * Reads the catalog with one `git log` (10,000 snapshots: about 110 ms). Everything it reads may come from elsewhere:
 * records are parted by a random word, so that no message or note can pretend to be another record.
 * Error: `failed` when git cannot read any of it.
 */
export async function readCatalog(repository: Repository, options: CatalogOptions = {}): Promise<Catalog> {
  const catalog: Catalog = { snapshots: [], problems: [] };
  // Before git starts: Node throws away what a process printed if nobody reads it by the time it exits.
  const { parseNote, notes } = options.trailersOnly === true ? unread : await readingNotes(repository);
  if (notes?.kind === 'broken') catalog.problems.push({ commit: '', problem: notes.problem });
  const mark = `--${randomBytes(12).toString('hex')}--`;
  const limit = options.limit === undefined ? [] : [`--max-count=${options.limit}`];
  const args = [
    'log',
    '--first-parent',
    '--no-show-signature',
    '--no-color',
    notes?.kind === 'sound' ? `--notes=${notesRef}` : '--no-notes',
    ...limit,
    `--format=${mark}%H%x00%B%x00%N`,
  ];
  const running = startGit([...args, '--end-of-options', options.from ?? timelineRef(repository), '--'], {
    cwd: repository.worktree,
    okCodes: [0, 128],
  });
  for await (const records of recordsOf(running.stdout, mark))
    for (const record of records) {
      if (notes?.kind === 'oversized') await addReadApart(catalog, record, notes, parseNote);
      else addRecord(catalog, record, parseNote);
    }
  const { code, stderr } = await running.end();
  if (code !== 0 && !/bad revision|unknown revision|ambiguous argument/.test(stderr)) {
    // "There is no snapshot" would be a lie, and a person would believe it.
    if (catalog.snapshots.length === 0) throw new GitFailure(args, code, stderr, null);
    catalog.problems.push({ commit: '', problem: `git log stopped: ${stderr.trim()}` });
  }
  return catalog;
}

async function readingNotes(repository: Repository): Promise<{ parseNote: ParseNote; notes: Notes }> {
  const [{ parseNote }, notes] = await Promise.all([import('./schema.ts'), inspectNotes(repository)]);
  return { parseNote, notes };
}

const unread: { parseNote: ParseNote; notes: undefined } = {
  parseNote: () => ({ problem: 'its note was not read' }),
  notes: undefined,
};

/** The snapshot that one commit is, or undefined. */
export async function readSnapshot(repository: Repository, commit: string): Promise<Snapshot | undefined> {
  const { snapshots } = await readCatalog(repository, { from: commit, limit: 1 });
  return snapshots[0];
}

/**
 * Splits the output at the mark, as many records at a time as have come. Of a record longer than any note may be the
 * rest is dropped, and it then fails to parse. Looks at each byte once: searching the whole of a long record again with
 * each piece of it took six minutes for a gigabyte.
 */
async function* recordsOf(stream: AsyncIterable<Buffer>, mark: string): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8');
  let record: string[] = [];
  let length = 0;
  /** The end of what has come, in which a mark may begin. */
  let tail = '';
  let first = true;
  for await (const chunk of stream) {
    const [rest = '', ...begun] = (tail + decoder.decode(chunk, { stream: true })).split(mark);
    let open = rest;
    if (begun.length > 0) {
      const whole = [record.join('') + rest, ...begun.slice(0, -1)];
      yield first ? whole.slice(1) : whole; // before the first mark there is nothing
      first = false;
      record = [];
      length = 0;
      open = begun.at(-1) ?? '';
    }
    const sure = Math.max(0, open.length - mark.length + 1);
    tail = open.slice(sure);
    if (length <= 2 * maxNoteBytes) record.push(open.slice(0, sure));
    length += sure;
  }
  if (!first) yield [record.join('') + tail];
}

type ParseNote = typeof import('./schema.ts').parseNote;

/** The same as `addRecord` where git did not print the notes. */
async function addReadApart(
  catalog: Catalog,
  record: string,
  notes: Notes & { kind: 'oversized' },
  parseNote: ParseNote,
): Promise<void> {
  const [commit = '', message = ''] = record.split('\0');
  const text = await notes.read(commit.trim());
  addRecord(catalog, `${commit}\0${message}\0${text ?? ''}`, parseNote, text === undefined);
}

function addRecord(catalog: Catalog, record: string, parseNote: ParseNote, isOversized = false): void {
  const [commit = '', message = '', ...rest] = record.split('\0');
  const trailers = parseMessage(message);
  if (trailers === undefined) {
    catalog.problems.push({ commit, problem: 'it is not a snapshot (its trailers are missing or wrong)' });
    return;
  }
  const text = rest.join('\0').trim();
  const parseText = (content: string) =>
    content === '' ? { problem: 'it has no note' } : parseNote(content);
  const note =
    isOversized || text.length > maxNoteBytes ? { problem: 'its note is too large' } : parseText(text);
  const base = {
    id: trailers.id,
    time: trailers.time,
    type: trailers.type,
    trigger: trailers.trigger,
    commit,
    ...(trailers.anchor === undefined ? {} : { anchor: trailers.anchor }),
  };
  if ('problem' in note || note.id !== trailers.id) {
    catalog.problems.push({
      commit,
      problem: 'problem' in note ? String(note.problem) : 'its note belongs to another snapshot',
    });
    catalog.snapshots.push(fromTrailers(base, trailers.subject));
    return;
  }
  catalog.snapshots.push({
    ...base,
    message: note.message,
    pinned: note.pinned,
    head: note.head,
    ...(note.operation === undefined ? {} : { operation: note.operation }),
    changes: note.changes,
    files: note.files,
    bytes: note.bytes,
    databases: note.databases as Snapshot['databases'],
    skipped: note.skipped,
    failedDatabases: note.failedDatabases,
    ...(note.verified === undefined ? {} : { verified: note.verified }),
  });
}

/** What can be said of a snapshot whose note is lost. */
function fromTrailers(
  base: Pick<Snapshot, 'id' | 'time' | 'type' | 'trigger' | 'commit'>,
  subject: string,
): Snapshot {
  return {
    ...base,
    message: subject.replace(/^[a-z]+: /, ''),
    pinned: false,
    head: { branch: null, commit: null },
    changes: { added: 0, modified: 0, deleted: 0 },
    files: 0,
    bytes: 0,
    databases: [],
    skipped: [],
    failedDatabases: [],
    fromTrailers: true,
  };
}
