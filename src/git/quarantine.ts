import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { listen, progressOf } from '../system/progress.ts';
import { ownedName } from '../system/owned.ts';
import type { Repository } from './repository.ts';

/**
 * Runs `work` on a repository whose new objects go to a private object store, with the real one behind it, as git's
 * own quarantine of a push does (git-receive-pack(1)): no gc sees them there. Whoever records what came of it packs it
 * into the real store first (timeline/keep.ts); all else is gone at the end. Costs a pack, so only where a gc has got
 * in the way already.
 */
export async function inQuarantine<Result>(
  repository: Repository,
  work: (repository: Repository) => Promise<Result>,
): Promise<Result> {
  const objectDir = path.join(repository.lineDir, 'scratch', ownedName());
  mkdirSync(path.join(objectDir, 'info'), { recursive: true, mode: 0o700 });
  writeFileSync(path.join(objectDir, 'info', 'alternates'), `${repository.objectDir}\n`);
  const quarantined: Repository = { ...repository, objectDir, quarantineOf: repository.objectDir };
  const progress = progressOf(repository);
  if (progress !== undefined) listen(quarantined, progress);
  try {
    return await work(quarantined);
  } finally {
    rmSync(objectDir, { recursive: true, force: true });
  }
}

/** Where objects stay. */
export function realObjectDir({ objectDir, quarantineOf }: Repository): string {
  return quarantineOf ?? objectDir;
}
