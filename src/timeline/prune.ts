import { retryIfLost } from '../capture/retry.ts';
import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { inQuarantine } from '../git/quarantine.ts';
import { prestartImport } from '../git/fastImport.ts';
import { allowPrestart, dismissPrestarted } from '../git/prestart.ts';
import { prestartUpdateRefs, setRefs } from '../git/refs.ts';
import { previousRefs, type Repository } from '../git/repository.ts';
import { refuseWhileInterrupted } from '../restore/journal.ts';
import type { Policy } from '../retention/policy.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { foldDropped } from './fold.ts';
import { listNotes, type NoteEntry } from './notes.ts';
import { lastPrune, notePrune } from './lastPrune.ts';
import { type Judged, planPrune, type PrunePlan, revisionsWithout } from './prunePlan.ts';
import { type LineRefs, type NewChain, type NoteContent, readLineRefs, replaceChain } from './rewrite.ts';
import type { Snapshot, Squashed } from './snapshot.ts';
import { sweepNotes } from './sweep.ts';
import { lockLine } from './take.ts';
import { objectReader } from '../git/objectReader.ts';

export interface PruneOptions {
  /** Rules in the place of the configured ones: see `readPolicy`. */
  policy?: string | undefined;
  dryRun?: boolean;
  /** Nobody asked for it. */
  automatic?: boolean;
}

export interface Pruned {
  /** Newest first, as they were before: each with what becomes of it and why. */
  snapshots: Judged[];
  policy: Policy;
  /** Milliseconds since 1970; the moment that the rules count from, and the zone of their days. */
  now: number;
  timeZone: string;
  dropped: number;
  /** Bytes on the disk that only what is dropped takes; 0 for an automatic prune, which does not measure it. */
  freed: number;
  /** False when `maxSize` cannot be reached: what is left is protected. */
  fits: boolean;
  /** False in a dry run, and when there was nothing to drop. */
  applied: boolean;
}

const races = 20;

/**
 * Drops the snapshots that no rule keeps: they fold into the next newer one that stays. `undo` brings them back until
 * the next prune drops some. Errors: `usage` for a policy that is none; `busy`; `interruptedRestore`; `integrity` when
 * the timeline cannot be read.
 */
export async function pruneTimeline(
  repository: Repository,
  config: Config,
  options: PruneOptions = {},
): Promise<Pruned> {
  refuseWhileInterrupted(repository);
  if (options.dryRun === true) {
    const plan = await planPrune(repository, config, await readLineRefs(repository), {
      policy: options.policy,
      measures: true,
    });
    return { ...plan, freed: await plan.freed, applied: false };
  }
  const lock = await lockLine(repository, config, 'prune');
  try {
    refuseWhileInterrupted(repository);
    allowPrestart();
    for (const prestartOne of [prestartImport, prestartUpdateRefs]) prestartOne(repository);
    return await retryIfLost(repository, (isAgain) => {
      if (!isAgain) return pruneLocked(repository, config, options);
      dismissPrestarted(); // it would not write into the quarantine
      return inQuarantine(repository, (apart) => pruneLocked(apart, config, options));
    });
  } finally {
    dismissPrestarted();
    lock.release();
  }
}

async function pruneLocked(repository: Repository, config: Config, options: PruneOptions): Promise<Pruned> {
  let plan: PrunePlan | undefined;
  for (let race = 0; race < races; race++) {
    const refs = await readLineRefs(repository);
    const listing = refs.notes === '' ? Promise.resolve([]) : listNotes(repository, refs.notes);
    listing.catch(() => {}); // heard of below
    // Another line may have recorded something: then only the notes have moved.
    if (plan?.tip !== refs.timeline)
      plan = await planPrune(repository, config, refs, {
        policy: options.policy,
        measures: options.automatic !== true,
      });
    crashPoint('prune-planned');
    if (plan.dropped === 0) {
      // What a prune that was killed did not come to.
      const left = await leftBy(repository, refs, refs.timeline);
      if (left.size > 0) await sweepNotes(repository, left);
      await releaseOld(repository, refs);
      return { ...plan, freed: await plan.freed, applied: false };
    }
    const chain = await chainOf(repository, await listing, plan);
    const { dropped } = plan;
    const replaced = await replaceChain(repository, refs, chain, `Prune: ${dropped} snapshots folded`, () =>
      notePrune(repository, refs, {
        kind: 'prune',
        time: new Date(currentTime()).toISOString(),
        automatic: options.automatic === true,
        former: refs.timeline,
        count: dropped,
      }),
    );
    if (replaced === undefined) continue;
    const { tip, isSwept } = replaced;
    if (!isSwept) await sweepNotes(repository, goneFrom(plan), () => leftBy(repository, refs, tip));
    crashPoint('pruned');
    // Measured meanwhile: the way back keeps all of it.
    return { ...plan, freed: await plan.freed, applied: true };
  }
  throw new PitrError('busy', 'Other programs keep recording in this repository; nothing was pruned.', {
    hints: ['Run the command again.'],
  });
}

