import path from 'node:path';
import { PitrError } from '../errors.ts';
import { gcRuns, gcStamp, saysLost } from '../git/gc.ts';
import { realObjectDir } from '../git/quarantine.ts';
import { durable, setRefs } from '../git/refs.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { crashPoint } from '../system/crashPoint.ts';

/**
 * Keeping new objects from a `git gc --prune=now` at the same time. It works out what is reachable at one moment and
 * deletes the rest at a later one, loose objects and the packs that it knew when it began: what becomes reachable in
 * between may go. A pack that was made after a ref led to its objects is safe: a gc either began later, and sees the
 * ref, or does not know the pack. So while a gc runs,
 *
 * 1. the objects are put into a pack (out of a quarantine, if they are in one), which loose ones that it takes no longer matter to, 2. refs of our own lead to
 * them, 3. they are put into another pack, which also shows that all are still there, 4. the timeline moves. A machine
 * that stops anywhere in between lists no snapshot with a hole, and the refs never lead to a hole for long: that
 * would stop the user's gc.
 *
 * A gc that came and went before (it writes packs) makes it worth a look whether all is still there; one that began
 * in the few milliseconds in which the refs moved is seen afterwards.
 */

/** What is new: reachable from `tips` (the snapshot first) and not from `before`. */
export interface NewObjects {
  tips: readonly string[];
  before: readonly string[];
}

/** For a new snapshot, its note and its anchor, while they are only on their way; under the line's lock. */
export function holdRefs({ line }: Pick<Repository, 'line'>): string[] {
  return ['snapshot', 'note', 'anchor'].map((what) => `refs/pitr/incoming/${what}-${line}`);
}

/**
 * Before the refs move.
 * @param stamp `gcStamp` from before the first of the objects was written
 * @returns true when refs keep them, which `dropHolds` takes away once the timeline leads to them
 * Error: `integrity` when some are gone.
 */
export async function keepBefore(
  repository: Repository,
  objects: NewObjects,
  stamp: string,
): Promise<boolean> {
  return lostIfMissing(async () => {
    if (!gcRuns(repository) && repository.quarantineOf === undefined) {
      if (gcStamp(repository) !== stamp) await requireAll(repository, objects);
      return false;
    }
    await packObjects(repository, objects, 'default');
    await setRefs(
      repository,
      holdRefs(repository).map(
        (ref, index) => `update ${ref} ${objects.tips[index] ?? objects.tips[0] ?? ''}`,
      ),
    );
    crashPoint('objects-held');
    try {
      await packObjects({ ...repository, objectDir: realObjectDir(repository) }, objects, 'other');
    } catch (error) {
      await dropHolds(repository);
      throw error;
    }
    crashPoint('objects-packed');
    return true;
  });
}

export function dropHolds(repository: Repository): Promise<void> {
  return setRefs(
    repository,
    holdRefs(repository).map((ref) => `delete ${ref}`),
  );
}

/** After the refs moved: a gc may have begun meanwhile. Error: `integrity` when some are gone. */
export async function keepAfter(repository: Repository, objects: NewObjects): Promise<void> {
  if (gcRuns(repository)) await lostIfMissing(() => packObjects(repository, objects, 'default'));
}

function revisions({ tips, before }: NewObjects): string {
  return [...tips, ...before.filter((oid) => oid !== '').map((oid) => `^${oid}`)]
    .map((line) => `${line}\n`)
    .join('');
}

/** @param bytes packs of the same objects have the same name, unless their bytes differ */
async function packObjects(
  repository: Repository,
  objects: NewObjects,
  bytes: 'default' | 'other',
): Promise<void> {
  const base = path.join(realObjectDir(repository), 'pack', 'pack');
  const flags = ['--revs', '--quiet', '--missing=allow-promisor'];
  if (bytes === 'other') flags.push('--compression=0', '--no-reuse-object');
  await git(['pack-objects', ...flags, '--end-of-options', base], {
    cwd: repository.worktree,
    env: { GIT_OBJECT_DIRECTORY: repository.objectDir },
    input: revisions(objects),
    config: durable,
  });
}

async function requireAll(repository: Repository, objects: NewObjects): Promise<void> {
  const flags = ['--objects', '--quiet', '--missing=allow-promisor', '--stdin'];
  await git(['rev-list', ...flags], { cwd: repository.worktree, input: revisions(objects) });
}

async function lostIfMissing<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!saysLost(error)) throw error;
    throw new PitrError(
      'integrity',
      'Objects of the new snapshot were gone before it was recorded: another program removed them (git gc --prune=now?). Nothing was recorded.',
      { hints: ['Run the command again, when that program has ended.'], cause: error },
    );
  }
}
