import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { lastOperation } from '../restore/journal.ts';
import { type Candidate, decide, type Reason } from '../retention/decide.ts';
import { fitInto } from '../retention/maxSize.ts';
import { type Policy, readPolicy } from '../retention/policy.ts';
import { currentTime, timeZoneName } from '../system/clock.ts';
import { type Catalog, readCatalog } from './catalog.ts';
import { diskUsage, ownTrees, treeOf } from './space.ts';
import type { LineRefs } from './rewrite.ts';
import type { Snapshot } from './snapshot.ts';

/** A snapshot and what becomes of it. */
export interface Judged {
  snapshot: Snapshot;
  keep: boolean;
  reasons: Reason[];
}

export interface PrunePlan {
  /** The tip of the line that it is about; '' for an empty one. */
  tip: string;
  snapshots: Judged[];
  policy: Policy;
  now: number;
  timeZone: string;
  dropped: number;
  /** Bytes; it is still being measured. */
  freed: Promise<number>;
  fits: boolean;
}

/** Works out what a prune would do. Nothing is changed. Errors: `usage`; `integrity` for a timeline that breaks off. */
export async function planPrune(
  repository: Repository,
  config: Config,
  refs: LineRefs,
  { policy: given, measures }: { policy: string | undefined; measures: boolean },
): Promise<PrunePlan> {
  const policy = readPolicy(config.git, given);
  const now = currentTime();
  const timeZone = timeZoneName();
  const own = ownTrees(repository);
  // It takes as long as all the rest, and needs nothing of it.
  const total = own.then((trees) =>
    measures && refs.timeline !== '' ? diskUsage(repository, [refs.timeline], trees) : 0,
  );
  for (const measuring of [own, total]) measuring.catch(() => {}); // reported by whoever awaits what comes of it
  const catalog: Catalog =
    refs.timeline === ''
      ? { snapshots: [], problems: [] }
      : await readCatalog(repository, { from: refs.timeline });
  refuseBroken(catalog);
  const candidates = candidatesOf(repository, catalog);
  let decisions = await decide(candidates, { policy, now, timeZone });
  let fits = true;
  if (policy.maxSize !== undefined) {
    const commits = new Map(catalog.snapshots.map(({ id, commit }) => [id, commit]));
    const sizeOf = async (ids: readonly string[]) =>
      diskUsage(
        repository,
        ids.map((id) => treeOf(commits.get(id) ?? '')),
        await own,
      );
    const text = config.git.get('pitr.retention.maxsize') ?? String(policy.maxSize);
    ({ decisions, fits } = await fitInto(policy.maxSize, text, candidates, decisions, sizeOf));
  }
  const snapshots = catalog.snapshots.map(
    (snapshot, at): Judged => ({
      snapshot,
      keep: decisions[at]?.keep !== false,
      reasons: decisions[at]?.reasons ?? [],
    }),
  );
  const kept = snapshots.filter(({ keep }) => keep).map(({ snapshot }) => snapshot.commit);
  const gone = snapshots.length - kept.length;
  const below = snapshots[snapshots.findLastIndex(({ keep }) => !keep) + 1]?.snapshot.commit ?? '';
  const staying = [...kept.map(treeOf), ...(below === '' ? [] : [below])];
  const freed = async () =>
    gone === 0 || !measures ? 0 : (await total) - (await diskUsage(repository, staying, await own));
  const measuring = freed();
  measuring.catch(() => {}); // reported by whoever awaits it
  return { tip: refs.timeline, snapshots, policy, now, timeZone, dropped: gone, freed: measuring, fits };
}

/** What cannot be read must not be judged. */
function refuseBroken({ problems }: Catalog): void {
  const broken = problems.find(({ commit }) => commit === '');
  if (broken === undefined) return;
  throw new PitrError(
    'integrity',
    `The timeline cannot be read whole: ${broken.problem}. Nothing was pruned.`,
    {
      hints: ['git fsck --full tells what is missing or damaged in the repository.'],
    },
  );
}

function candidatesOf(repository: Repository, { snapshots, unbroken }: Catalog): Candidate[] {
  const needed = neededByUndo(repository);
  return snapshots.map((snapshot, at) => {
    const { id, time, type, pinned, commit } = snapshot;
    const why = needed(id, commit) ?? untouchable(snapshot, at, unbroken);
    return { id, time: Date.parse(time), type, pinned, ...(why === undefined ? {} : { needed: why }) };
  });
}

function untouchable(
  { fromTrailers }: Snapshot,
  at: number,
  unbroken: number | undefined,
): string | undefined {
  if (unbroken !== undefined && at >= unbroken) return 'below a commit that git-pitr did not make';
  return fromTrailers === true ? 'its note is lost, so it may be pinned' : undefined;
}

/** What taking back the last restore, or doing it again, goes to. */
function neededByUndo(repository: Repository): (id: string, commit: string) => string | undefined {
  const operation = lastOperation(repository);
  if (operation === undefined) return () => undefined;
  const { before, target, databasesBefore, databaseSnapshots = {} } = operation;
  const names = new Set([
    before.id,
    target.id,
    before.commit,
    target.commit,
    ...Object.values(databasesBefore),
    ...Object.values(databaseSnapshots),
  ]);
  return (id, commit) => (names.has(id) || names.has(commit) ? 'git pitr undo needs it' : undefined);
}

/** The commits of chains that are not on another one. */
export async function revisionsWithout(
  repository: Repository,
  from: readonly string[],
  without: string,
): Promise<Set<string>> {
  const input = [...from.filter((oid) => oid !== ''), `^${without}`].map((line) => `${line}\n`).join('');
  const { stdout } = await git(['rev-list', '--first-parent', '--stdin'], {
    cwd: repository.worktree,
    input,
  });
  return new Set(stdout.toString('latin1').split('\n').filter(Boolean));
}
