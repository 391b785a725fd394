import { hostname } from 'node:os';
import path from 'node:path';
import type { Capture } from '../capture/capture.ts';
import type { CapturedDatabase, FailedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import { ImportStream, prestartImport } from '../git/fastImport.ts';
import { type HashedEntry, hashObject, hashTree } from '../git/hash.ts';
import { displayPath } from '../git/paths.ts';
import { prestartUpdateRefs, type RefUpdate, updateRefs } from '../git/refs.ts';
import { anchorRef, notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { checkObjects, prestartCheck, prestartComparison } from '../git/trees.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { warmCrypto } from '../system/crypto.ts';
import { randomId, writeFileWhole } from '../system/files.ts';
import { timeZoneName } from '../system/clock.ts';
import { dropHolds, keepAfter, keepBefore, type NewObjects } from './keep.ts';
import { maxReason } from './limits.ts';
import { formatMessage } from './message.ts';
import { type Counting, measure } from './measure.ts';
import { type Snapshot, type SnapshotDatabase, type SnapshotType, typeRank } from './snapshot.ts';
import { type Anchor, planAnchor } from './anchor.ts';
import { readTip, type Tip } from './tip.ts';
import { tipsKey, tipsOf } from './tips.ts';
import { writeTotals } from './totals.ts';

/** What a new snapshot is to hold and be called. */
export interface SnapshotRequest {
  type: SnapshotType;
  trigger: string;
  /** What the person wrote; it makes a snapshot that is recorded even when nothing changed. */
  label?: string;
  /** A message for a snapshot that has no label; it insists on nothing. */
  message?: string;
  pinned: boolean;
  allowEmpty: boolean;
  epochMs: number;
  capture: Capture;
  databases: readonly CapturedDatabase[];
  failedDatabases: readonly FailedDatabase[];
  startedAt: number;
  /** The line's tip, asked for while the working tree was read: the lock keeps it from moving, but for other tools. */
  tip: Promise<Tip>;
  counting?: Counting | undefined;
  /** `gcStamp` from before anything of the capture was written. */
  packs: string;
}

/** `created` is false when the newest snapshot equals this state already; `id` and `commit` are then that one's. */
export interface Recorded {
  created: boolean;
  id: string;
  commit: string;
  /** RFC 3339, UTC. */
  time: string;
  /** The whole snapshot, when it was created. */
  snapshot?: Snapshot;
}

/** Starts the processes that recording a change will need, while the change is still being read. */
export async function prestartRecording(repository: Repository): Promise<void> {
  for (const prestartOne of [prestartComparison, prestartCheck, prestartImport, prestartUpdateRefs]) {
    prestartOne(repository);
    await new Promise(setImmediate); // what the working tree's own git processes say comes first
  }
  warmCrypto();
}

const races = 20;

/**
 * Records a capture as the newest snapshot of its line. The caller holds the line's lock.
 * Errors: `integrity` when something it should hold is not in the object store; nothing is listed then.
 */
export async function recordSnapshot(repository: Repository, request: SnapshotRequest): Promise<Recorded> {
  for (let race = 0; race < races; race++) {
    const tip = await (race === 0 ? request.tip : readTip(repository));
    const root = () => rootTree(repository, request);
    const equal =
      tip.trailers !== undefined && (tip.contents === contentsKey(request) || tip.tree === root());
    if (tip.trailers !== undefined && equal && !insists(request, tip)) {
      stampCheck(repository, request.epochMs, tip.trailers.id);
      return { created: false, id: tip.trailers.id, commit: tip.commit, time: tip.trailers.time };
    }
    const recorded = await writeSnapshot(repository, request, tip, root());
    if (recorded !== undefined) return recorded;
  }
  throw new PitrError(
    'busy',
    `Another program keeps moving ${timelineRef(repository)} or ${notesRef}; the snapshot was not recorded.`,
    {
      hints: ['Run the command again.'],
    },
  );
}

/** Equal keys are equal trees, without hashing one (and so without loading Node's crypto: 2.5 ms). */
function contentsKey({ capture, databases }: SnapshotRequest): string {
  const trees = databases.map(({ name, tree }) => [name, tree]);
  return JSON.stringify([capture.files, capture.staged, [...capture.state], trees]);
}

/** A labelled restore point must not depend on an incremental one that expires tomorrow. */
function insists(request: SnapshotRequest, tip: Tip): boolean {
  if (request.allowEmpty || request.pinned || (request.label ?? '') !== '') return true;
  return tip.trailers === undefined || typeRank(request.type) > typeRank(tip.trailers.type);
}

/** "Nothing changed for a week" must never look like "no backup for a week". */
function stampCheck(repository: Repository, epochMs: number, id: string): void {
  writeFileWhole(
    path.join(repository.lineDir, 'last-check.json'),
    JSON.stringify({ time: new Date(epochMs).toISOString(), id }),
  );
}

function stateBlobs(request: SnapshotRequest): [string, Buffer][] {
  return [...request.capture.state].map(([name, content]) => [name, Buffer.from(content, 'latin1')]);
}

/** The tree of the snapshot commit, worked out without writing it: equal trees are equal snapshots. */
function rootTree(repository: Repository, request: SnapshotRequest): string {
  const { capture, databases } = request;
  const entries: HashedEntry[] = [];
  const folder = (name: string, oid: string) => entries.push({ name, mode: '40000', oid });
  if (capture.files !== '') folder('files', capture.files);
  if (capture.staged !== '') folder('staged', capture.staged);
  if (capture.conflicts !== '') folder('conflicts', capture.conflicts);
  const state = stateBlobs(request).map(
    ([name, content]): HashedEntry => ({
      name,
      mode: '100644',
      oid: hashObject(repository, 'blob', content),
    }),
  );
  if (state.length > 0) folder('state', hashTree(repository, state));
  if (databases.length > 0) {
    folder(
      'databases',
      hashTree(
        repository,
        databases.map(({ name, tree }): HashedEntry => ({ name, mode: '40000', oid: tree })),
      ),
    );
  }
  return hashTree(repository, entries);
}

async function writeSnapshot(
  repository: Repository,
  request: SnapshotRequest,
  tip: Tip,
  root: string,
): Promise<Recorded | undefined> {
  const measured = await measure(repository, tip.files, request);
  const described = describe(request, measured);
  const { snapshot, anchor, commit, listing, notes, notesBefore, anchors } = await importSnapshot(
    repository,
    request,
    described,
    tip,
  );
  if (!listing.includes(root)) {
    throw new PitrError(
      'integrity',
      `git wrote another tree than was captured (${listing.trim()} instead of ${root}); nothing was recorded.`,
    );
  }
  crashPoint('snapshot-written');
  const objects: NewObjects =
    anchors === tip.anchors
      ? { tips: [commit, notes], before: [tip.commit, notesBefore] }
      : // The refs lead to what the anchor keeps as well.
        {
          tips: [commit, notes, anchors],
          before: [tip.commit, notesBefore, tip.anchors, ...tipsOf(request.capture.state).commits],
        };
  const held = await keepBefore(repository, objects, request.packs);
  // In this order: git moves one after the other, and a machine that stops lists no snapshot without its anchor.
  const moves = [
    { ref: anchorRef(repository), to: anchors, from: tip.anchors },
    { ref: timelineRef(repository), to: commit, from: tip.commit },
    { ref: notesRef, to: notes, from: tip.notes },
  ].filter(({ to, from }) => to !== from);
  const moved = await updateRefs(repository, moves);
  if (moved) crashPoint('refs-moved');
  if (held) await dropHolds(repository);
  if (!moved) return undefined;
  if (!held) await keepOrTakeBack(repository, objects, moves);
  anchor?.remember();
  const { id, type, trigger, time, files, bytes } = snapshot;
  const named = snapshot.anchor === undefined ? {} : { anchor: snapshot.anchor };
  const trailers = { id, type, trigger, time, schema: 1, ...named, subject: '' };
  writeTotals(repository, {
    commit,
    trailers,
    contents: contentsKey(request),
    tips: tipsKey(tipsOf(request.capture.state)),
    root,
    tree: request.capture.files,
    files,
    bytes,
  });
  crashPoint('recorded');
  return { created: true, id, commit, time, snapshot: { ...snapshot, commit } };
}

interface Imported {
  /** With the anchor that it names. */
  snapshot: Snapshot;
  /** What it wrote of one; undefined when the one of the snapshot before still holds, or there is nothing to keep. */
  anchor: Anchor | undefined;
  commit: string;
  /** What `ls` says of its tree. */
  listing: string;
  /** The notes commit, and the one before it. */
  notes: string;
  notesBefore: string;
  /** The tip of the anchors, moved or not. */
  anchors: string;
}

/** Writes the commit and its note. Notes that are damaged begin anew: they must not keep a snapshot from being taken. */
async function importSnapshot(
  repository: Repository,
  request: SnapshotRequest,
  snapshot: Snapshot,
  tip: Tip,
): Promise<Imported> {
  try {
    return await importAll(repository, request, snapshot, tip);
  } catch (error) {
    const { inspectNotes } = await import('./notes.ts');
    const broken = tip.notes !== '' && (await inspectNotes(repository)).kind === 'broken';
    const damaged = await hasMissing(repository, tipsOf(request.capture.state).commits);
    const lost = tip.anchors !== '' && (await hasMissing(repository, [tip.anchors]));
    if (!broken && !damaged && !lost) throw error;
    const sound = { ...tip, ...(broken ? { notes: '' } : {}), ...(lost ? { anchors: '' } : {}) };
    const imported = await importAll(repository, request, snapshot, sound, damaged);
    return imported.anchors === '' ? { ...imported, anchors: tip.anchors } : imported;
  }
}

async function hasMissing(repository: Repository, commits: readonly string[]): Promise<boolean> {
  const objects = await checkObjects(repository, commits);
  return objects.some((object) => object?.type !== 'commit');
}

/** The anchor of the snapshot before as long as the refs point to the same, and none while they point to nothing. */
async function anchorFor(
  repository: Repository,
  request: SnapshotRequest,
  tip: Tip,
  careful: boolean,
): Promise<{ named: string | undefined; anchor: Anchor | undefined }> {
  const tips = tipsOf(request.capture.state);
  const known = tip.anchors === '' ? '' : (tip.trailers?.anchor ?? '');
  if (known !== '' && tip.tips === tipsKey(tips)) return { named: known, anchor: undefined };
  const anchor = await planAnchor(repository, tips, { known, epochMs: request.epochMs, careful });
  return { named: anchor?.oid, anchor };
}

async function importAll(
  repository: Repository,
  request: SnapshotRequest,
  described: Snapshot,
  tip: Tip,
  careful = false,
): Promise<Imported> {
  const { commit: parent, notes: notesBefore } = tip;
  const stream = new ImportStream();
  const scratch = `refs/pitr/incoming/${described.id}`;
  const { named, anchor } = await anchorFor(repository, request, tip, careful);
  const snapshot: Snapshot = named === undefined ? described : { ...described, anchor: named };
  const keeperMark = anchor === undefined ? '' : writeKeeper(stream, scratch, request, anchor, tip.anchors);
  const mark = stream.commit({
    branch: scratch,
    epochMs: request.epochMs,
    message: formatMessage(snapshot),
    from: parent || undefined,
    clear: true,
  });
  if (request.capture.files !== '') stream.put('040000', request.capture.files, 'files');
  if (request.capture.staged !== '') stream.put('040000', request.capture.staged, 'staged');
  if (request.capture.conflicts !== '') stream.put('040000', request.capture.conflicts, 'conflicts');
  for (const [name, content] of stateBlobs(request)) stream.putInline(`state/${name}`, content);
  for (const { name, tree } of request.databases) stream.put('040000', tree, `databases/${name}`);
  stream.text(`get-mark ${mark}`);
  stream.text(`ls ${mark} ""`);
  const notesMark = stream.commit({
    branch: `${scratch}-notes`,
    epochMs: request.epochMs,
    message: `Note of snapshot ${snapshot.id}\n`,
    from: notesBefore || undefined,
  });
  stream.note(mark, `${JSON.stringify(noteOf(snapshot, request), null, 1)}\n`);
  stream.text(`get-mark ${notesMark}`);
  if (keeperMark !== '') stream.text(`get-mark ${keeperMark}`);
  const [commit = '', listing = '', notes = '', anchors = tip.anchors] = await stream.run(repository);
  return { snapshot, anchor, commit, listing, notes, notesBefore, anchors };
}

/** Hangs an anchor on the chain that `refs/pitr/anchor/<line>` leads to. */
function writeKeeper(
  stream: ImportStream,
  scratch: string,
  { epochMs }: SnapshotRequest,
  anchor: Anchor,
  before: string,
): string {
  const written = anchor.write(stream, `${scratch}-anchor`);
  const parents = before === '' ? [written] : [before, written];
  const mark = stream.commit({
    branch: `${scratch}-anchors`,
    epochMs,
    message: `Anchor ${anchor.oid}\n`,
    from: parents[0],
    clear: true,
  });
  for (const parent of parents.slice(1)) stream.text(`merge ${parent}`);
  return mark;
}

/** A snapshot with a hole is never listed. */
async function keepOrTakeBack(
  repository: Repository,
  objects: NewObjects,
  moves: readonly RefUpdate[],
): Promise<void> {
  try {
    await keepAfter(repository, objects);
  } catch (error) {
    const back = moves.map(({ ref, to, from }) => ({ ref, to: from, from: to }));
    await updateRefs(repository, back.toReversed());
    throw error;
  }
}

function describe(
  request: SnapshotRequest,
  measured: Pick<Snapshot, 'changes' | 'files' | 'bytes'>,
): Snapshot {
  return {
    id: randomId(),
    time: new Date(request.epochMs).toISOString(),
    type: request.type,
    trigger: request.trigger,
    message: request.label ?? request.message ?? '',
    pinned: request.pinned,
    commit: '',
    head: request.capture.head,
    ...(request.capture.operation === undefined ? {} : { operation: request.capture.operation }),
    ...measured,
    databases: request.databases.map(publicDatabase),
    skipped: request.capture.skipped.map(({ path: file, reason }) => ({
      path: displayPath(file),
      reason: reason.slice(0, maxReason),
    })),
    failedDatabases: request.failedDatabases.map(({ name, reason }) => ({
      name,
      reason: reason.slice(0, maxReason),
    })),
  };
}

/** A copy as the timeline shows it: without the tree, which the commit itself holds. */
function publicDatabase(copy: CapturedDatabase): SnapshotDatabase {
  return Object.fromEntries(
    Object.entries(copy).filter(([key]) => key !== 'tree'),
  ) as unknown as SnapshotDatabase;
}

/** The note: all that the trailers do not say. */
function noteOf(snapshot: Snapshot, request: SnapshotRequest): Record<string, unknown> {
  const { id, message, pinned, head, changes, files, bytes, databases, skipped, failedDatabases } = snapshot;
  return {
    schema: 1,
    id,
    message,
    pinned,
    head,
    operation: snapshot.operation,
    changes,
    files,
    bytes,
    databases,
    skipped,
    failedDatabases,
    durationMs: Math.max(0, Math.round(performance.now() - request.startedAt)),
    host: hostname(),
    zone: timeZoneName(),
  };
}
