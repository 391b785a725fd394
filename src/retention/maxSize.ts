import type { Candidate, Decision } from './decide.ts';

/**
 * `maxSize`: what the rules keep is dropped, oldest first, until the rest fits; never one that is protected.
 * @param decisions of `candidates`, in the same order
 * @param sizeOf bytes that the snapshots with these ids take together; fewer never take more
 * @returns the decisions, and whether what is left fits
 */
export async function fitInto(
  maxSize: number,
  text: string,
  candidates: readonly Candidate[],
  decisions: readonly Decision[],
  sizeOf: (kept: readonly string[]) => Promise<number>,
): Promise<{ decisions: Decision[]; fits: boolean }> {
  const oldestFirst = candidates
    .map((candidate, at) => ({ candidate, at }))
    .filter(({ at }) => decisions[at]?.keep === true && !decisions[at].isProtected)
    .toSorted((a, b) => a.candidate.time - b.candidate.time || b.at - a.at)
    .map(({ at }) => at);
  const keptWithout = (dropped: number) => {
    const gone = new Set(oldestFirst.slice(0, dropped));
    return decisions.filter(({ keep }, at) => keep && !gone.has(at)).map(({ id }) => id);
  };
  let [low, high] = [0, oldestFirst.length];
  // Measuring is a walk over the objects: a search takes 14 of them for 10,000 snapshots.
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await sizeOf(keptWithout(middle))) <= maxSize) high = middle;
    else low = middle + 1;
  }
  const gone = new Set(oldestFirst.slice(0, low));
  const fits = low < oldestFirst.length || (await sizeOf(keptWithout(low))) <= maxSize;
  const reasons = [{ rule: 'maxSize', text: `maxSize ${text}: the oldest go first` }];
  const goneIds = new Set([...gone].map((at) => decisions[at]?.id));
  const hasGone = ({ keep, reasons: [first] }: Decision) => !keep && goneIds.has(first?.by);
  return {
    fits,
    // One that another stood for has nobody to stand for it now.
    decisions: decisions.map((decision, at) =>
      gone.has(at) || hasGone(decision) ? { ...decision, keep: false, reasons } : decision,
    ),
  };
}
