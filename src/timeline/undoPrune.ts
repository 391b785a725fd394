import { retryIfLost } from '../capture/retry.ts';
import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import { inQuarantine } from '../git/quarantine.ts';
import type { Repository } from '../git/repository.ts';
import { refuseWhileInterrupted } from '../restore/journal.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { readCatalog } from './catalog.ts';
import { hasRecord, isPruneLast, lastPrune, notePrune, type PruneRecord } from './lastPrune.ts';
import { listNotes } from './notes.ts';
import { revisionsWithout } from './prunePlan.ts';
import { type LineRefs, type NewChain, readLineRefs, replaceChain } from './rewrite.ts';
import type { Snapshot } from './snapshot.ts';
import { sweepNotes } from './sweep.ts';
import { lockLine } from './take.ts';

/** Taking back a prune: the former chain, with what was recorded since on top of it. Once more, and it is redone. */
export interface PruneUndone {
  record: PruneRecord;
  /** How many snapshots there were, and are now. */
  before: number;
  after: number;
  applied: boolean;
}

/** The prune that `undo` is about now; undefined when it is about a restore. */
export async function pruneToUndo(repository: Repository): Promise<PruneRecord | undefined> {
  if (!hasRecord(repository)) return undefined;
  const record = lastPrune(repository, await readLineRefs(repository));
  return record !== undefined && isPruneLast(repository, record) ? record : undefined;
}

const races = 20;

/**
 * Takes back the last prune. Errors: `noMatch` when there is none any more; `busy`; `integrity` when the former timeline
 * cannot be read.
 */
export async function undoPrune(
  repository: Repository,
  config: Config,
  { dryRun = false } = {},
): Promise<PruneUndone> {
  refuseWhileInterrupted(repository);
  const lock = await lockLine(repository, config, 'undo');
  try {
    return await retryIfLost(repository, (isAgain) =>
      isAgain
        ? inQuarantine(repository, (apart) => undoLocked(apart, dryRun))
        : undoLocked(repository, dryRun),
    );
  } finally {
    lock.release();
  }
}

async function undoLocked(repository: Repository, dryRun: boolean): Promise<PruneUndone> {
  for (let race = 0; race < races; race++) {
    const refs = await readLineRefs(repository);
    const record = lastPrune(repository, refs);
    if (record === undefined) throw new PitrError('noMatch', 'There is no prune to take back any more.');
    const [now, former] = await Promise.all([
      readCatalog(repository, { from: refs.timeline }),
      readCatalog(repository, { from: refs.previous, trailersOnly: true }),
    ]);
    const { chain, after } = await wayBack(repository, refs, now.snapshots, former.snapshots);
    const before = now.snapshots.length;
    if (dryRun) return { record, before, after, applied: false };
    const kind = record.kind === 'prune' ? 'undo' : 'prune';
    const count = Math.abs(after - before);
    const message = kind === 'undo' ? 'A prune taken back' : 'A prune done again';
    const replaced = await replaceChain(repository, refs, chain, message, () =>
      notePrune(repository, refs, {
        kind,
        time: new Date(currentTime()).toISOString(),
        automatic: false,
        former: refs.timeline,
        count,
      }),
    );
    if (replaced === undefined) continue;
    const { tip } = replaced;
    await sweepNotes(repository, await revisionsWithout(repository, [refs.timeline, refs.previous], tip));
    crashPoint('prune-undone');
    return { record, before, after, applied: true };
  }
  throw new PitrError('busy', 'Other programs keep recording in this repository; nothing was taken back.', {
    hints: ['Run the command again.'],
  });
}

async function wayBack(
  repository: Repository,
  refs: LineRefs,
  now: readonly Snapshot[],
  former: readonly Snapshot[],
): Promise<{ chain: NewChain; after: number }> {
  const known = new Set(former.map(({ id }) => id));
  const meeting = now.findIndex(({ id }) => known.has(id));
  const since = now.slice(0, Math.max(0, meeting));
  if (former.length === 0 || (now.length > 0 && meeting === -1))
    throw new PitrError(
      'integrity',
      `The timeline before the prune (${refs.previous}) cannot be read, or is not of this timeline; nothing was changed.`,
      { hints: ['git fsck --full tells what is missing or damaged in the repository.'] },
    );
  const notesNow = await blobsByCommit(repository, refs.notes);
  const notesThen = await blobsByCommit(repository, refs.previousNotes);
  const again = since.toReversed().map(({ commit }) => {
    const blob = notesNow.get(commit);
    return { commit, note: blob === undefined ? undefined : { blob } };
  });
  const notes = await notesOf(repository, now, former, notesNow, notesThen);
  return { chain: { base: refs.previous, again, notes }, after: former.length + since.length };
}

async function blobsByCommit(repository: Repository, tip: string): Promise<Map<string, string>> {
  const entries = tip === '' ? [] : await listNotes(repository, tip);
  return new Map(entries.map(({ commit, oid }) => [commit, oid]));
}

/** The notes of the former chain as they were, but for the pins and messages that were changed since. */
async function notesOf(
  repository: Repository,
  now: readonly Snapshot[],
  former: readonly Snapshot[],
  notesNow: ReadonlyMap<string, string>,
  notesThen: ReadonlyMap<string, string>,
): Promise<NewChain['notes']> {
  const byId = new Map(now.map((snapshot) => [snapshot.id, snapshot]));
  const missing = former.filter(({ commit }) => notesThen.get(commit) !== undefined);
  const texts = await objectReader(repository).read(
    missing.map(({ id, commit }) => (byId.has(id) ? (notesThen.get(commit) ?? '') : '')).filter(Boolean),
  );
  let at = 0;
  return missing.flatMap(({ id, commit }) => {
    const blob = notesThen.get(commit) ?? '';
    const same = notesNow.get(commit) === blob ? [] : [{ commit, note: { blob } }];
    const current = byId.get(id);
    if (current === undefined) return same;
    const text = texts[at++]?.toString('utf8') ?? '';
    return current.fromTrailers === true ? same : withLater(commit, text, current, same);
  });
}

function withLater(
  commit: string,
  text: string,
  { pinned, message }: Snapshot,
  same: NewChain['notes'],
): NewChain['notes'] {
  try {
    const note = JSON.parse(text) as Record<string, unknown>;
    if (note['pinned'] === pinned && note['message'] === message) return same;
    return [{ commit, note: { text: `${JSON.stringify({ ...note, pinned, message }, null, 1)}\n` } }];
  } catch {
    return same;
  }
}
