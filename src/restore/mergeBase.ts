import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Labels } from './mergeLines.ts';
import { type RecordedState, stateOf } from './target.ts';

/** The state right after the change that a merge takes back. */
export interface MergeBase {
  snapshot: Snapshot;
  state: RecordedState;
  labels: Labels;
}

/**
 * Reads the base of a merge.
 * @param timeline all snapshots, newest first
 * @param given what `--base` names; without it the base is the first snapshot after the target with other files
 * Error: `noMatch` when there is none: then nothing tells the unwanted change from what came after it.
 */
export async function readMergeBase(
  repository: Repository,
  timeline: readonly Snapshot[],
  target: Snapshot,
  given: Snapshot | undefined,
): Promise<MergeBase> {
  const snapshot = given ?? (await nextOther(repository, timeline, target));
  return {
    snapshot,
    state: await stateOf(repository, snapshot),
    labels: { base: labelOf(snapshot), now: 'now', target: labelOf(target) },
  };
}

function labelOf({ id, time }: Snapshot): string {
  return `snapshot ${id} (${time})`;
}

/** What a merge merges. */
const parts = ['files', 'state/permissions', 'state/empty-dirs'];

function namesOf({ commit }: Snapshot): string[] {
  return parts.map((part) => `${commit}:${part}`);
}

/** Snapshots looked at together: mostly the very next one has other files. */
const block = 16;

async function nextOther(
  repository: Repository,
  timeline: readonly Snapshot[],
  target: Snapshot,
): Promise<Snapshot> {
  const later = timeline
    .slice(
      0,
      timeline.findIndex(({ commit }) => commit === target.commit),
    )
    .toReversed();
  for (let at = 0; at < later.length; at += block) {
    const some = later.slice(at, at + block);
    const objects = await objectReader(repository).info([target, ...some].flatMap(namesOf));
    const keys = [target, ...some].map((_, index) =>
      JSON.stringify(objects.slice(index * parts.length, (index + 1) * parts.length)),
    );
    const found = some.find((_, index) => keys[index + 1] !== keys[0]);
    if (found !== undefined) return found;
  }
  const what = later.length === 0 ? 'There is no snapshot' : 'No snapshot with other files was taken';
  throw new PitrError(
    'noMatch',
    `${what} after ${target.id}: nothing tells the change to take back from what changed since. Nothing was changed.`,
    {
      hints: [
        'Without --merge everything since then is taken back.',
        '--base <snapshot> names the state right after the unwanted change.',
      ],
    },
  );
}
