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
    const { id, time, type, squashed } = snapshot;
    if (!isKept(snapshot)) {
      waiting ??= { count: 0, from: time, to: time, types: {} };
      waiting.count++;
      waiting.types[type] = (waiting.types[type] ?? 0) + 1;
      // The times of snapshots are all written alike, so that their text is in their order.
      if (time < waiting.from) waiting.from = time;
      if (time > waiting.to) waiting.to = time;
      if (squashed !== undefined) add(waiting, squashed);
      continue;
    }
    // A note that cannot be read is not written over: the next one that can be says it.
    if (waiting === undefined || snapshot.fromTrailers === true) continue;
    if (squashed !== undefined) add(waiting, squashed);
    folded.set(id, waiting);
    waiting = undefined;
  }
  return folded;
}

function add(sum: Squashed, { count, from, to, types }: Squashed): void {
  sum.count += count;
  if (Date.parse(from) < Date.parse(sum.from)) sum.from = from;
  if (Date.parse(to) > Date.parse(sum.to)) sum.to = to;
  for (const [type, number] of Object.entries(types)) sum.types[type] = (sum.types[type] ?? 0) + number;
}
