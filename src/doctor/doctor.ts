import { rmSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { messageOf } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { anchorRef } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { chainAnchors } from '../timeline/anchors.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { lockLine } from '../timeline/take.ts';
import { inspectTimeline } from '../verify/verify.ts';
import type { Finding, Mendable } from './finding.ts';
import { checkNotes } from './notes.ts';
import { checkObjects } from './objects.ts';
import {
  checkHalfWritten,
  checkInterrupted,
  checkLock,
  checkRefLock,
  checkSettings,
  refLocks,
} from './surroundings.ts';
import { checkChain, checkTimeline } from './timeline.ts';

/**
 * Looks for everything that is wrong, in the order in which it can be mended: the ref, the chain, what hangs on it.
 * Without `repair` nothing is written. Error: `busy`, with `repair` alone.
 */
export async function examine(repository: Repository, config: Config, repair: boolean): Promise<Finding[]> {
  if (!repair) return look(repository, config, undefined);
  const stale = checkLock(repository);
  const locks = refLocks(repository);
  for (const file of locks) rmSync(file, { force: true });
  const lock = await lockLine(repository, config, 'restore');
  try {
    const before: Finding[] = [
      ...(stale === undefined
        ? []
        : [{ ...stale, repaired: 'it was taken over, and its scratch files removed' }]),
      ...locks.map((file) => ({ ...checkRefLock(file), repaired: 'it was removed' })),
    ];
    return [...before, ...(await look(repository, config, mend))];
  } finally {
    lock.release();
  }
}

type Mend = (mendable: Mendable) => Promise<Finding>;

async function mend({ finding, mend: work }: Mendable): Promise<Finding> {
  if (work === undefined) return finding;
  try {
    const repaired = await work();
    return repaired === undefined ? finding : { ...finding, repaired };
  } catch (error) {
    return { ...finding, remedy: `${finding.remedy} (the repair failed: ${messageOf(error)})` };
  }
}

async function look(repository: Repository, config: Config, mending: Mend | undefined): Promise<Finding[]> {
  const found: Finding[] = [];
  const add = async (mendables: readonly (Mendable | undefined)[]) => {
    for (const mendable of mendables)
      if (mendable !== undefined)
        found.push(mending === undefined ? mendable.finding : await mending(mendable));
  };
  await add([await checkTimeline(repository)]);
  await add([await checkChain(repository)]);
  const catalog = await inspectTimeline(repository);
  await add(await checkNotes(repository, catalog));
  await add([await checkAnchors(repository, catalog.snapshots)]);
  await add(await checkObjects(repository, catalog.snapshots));
  const around = [checkInterrupted(repository), checkHalfWritten(repository), ...checkSettings(config)];
  if (mending === undefined) around.push(checkLock(repository), ...refLocks(repository).map(checkRefLock));
  return [...found, ...around.filter((finding) => finding !== undefined)];
}

async function checkAnchors(
  repository: Repository,
  snapshots: readonly Snapshot[],
): Promise<Mendable | undefined> {
  const anchors = [...new Set(snapshots.toReversed().flatMap(({ anchor }) => anchor ?? []))];
  if (anchors.length === 0) return undefined;
  const ref = anchorRef(repository);
  const cwd = repository.worktree;
  const { stdout } = await git(['cat-file', '--batch-check'], {
    cwd,
    input: anchors.map((oid) => `${oid}\n`).join(''),
  });
  const there = anchors.filter((oid) => stdout.toString('latin1').includes(`${oid} commit `));
  const { stdout: unkept, code } = await git(['rev-list', '--stdin', '--not', ref], {
    cwd,
    input: there.map((oid) => `${oid}\n`).join(''),
    okCodes: [0, 1, 128],
  });
  const lines = new Set(unkept.toString('latin1').split('\n'));
  const loose = there.filter((oid) => code !== 0 || lines.has(oid));
  const lost = anchors.length - there.length;
  if (loose.length === 0 && lost === 0) return undefined;
  const count = snapshots.filter(({ anchor }) => anchor !== undefined && !there.includes(anchor)).length;
  return {
    finding: {
      kind: 'anchors',
      severity: 'damage',
      what:
        loose.length > 0
          ? `${ref} does not keep what the refs of ${snapshots.filter(({ anchor }) => loose.includes(anchor ?? '')).length} snapshots pointed to${lost > 0 ? `, and of ${count} it is lost` : ''}`
          : `what the refs of ${count} snapshots pointed to is lost`,
      reason: 'git gc takes it; then branches, tags and stash entries of that time cannot be brought back.',
      remedy:
        loose.length > 0
          ? 'git pitr doctor --repair makes the ref anew.'
          : 'It cannot be mended. Files and databases of these snapshots are not hurt.',
    },
    ...(loose.length === 0
      ? {}
      : {
          mend: async () =>
            (await chainAnchors(repository, anchors)) ? `${ref} keeps them again` : undefined,
        }),
  };
}
