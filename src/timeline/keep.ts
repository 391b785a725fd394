import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { durable } from '../git/refs.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure, git } from '../git/run.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { readFileIfThere } from '../system/files.ts';
import { isAlive } from '../system/processes.ts';

/**
 * Keeping new objects from a `git gc --prune=now` at the same time. It works out what is reachable at one moment and
 * deletes the rest at a later one, loose objects and the packs that it knew when it began: what becomes reachable in
 * between may go. A pack that was made after a ref led to its objects is safe: a gc either began later, and sees the
 * ref, or does not know the pack. So while a gc runs,
 *
 * 1. a ref of our own leads to the objects, 2. they are put into a new pack, which also shows that they are all there,
 * 3. the timeline moves. A machine that stops anywhere in between lists no snapshot with a hole.
 *
 * A gc that came and went before (it writes packs) makes it worth a look whether all is still there; one that began
 * in the few milliseconds in which the refs moved is seen afterwards.
 */

/** What is new: reachable from `tips` and not from `before`. */
export interface NewObjects {
  tips: readonly string[];
  before: readonly string[];
}

/** What tells that packs came or went. */
export function packStamp({ objectDir }: Repository): string {
  const stat = statSync(path.join(objectDir, 'pack'), { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs}`;
}

/** While the objects of a new snapshot are only on their way; under the line's lock. */
function holdRef({ line }: Repository): string {
  return `refs/pitr/incoming/snapshot-${line}`;
}

/**
 * Before the refs move.
 * @param stamp `packStamp` from before the first of the objects was written
 * @returns the ref that keeps them meanwhile, if a gc runs; it may go once the timeline leads to them
 * Error: `integrity` when some are gone.
 */
export async function keepBefore(
  repository: Repository,
  objects: NewObjects,
  stamp: string,
): Promise<string | undefined> {
  if (gcRuns(repository)) {
    const ref = holdRef(repository);
    const input = `${objects.tips[0] ?? ''}\n`;
    await lostIfMissing(async () => {
      await git(['update-ref', '--no-deref', '--end-of-options', ref, input.trim()], {
        cwd: repository.worktree,
        config: [...durable, ['core.logAllRefUpdates', 'false']],
      });
      crashPoint('objects-held');
      await packObjects(repository, objects);
      crashPoint('objects-packed');
    });
    return ref;
  }
  if (packStamp(repository) !== stamp) await lostIfMissing(() => requireAll(repository, objects));
  return undefined;
}

/** After the refs moved: a gc may have begun meanwhile. Error: `integrity` when some are gone. */
export async function keepAfter(repository: Repository, objects: NewObjects): Promise<void> {
  if (gcRuns(repository)) await lostIfMissing(() => packObjects(repository, objects));
}

/** git's own rule: `gc.pid` holds "<pid> <host>", and means nothing after twelve hours. */
function gcRuns({ commonDir }: Repository): boolean {
  const file = path.join(commonDir, 'gc.pid');
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || Date.now() - stat.mtimeMs > 12 * 3600 * 1000) return false;
  const [, pid, host] = /^(\d+) (\S+)/.exec(readFileIfThere(file) ?? '') ?? [];
  return pid === undefined || host !== hostname() || isAlive({ pid: Number(pid), started: '' });
}

function revisions({ tips, before }: NewObjects): string {
  return [...tips, ...before.filter((oid) => oid !== '').map((oid) => `^${oid}`)]
    .map((line) => `${line}\n`)
    .join('');
}

async function packObjects(repository: Repository, objects: NewObjects): Promise<void> {
  const base = path.join(repository.objectDir, 'pack', 'pack');
  const flags = ['--revs', '--quiet', '--missing=allow-promisor', '--end-of-options'];
  await git(['pack-objects', ...flags, base], {
    cwd: repository.worktree,
    input: revisions(objects),
    config: durable,
  });
}

async function requireAll(repository: Repository, objects: NewObjects): Promise<void> {
  const flags = ['--objects', '--quiet', '--missing=allow-promisor', '--stdin'];
  await git(['rev-list', ...flags], { cwd: repository.worktree, input: revisions(objects) });
}

/** git says it in many ways, and a full disk in others. */
async function lostIfMissing(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (
      !(error instanceof GitFailure) ||
      !/missing|bad|unable to (read|parse|find)|could not (read|parse)|nonexistent|invalid/i.test(
        error.stderr,
      )
    )
      throw error;
    throw new PitrError(
      'integrity',
      'Objects of the new snapshot were gone before it was recorded: another program removed them (git gc --prune=now?). Nothing was recorded.',
      { hints: ['Run the command again, when that program has ended.'], cause: error },
    );
  }
}
