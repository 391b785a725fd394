import { randomBytes } from '../system/crypto.ts';
import { notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { GitFailure, startGit } from '../git/run.ts';
import { parseMessage, type Trailers } from './message.ts';
import { maxNoteBytes } from './limits.ts';
import { inspectNotes, type Notes } from './notes.ts';
import { plainNote } from './plainNote.ts';
import type { Note } from './schema.ts';
import type { Snapshot } from './snapshot.ts';

/** The snapshots of a line, newest first, and the commits on it that are none. */
export interface Catalog {
  snapshots: Snapshot[];
  /** Commits that cannot be read as snapshots, and notes that cannot be read (their snapshots stand, from the trailers). */
  problems: { commit: string; problem: string }[];
  /** How many of the newest follow each other directly: below them is a commit that is no snapshot, if there is one. */
  unbroken?: number;
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
  if (options.trailersOnly === true) return readLog(repository, options, undefined);
  const inspecting = inspectNotes(repository);
  if (options.limit !== undefined) return readLog(repository, options, await inspecting);
  // Nearly always the notes are sound: git reads them while it is still looked at whether they are.
  inspecting.catch(() => {}); // whoever awaits it hears of it
  try {
    return await readLog(repository, options, { kind: 'sound' }, inspecting);
  } catch (error) {
    if (!(error instanceof NotSound)) throw error;
    return readLog(repository, options, await inspecting);
  }
}

class NotSound extends Error {}

/** @param inspecting says whether the notes are sound indeed; what git says meanwhile is held. Error: `NotSound` */
async function readLog(
  repository: Repository,
  options: CatalogOptions,
  notes: Notes | undefined,
  inspecting?: Promise<Notes>,
): Promise<Catalog> {
  const catalog: Catalog = { snapshots: [], problems: [] };
  const unusual: Unusual[] = [];
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
  const batches = recordsOf(running.stdout, mark);
  try {
    for await (const records of inspecting === undefined ? batches : onceSound(batches, inspecting))
      for (const record of records) {
        if (notes?.kind === 'oversized') await addReadApart(catalog, record, notes, unusual);
        else addRecord(catalog, record, notes === undefined ? undefined : unusual);
      }
  } catch (error) {
    running.child.kill('SIGKILL');
    await running.end().catch(() => {}); // nobody needs what it would have said
    throw error;
  }
  const { code, stderr } = await running.end().catch((error: unknown) => {
    // Notes that are no tree of notes stop git altogether; without them it may read the rest.
    throw inspecting === undefined ? error : new NotSound();
  });
  if (code !== 0 && inspecting !== undefined && (await inspecting).kind !== 'sound') throw new NotSound();
  if (unusual.length > 0) await readUnusual(catalog, unusual);
  if (code !== 0 && !/bad revision|unknown revision|ambiguous argument/.test(stderr)) {
    // "There is no snapshot" would be a lie, and a person would believe it.
    if (catalog.snapshots.length === 0) throw new GitFailure(args, code, stderr, null);
    catalog.problems.push({ commit: '', problem: `git log stopped: ${stderr.trim()}` });
  }
  return catalog;
}

/** Characters that are held until it is known whether the notes are sound; then git waits. */
const holdable = 16 * 1024 * 1024;

async function* onceSound(
  batches: AsyncIterable<string[]>,
  inspecting: Promise<Notes>,
): AsyncGenerator<string[]> {
  let isKnown = false;
  const sound = inspecting.then(({ kind }) => {
    isKnown = true;
    return kind === 'sound';
  });
  sound.catch(() => {}); // heard of below
  let held: string[][] = [];
  let size = 0;
  for await (const batch of batches) {
    held.push(batch);
    size += batch.reduce((sum, { length }) => sum + length, 0);
    if (!isKnown && size < holdable) continue;
    if (!(await sound)) throw new NotSound();
    yield* held;
    held = [];
  }
  if (!(await sound)) throw new NotSound();
  yield* held;
}

/** A note that is not checked yet; its snapshot is in the list as its trailers tell it. */
interface Unusual {
  at: number;
  content: string;
}

/** What the quick check does not know is read by the schema, which takes 40 ms to load. */
async function readUnusual(catalog: Catalog, unusual: readonly Unusual[]): Promise<void> {
  const { parseNote } = await import('./schema.ts');
  for (const { at, content } of unusual) {
    const known = catalog.snapshots[at];
    if (known === undefined) continue;
    const note = parseNote(content);
    const problem =
      'problem' in note
        ? String(note.problem)
        : note.id === known.id
          ? undefined
          : 'its note belongs to another snapshot';
    if (problem !== undefined) catalog.problems.push({ commit: known.commit, problem });
    else catalog.snapshots[at] = withNote(known, known.commit, note as Note);
  }
}

/** The snapshot that one commit is, or undefined. */
export async function readSnapshot(repository: Repository, commit: string): Promise<Snapshot | undefined> {
  const { snapshots } = await readCatalog(repository, { from: commit, limit: 1 });
  return snapshots[0];
}

/**
 * The snapshot that was at a commit, wherever it is now: a prune gives a snapshot another commit, and its id stays. The
 * old commit may still be there, and then has no note any more.
 */
export async function findSnapshot(
  repository: Repository,
  { id, commit }: { id?: string | undefined; commit: string },
): Promise<Snapshot | undefined> {
  const there = await readSnapshot(repository, commit).catch((error: unknown) => {
    if (error instanceof GitFailure && /bad object/.test(error.stderr)) return undefined;
    throw error;
  });
  if (there !== undefined && there.fromTrailers !== true) return there;
  const { snapshots } = await readCatalog(repository);
  const wanted = id ?? there?.id;
  return snapshots.find((snapshot) => snapshot.id === wanted) ?? there;
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

/** The same as `addRecord` where git did not print the notes. */
async function addReadApart(
  catalog: Catalog,
  record: string,
  notes: Notes & { kind: 'oversized' },
  unusual: Unusual[],
): Promise<void> {
  const [commit = '', message = ''] = record.split('\0', 2);
  const content = await notes.read(commit.trim());
  addRecord(catalog, `${commit}\0${message}\0${content ?? ''}`, unusual, content === undefined);
}

/** @param unusual takes the notes that are to be looked at more closely; undefined where no note is read */
function addRecord(
  catalog: Catalog,
  record: string,
  unusual: Unusual[] | undefined,
  isOversized = false,
): void {
  const [first, second] = [record.indexOf('\0'), record.indexOf('\0', record.indexOf('\0') + 1)];
  const commit = record.slice(0, first);
  const trailers =
    first === -1 ? undefined : parseMessage(record.slice(first + 1, second === -1 ? undefined : second));
  if (trailers === undefined) {
    catalog.unbroken ??= catalog.snapshots.length;
    catalog.problems.push({
      commit: first === -1 ? record.trim() : commit,
      problem: 'it is not a snapshot (its trailers are missing or wrong)',
    });
    return;
  }
  const known = () => fromTrailers(commit, trailers);
  const content = second === -1 ? '' : record.slice(second + 1).trim();
  const problem =
    unusual === undefined
      ? 'its note was not read'
      : isOversized || content.length > maxNoteBytes
        ? 'its note is too large'
        : content === ''
          ? 'it has no note'
          : undefined;
  if (problem !== undefined) {
    catalog.problems.push({ commit, problem });
    catalog.snapshots.push(known());
    return;
  }
  const note = quickly(content);
  if (note === undefined || note.id !== trailers.id) {
    unusual?.push({ at: catalog.snapshots.length, content });
    catalog.snapshots.push(known());
  } else catalog.snapshots.push(withNote(trailers, commit, note));
}

function quickly(content: string): Note | undefined {
  try {
    return plainNote(JSON.parse(content));
  } catch {
    return undefined; // the schema says what is wrong with it
  }
}

function withNote(
  { id, time, type, trigger, anchor }: Pick<Trailers, 'id' | 'time' | 'type' | 'trigger' | 'anchor'>,
  commit: string,
  note: Note,
): Snapshot {
  return {
    id,
    time,
    type,
    trigger,
    commit,
    ...(anchor === undefined ? {} : { anchor }),
    message: note.message,
    pinned: note.pinned,
    head: note.head,
    ...(note.operation === undefined ? {} : { operation: note.operation }),
    changes: note.changes,
    files: note.files,
    bytes: note.bytes,
    databases: shared(note.databases as Snapshot['databases']),
    skipped: shared(note.skipped),
    failedDatabases: shared(note.failedDatabases),
    ...(note.verified === undefined ? {} : { verified: note.verified }),
    ...(note.squashed === undefined ? {} : { squashed: note.squashed }),
  };
}

/** 30,000 empty lists are much for the garbage collector to carry about. */
function shared<Item>(list: Item[]): Item[] {
  return list.length === 0 ? nothing : list;
}

const nothing: never[] = [];

/** What can be said of a snapshot whose note is lost. */
function fromTrailers(commit: string, { id, time, type, trigger, subject, anchor }: Trailers): Snapshot {
  return {
    id,
    time,
    type,
    trigger,
    commit,
    ...(anchor === undefined ? {} : { anchor }),
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
