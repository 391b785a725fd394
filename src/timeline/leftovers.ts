import { lstatSync, readdirSync, rmSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { besideDatabase } from '../capture/capture.ts';
import { stageBesideFiles } from '../capture/scan.ts';
import type { Config } from '../config/config.ts';
import { importDir } from '../git/importPlace.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { removeAbandoned } from '../system/owned.ts';
import { endOrphans, openFilesIn } from '../system/processes.ts';

/**
 * What a killed git-pitr leaves behind: its own git processes, scratch folders, half-written objects, a lock on the
 * user's index. Nothing of it is needed, and none of it may stand in the way of anybody. The caller holds the line's
 * lock.
 */

/** Ends and removes all of it. Called by whoever takes the lock over from a dead process, before anything else. */
export async function cleanUpAfter(repository: Repository, config: Config, diedSince: number): Promise<void> {
  await endOrphans(repository.lineDir);
  removeScratch(repository, config);
  releaseIndex(repository);
  await dropHolds(repository);
  await removeHalfObjects(repository, diedSince);
}

/** Folders and files of dead processes. */
export function removeScratch(repository: Repository, config: Config): void {
  const { lineDir, worktree } = repository;
  for (const folder of [path.join(lineDir, 'stage'), path.join(lineDir, 'scratch'), importDir(repository)])
    removeAbandoned(folder);
  if (deviceOf(lineDir) !== deviceOf(worktree))
    removeAbandoned(worktree, (name) => name.startsWith(stageBesideFiles));
  for (const { path: live } of config.databases) {
    if (live === undefined) continue;
    removeAbandoned(path.dirname(live), (name) => name.startsWith(besideDatabase(live)));
  }
  for (const name of readdirSync(lineDir))
    if (name.endsWith('.tmp')) rmSync(path.join(lineDir, name), { force: true });
}

function deviceOf(folder: string): number | undefined {
  return statSync(folder, { throwIfNoEntry: false })?.dev;
}

/** A lock on the user's index that is a second name of the index we were making (restore/staged.ts): git waits for it. */
function releaseIndex({ gitDir, lineDir }: Repository): void {
  const [lock, fresh] = [path.join(gitDir, 'index.lock'), path.join(lineDir, 'index.new')];
  const [held, own] = [lock, fresh].map((file) => lstatSync(file, { throwIfNoEntry: false }));
  if (held !== undefined && held.ino === own?.ino && held.dev === own.dev) rmSync(lock, { force: true });
  for (const file of [fresh, `${fresh}.lock`]) rmSync(file, { force: true });
}

/** Refs that kept objects of work that was under way; that of an interrupted merge stays for `--continue`. */
async function dropHolds(repository: Repository): Promise<void> {
  const { line, lineDir, worktree } = repository;
  const interrupted = lstatSync(path.join(lineDir, 'journal.json'), { throwIfNoEntry: false }) !== undefined;
  const own = [`refs/pitr/incoming/snapshot-${line}`];
  if (!interrupted) own.push(`refs/pitr/incoming/merged-${line}`);
  const { stdout } = await git(['for-each-ref', '--format=%(refname)', ...own], { cwd: worktree });
  const found = stdout
    .toString('utf8')
    .split('\n')
    .filter((name) => own.includes(name));
  for (const ref of found) await git(['update-ref', '--no-deref', '-d', ref], { cwd: worktree });
}

/**
 * Objects and packs that a killed git was writing: as large as what was recorded. git's own gc takes them after two
 * weeks; the disk may be full now. Those are meant that were made since the dead process took the lock, by this user,
 * that nobody has open, and that still have their temporary name a moment later (git renames what it has closed).
 */
async function removeHalfObjects({ objectDir }: Repository, diedSince: number): Promise<void> {
  const isHalf = (stat: Stats) => stat.uid === process.getuid?.() && stat.mtimeMs >= diedSince;
  let half = halfObjects(objectDir).filter((file) => isMatch(file, isHalf));
  for (let look = 0; look < 2 && half.length > 0; look++) {
    if (look > 0) await sleep(100);
    const open = openFilesIn(objectDir);
    if (open === undefined) return;
    half = half.filter((file) => !open.has(file) && isMatch(file, isHalf));
  }
  for (const file of half) rmSync(file, { force: true });
}

function halfObjects(objectDir: string): string[] {
  return readdirSync(objectDir)
    .filter((name) => /^[0-9a-f]{2}$|^pack$/.test(name))
    .map((name) => path.join(objectDir, name))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^\.?tmp(_|-\d+-pack-)/.test(name))
        .map((name) => path.join(folder, name)),
    );
}

function isMatch(file: string, test: (stat: Stats) => boolean): boolean {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  return stat !== undefined && test(stat);
}
