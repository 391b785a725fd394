import { existsSync, readdirSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../errors.ts';
import { readFileIfThere } from '../system/files.ts';
import { isAlive } from '../system/processes.ts';
import { realObjectDir } from './quarantine.ts';
import type { Repository } from './repository.ts';
import { GitFailure, git } from './run.ts';

/** What can be told of a `git gc` at the same time, and of what it has taken. */

/** git's own rule (builtin/gc.c): `gc.pid` holds "<pid> <host>", and means nothing after twelve hours. */
export function gcRuns({ commonDir }: Pick<Repository, 'commonDir'>): boolean {
  const file = path.join(commonDir, 'gc.pid');
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || Date.now() - stat.mtimeMs > 12 * 3600 * 1000) return false;
  const [, pid, host] = /^(\d+) (\S+)/.exec(readFileIfThere(file) ?? '') ?? [];
  return pid === undefined || host !== hostname() || isAlive({ pid: Number(pid), started: '' });
}

/** Waits for the end of a gc, but not longer than so many milliseconds. */
export async function gcEnd(repository: Repository, longest: number): Promise<void> {
  for (const began = Date.now(); gcRuns(repository) && Date.now() - began < longest; ) await sleep(10);
}

/**
 * What is another one after a gc: packs came or went, and beside HEAD so did `gc.pid`. Other work changes it too. Not
 * the time of the folder of packs: fast-import's own temporary file changes that with every snapshot.
 */
export function gcStamp(repository: Repository): string {
  const folder = path.join(realObjectDir(repository), 'pack');
  const packs = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.pack')) : [];
  return [repository.commonDir, ...packs.toSorted().map((name) => path.join(folder, name))]
    .map((file) => `${file} ${stampOf(file)}`)
    .join('\n');
}

function stampOf(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs}`;
}

/**
 * True for an error that says that an object is not where it was written a moment ago. `git gc --prune=now` also takes
 * what another git is just writing, under its temporary name.
 */
export function saysLost(error: unknown): boolean {
  if (!(error instanceof GitFailure)) return error instanceof PitrError && error.kind === 'integrity';
  return lost.some((pattern) => pattern.test(error.stderr));
}

const lost = [
  /not a tree|not a valid (object|commit)|invalid object|nonexistent object|missing (blob|tree|commit) object/i,
  /(tree|blob|commit|object) not found/i,
  /bad (tree|object|revision|commit)|(unable to|could not) (read|parse|find|get)|cannot be read|error building trees/i,
  /(unable to|cannot|could not) (write|store|create|rename|open|link).*No such file or directory/i,
];

/**
 * Runs git's own gc now: what nothing refers to for two weeks goes (gc.pruneExpire). Also where `git maintenance start`
 * has taken over, which runs no gc.
 */
export async function collectGarbage({ worktree }: Pick<Repository, 'worktree'>): Promise<void> {
  await git(['gc', '--quiet'], { cwd: worktree });
}
