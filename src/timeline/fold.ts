import type { Snapshot, Squashed } from './snapshot.ts';

/** How the metadata of dropped snapshots folds into those that stay. Pure. */

/** What each snapshot that stays has folded into it afterwards, by id; only those of which that changes. */
export function foldDropped(
  snapshots: readonly Snapshot[],
  isKept: (snapshot: Snapshot) => boolean,
): Map<string, Squashed> {
  const folded = new Map<string, Squashed>();
  let waiting: Squashed | undefined;
  for (const snapshot of snapshots.toReversed()) {
    if (!isKept(snapshot)) {
      waiting = addUp(waiting, addUp(snapshot.squashed, asSquashed(snapshot)));
      continue;
    }
    // A note that cannot be read is not written over: the next one that can be says it.
    if (waiting === undefined || snapshot.fromTrailers === true) continue;
    folded.set(snapshot.id, addUp(waiting, snapshot.squashed));
    waiting = undefined;
  }
  return folded;
}

function asSquashed({ time, type }: Snapshot): Squashed {
  return { count: 1, from: time, to: time, types: { [type]: 1 } };
}

function addUp(a: Squashed | undefined, b: Squashed | undefined): Squashed {
  const parts = [a, b].filter((part) => part !== undefined);
  const times = parts.flatMap(({ from, to }) => [from, to]).toSorted((x, y) => Date.parse(x) - Date.parse(y));
  const types: Record<string, number> = {};
  for (const part of parts)
    for (const [type, count] of Object.entries(part.types)) types[type] = (types[type] ?? 0) + count;
  return {
    count: parts.reduce((sum, { count }) => sum + count, 0),
    from: times[0] ?? '',
    to: times.at(-1) ?? '',
    types,
  };
}
