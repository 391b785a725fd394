import type { Config } from '../config/config.ts';
import { messageOf, PitrError } from '../errors.ts';
import { isPartialClone } from '../git/partialClone.ts';
import { anchorRef, notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';
import { currentTime } from '../system/clock.ts';
import { amendNotes } from '../timeline/amendNotes.ts';
import { type Catalog, readCatalog } from '../timeline/catalog.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine } from '../timeline/take.ts';
import { readTotals } from '../timeline/totals.ts';
import { CopyChecker } from './databases.ts';
import { checkObjectsOf, DamageFinder } from './objects.ts';
import { readAgain } from './secondReader.ts';

/** What is wrong with one snapshot. */
export interface Problem {
  kind: 'object' | 'note' | 'database' | 'refs' | 'reader';
  /** In the snapshot: `files/src/app.ts`; '' for the snapshot itself. */
  path: string;
  problem: string;
}

export interface VerifiedSnapshot {
  snapshot: Snapshot;
  problems: Problem[];
}

export interface Verification {
  snapshots: VerifiedSnapshot[];
  /** What is wrong with the timeline itself. */
  timeline: string[];
  deep: boolean;
  objects: { checked: number; bytes: number; absent: number };
  secondReader: { used: boolean; reason?: string; objects: number };
  /** Engines whose copies were not looked into although `deep` was asked for. */
  notDeep: string[];
  /** Snapshots whose notes say the result now. */
  recorded: number;
  ok: boolean;
}

/**
 * The timeline, and what is wrong with it as a whole. Error: `integrity` when nothing of it can be read.
 */
export async function inspectTimeline(repository: Repository): Promise<Catalog & { timeline: string[] }> {
  const timeline: string[] = [];
  const exists = async (ref: string) =>
    (await gitText(['rev-parse', '-q', '--verify', ref], {
      cwd: repository.worktree,
      okCodes: [0, 1, 128],
    })) !== '';
  const [isThere, hasNotes] = [await exists(timelineRef(repository)), await exists(notesRef)];
  const knewOne = (readTotals(repository)?.commit ?? '') !== '';
  if (!isThere && knewOne)
    timeline.push(`${timelineRef(repository)} is gone: the snapshots are not listed any more`);
  try {
    const catalog = isThere ? await readCatalog(repository) : { snapshots: [], problems: [] };
    if (catalog.snapshots.length > 0 && !hasNotes) timeline.push(`${notesRef} is gone`);
    for (const { commit, problem } of catalog.problems) {
      const isNote = catalog.snapshots.some((snapshot) => snapshot.commit === commit);
      if (commit === '') timeline.push(problem);
      else if (!isNote) timeline.push(`commit ${commit}: ${problem}`);
    }
    return { ...catalog, timeline };
  } catch (error) {
    timeline.push(`${timelineRef(repository)} cannot be read: ${messageOf(error)}`);
    return { snapshots: [], problems: [], timeline };
  }
}

/** Verifies snapshots and writes the result into their notes. Errors: `busy`; those of reading the configuration. */
export async function verifySnapshots(
  repository: Repository,
  config: Config,
  { problems, timeline }: Catalog & { timeline: string[] },
  snapshots: readonly Snapshot[],
  deep: boolean,
): Promise<Verification> {
  const checked = await checkObjectsOf(
    repository,
    snapshots.map(({ commit }) => commit),
    await isPartialClone(repository),
  );
  const second = await readAgain(repository, checked, deep);
  const damage = new DamageFinder(repository, checked.bad);
  const unlike = new DamageFinder(repository, second.differs);
  const copies = new CopyChecker(repository, config, deep);
  const anchors = await anchorProblems(repository, snapshots);
  const results: VerifiedSnapshot[] = [];
  for (const snapshot of snapshots) {
    const hurt = await damage.pathsOf(snapshot.commit);
    const inDatabases = hurt.some(({ path }) => path === '' || path.startsWith('databases'));
    const found: Problem[] = [
      ...hurt.map(({ path, problem }) => ({ kind: 'object' as const, path, problem })),
      ...(await unlike.pathsOf(snapshot.commit)).map(({ path, problem }) => ({
        kind: 'reader' as const,
        path,
        problem,
      })),
      ...problems
        .filter(({ commit }) => commit === snapshot.commit)
        .map(({ problem }) => ({ kind: 'note' as const, path: '', problem })),
      ...(inDatabases
        ? []
        : (await copies.problemsOf(snapshot)).map((problem) => ({ kind: 'database' as const, ...problem }))),
      ...(anchors.get(snapshot.anchor ?? '') ?? []).map((problem) => ({
        kind: 'refs' as const,
        path: 'state/refs',
        problem,
      })),
    ];
    results.push({ snapshot, problems: found });
  }
  const { used, reason, objects } = second;
  return {
    snapshots: results,
    timeline,
    deep,
    objects: { checked: checked.sound.size + checked.bad.size, bytes: checked.bytes, absent: checked.absent },
    secondReader: { used, ...(reason === undefined ? {} : { reason }), objects },
    notDeep: [...copies.notDeep],
    recorded: await recordResults(repository, config, results, deep),
    ok: timeline.length === 0 && results.every((result) => result.problems.length === 0),
  };
}

/** Anchors that are lost, have holes, or that no ref keeps: what refs pointed to then cannot be had, or will go. */
async function anchorProblems(
  repository: Repository,
  snapshots: readonly Snapshot[],
): Promise<Map<string, string[]>> {
  const problems = new Map<string, string[]>();
  const anchors = [...new Set(snapshots.flatMap(({ anchor }) => anchor ?? []))];
  if (anchors.length === 0) return problems;
  const cwd = repository.worktree;
  // Of what the user's own refs lead to as well, git fsck speaks.
  const known = ['--not', '--branches', '--tags', '--remotes'];
  const isWhole = async (some: readonly string[]) => {
    const flags = ['--objects', '--quiet', '--missing=allow-promisor', '--stdin', ...known];
    const input = some.map((oid) => `${oid}\n`).join('');
    return (await git(['rev-list', ...flags], { cwd, input, okCodes: [0, 1, 128] })).code === 0;
  };
  if (!(await isWhole(anchors)))
    for (const anchor of anchors)
      if (!(await isWhole([anchor])))
        problems.set(anchor, ['what the refs pointed to then is not all there']);
  const { stdout, code } = await git(['rev-list', '--stdin', '--not', anchorRef(repository)], {
    cwd,
    input: anchors.map((oid) => `${oid}\n`).join(''),
    okCodes: [0, 1, 128],
  });
  const unkept = new Set(stdout.toString('latin1').split('\n'));
  for (const anchor of anchors)
    if ((code !== 0 || unkept.has(anchor)) && !problems.has(anchor))
      problems.set(anchor, ['no ref keeps what the refs pointed to then: the next gc may take it']);
  return problems;
}

/** A note that is lost or cannot be read is not written over: doctor does that. */
async function recordResults(
  repository: Repository,
  config: Config,
  results: readonly VerifiedSnapshot[],
  deep: boolean,
): Promise<number> {
  const time = new Date(currentTime()).toISOString();
  const sound = results.filter(({ snapshot }) => snapshot.fromTrailers !== true);
  const isOk = new Map(sound.map(({ snapshot, problems }) => [snapshot.commit, problems.length === 0]));
  if (sound.length === 0) return 0;
  const { parseNote } = await import('../timeline/schema.ts');
  const lock = await lockLine(repository, config, 'verify');
  try {
    return await amendNotes(
      repository,
      [...isOk.keys()],
      (text, commit) => {
        // A prune has given it another commit meanwhile, or somebody has damaged it: the next look finds that.
        if ('problem' in parseNote(text)) return undefined;
        const note = JSON.parse(text) as Record<string, unknown>;
        const verified = { time, ok: isOk.get(commit) === true, deep };
        return `${JSON.stringify({ ...note, verified }, null, 1)}\n`;
      },
      'Verified',
    );
  } catch (error) {
    // On a read-only file system the answer is worth having all the same.
    if (error instanceof PitrError && error.kind !== 'busy') return 0;
    throw error;
  } finally {
    lock.release();
  }
}