/** What stays of the timeline, from the oldest change on. */
async function chainOf(
  repository: Repository,
  entries: readonly NoteEntry[],
  plan: PrunePlan,
): Promise<NewChain> {
  const snapshots = plan.snapshots.map(({ snapshot }) => snapshot);
  const keeps = new Map(plan.snapshots.map(({ snapshot, keep }) => [snapshot, keep]));
  const isKept = (snapshot: Snapshot) => keeps.get(snapshot) === true;
  const oldest = snapshots.findLastIndex((snapshot) => !isKept(snapshot));
  const changing = snapshots.slice(0, oldest).filter(isKept).toReversed();
  const notes = await noteContents(repository, entries, changing, foldDropped(snapshots, isKept));
  const gone = goneFrom(plan);
  const staying = entries.filter(({ commit }) => !gone.has(commit));
  // Notes of others, or those that a prune before this one has left: then the commits are looked at.
  const isSure = staying.length <= snapshots.length - oldest - 1;
  return {
    base: await parentOf(repository, snapshots[oldest]?.commit ?? ''),
    again: changing.map(({ commit }) => ({ commit, note: notes.get(commit) })),
    notes: [],
    ...(isSure ? { staying } : {}),
  };
}

async function parentOf(repository: Repository, commit: string): Promise<string> {
  const [content] = await objectReader(repository).read([commit]);
  return /^tree \w+\nparent (\w+)\n/.exec(content?.toString('latin1', 0, 200) ?? '')?.[1] ?? '';
}

/** The notes as they are, but for what was folded in: what a later version wrote into them stays. */
async function noteContents(
  repository: Repository,
  entries: readonly NoteEntry[],
  snapshots: readonly Snapshot[],
  folded: ReadonlyMap<string, Squashed>,
): Promise<Map<string, NoteContent>> {
  const blobs = new Map(entries.map(({ commit, oid }) => [commit, oid]));
  const contents = new Map<string, NoteContent>();
  const changing: { commit: string; blob: string; squashed: Squashed }[] = [];
  for (const { id, commit } of snapshots) {
    const blob = blobs.get(commit);
    const squashed = folded.get(id);
    if (blob === undefined) continue;
    if (squashed === undefined) contents.set(commit, { blob });
    else changing.push({ commit, blob, squashed });
  }
  const texts = await objectReader(repository).read(changing.map(({ blob }) => blob));
  for (const [at, { commit, squashed }] of changing.entries()) {
    const note = JSON.parse(texts[at]?.toString('utf8') ?? '') as Record<string, unknown>;
    contents.set(commit, { text: `${JSON.stringify({ ...note, squashed }, null, 1)}\n` });
  }
  return contents;
}

/** The commits that are there no more, from the oldest change on: also of what stays, which is another commit now. */
function goneFrom({ snapshots }: PrunePlan): Set<string> {
  const oldest = snapshots.findLastIndex(({ keep }) => !keep);
  return new Set(snapshots.slice(0, oldest + 1).map(({ snapshot }) => snapshot.commit));
}

/** The commits that went with the prune before; one that was killed has left their notes. */
async function leftBy(repository: Repository, refs: LineRefs, tip: string): Promise<Set<string>> {
  return refs.previous === '' ? new Set() : revisionsWithout(repository, [refs.previous], tip);
}

const day = 24 * 3600 * 1000;

/** The way back of an earlier prune is given up by a later one; a day later also by one that has nothing to drop. */
async function releaseOld(repository: Repository, refs: LineRefs): Promise<void> {
  if (refs.previous === '') return;
  const record = lastPrune(repository, refs);
  if (record !== undefined && currentTime() - Date.parse(record.time) < day) return;
  const names = previousRefs(repository);
  const former: [string, string][] = [
    [names.timeline, refs.previous],
    [names.notes, refs.previousNotes],
  ];
  await setRefs(
    repository,
    former.filter(([, oid]) => oid !== '').map(([ref, oid]) => `delete ${ref} ${oid}`),
  );
}
