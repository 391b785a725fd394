import { PitrError } from '../errors.ts';
import type { Snapshot } from './snapshot.ts';
import { formatAge, formatInstant, type Instant } from './instant.ts';
import { parseWhen } from './when.ts';

/** How a user names a snapshot: id or unique prefix, `latest`, `latest~2`, `@{<time>}`, or its commit. */

/** Finds the snapshot a selector names. Errors: `noMatch`; `usage` for an ambiguous prefix, with the candidates. */
export async function selectSnapshot(
  snapshots: readonly Snapshot[],
  selector: string,
  now: Date,
): Promise<Snapshot> {
  if (snapshots.length === 0) throw noSnapshots();
  const latest = /^latest(?:~(\d{0,9}))?$/.exec(selector);
  if (latest !== null)
    return nthNewest(
      snapshots,
      latest[1] === undefined ? 0 : Number(latest[1] === '' ? 1 : latest[1]),
      selector,
    );
  if (selector.startsWith('@')) return snapshotAt(snapshots, await parseWhen(selector, { now }));
  return byPrefix(snapshots, selector);
}

/**
 * The newest snapshot at or before an instant (inclusive), never a later one: recovering to "before the migration"
 * must not hand out the state after it. Of two with the same time the later recorded one.
 * Error: `noMatch`, naming the earliest there is.
 */
export function snapshotAt(
  snapshots: readonly Snapshot[],
  instant: Instant,
  wants?: { what: string; fits: (snapshot: Snapshot) => boolean },
): Snapshot {
  let best: Snapshot | undefined;
  for (const snapshot of snapshots) {
    const time = Date.parse(snapshot.time);
    if (time > instant.epochMs || wants?.fits(snapshot) === false) continue;
    if (best === undefined || time > Date.parse(best.time)) best = snapshot;
  }
  if (best !== undefined) return best;
  if (snapshots.length === 0) throw noSnapshots();
  const fitting = snapshots.filter((snapshot) => wants?.fits(snapshot) !== false);
  const earliest = fitting.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time))[0];
  const what = wants === undefined ? '' : ` ${wants.what}`;
  if (earliest === undefined)
    throw new PitrError('noMatch', `There is no snapshot${what}.`, { hints: ['List them: git pitr list'] });
  const at = Date.parse(earliest.time);
  throw new PitrError(
    'noMatch',
    `There is no snapshot${what} at or before ${formatInstant(instant)}; the earliest is ${earliest.id} of ${formatInstant({ ...instant, epochMs: at })}, ${formatAge(instant.epochMs, at)} later.`,
    {
      hints: [`To go to that one: git pitr restore --snapshot ${earliest.id}`],
      details: { earliest: { id: earliest.id, time: earliest.time } },
    },
  );
}

function nthNewest(snapshots: readonly Snapshot[], n: number, selector: string): Snapshot {
  const found = snapshots[n];
  if (found !== undefined) return found;
  throw new PitrError(
    'noMatch',
    `There is no ${selector}: the timeline has ${snapshots.length} snapshot${snapshots.length === 1 ? '' : 's'}.`,
    {
      hints: ['List them: git pitr list'],
    },
  );
}

function byPrefix(snapshots: readonly Snapshot[], selector: string): Snapshot {
  const prefix = selector.toLowerCase();
  const matches = /^[0-9a-f]{4,64}$/.test(prefix)
    ? snapshots.filter(
        (snapshot) =>
          snapshot.id.startsWith(prefix) || (prefix.length >= 7 && snapshot.commit.startsWith(prefix)),
      )
    : [];
  const [only] = matches;
  if (only === undefined) {
    throw new PitrError('noMatch', `No snapshot is named "${selector}".`, {
      hints: [
        'List them: git pitr list',
        'A snapshot is named by its id (4 digits or more), latest, latest~2 or @{10 minutes ago}.',
      ],
    });
  }
  if (matches.length === 1) return only;
  if (matches.every(({ id }) => id === only.id)) throw twins(matches);
  throw new PitrError('usage', `"${selector}" is the start of ${matches.length} snapshots' ids.`, {
    hints: [
      'Write more of the id:',
      ...matches.slice(0, 10).map(({ id, time, message }) => `${id}  ${time}  ${message}`),
    ],
    details: { candidates: matches.map(({ id }) => id) },
  });
}

/** An id is given once. Where two snapshots have it, one was made by hand to be taken for the other. */
function twins(matches: readonly Snapshot[]): PitrError {
  return new PitrError(
    'usage',
    `There is more than one snapshot with the id ${matches[0]?.id ?? ''}: git-pitr did not make them all. Nothing was changed.`,
    {
      hints: [
        'Find out where they come from (a fetch, a bundle), and name the one you want by its commit:',
        ...matches.slice(0, 10).map(({ commit, time, message }) => `${commit}  ${time}  ${message}`),
      ],
      details: { candidates: matches.map(({ commit }) => commit) },
    },
  );
}

function noSnapshots(): PitrError {
  return new PitrError('noMatch', 'There is no snapshot here yet.', {
    hints: ['Take the first: git pitr snapshot'],
  });
}
