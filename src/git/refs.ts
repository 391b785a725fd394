import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { notesRef, nullOid, type Repository } from './repository.ts';
import { prestart } from './prestart.ts';
import { GitFailure, type GitOptions, git } from './run.ts';

/** Refs are the barrier: when one moves, all that it leads to is on the disk. */
export const durable = [['core.fsyncMethod', 'fsync']] as const;

const updateRefCommand = ['update-ref', '--no-deref', '--stdin'];

function updateRefOptions(repository: Repository): GitOptions {
  // Notes would get a reflog, which nobody reads and which keeps what was pruned.
  return { cwd: repository.worktree, config: [...durable, ['core.logAllRefUpdates', 'false']] };
}

/** Starts what `updateRefs` needs. */
export function prestartUpdateRefs(repository: Repository): void {
  prestart(updateRefCommand, updateRefOptions(repository));
}

export interface RefUpdate {
  ref: string;
  /** '' deletes the ref. */
  to: string;
  /** What it must be now; '' for "not there". */
  from: string;
}

/**
 * Moves refs in one transaction, each only if it still is what it was.
 * @returns false when one of them had moved: then nothing was changed
 */
export async function updateRefs(repository: Repository, updates: readonly RefUpdate[]): Promise<boolean> {
  const none = nullOid(repository);
  const lines = updates.map(({ ref, to, from }) =>
    to === '' ? `delete ${ref} ${from || none}` : `update ${ref} ${to} ${from || none}`,
  );
  const input = `start\n${lines.join('\n')}\nprepare\ncommit\n`;
  const deadline = Date.now() + 2 * deadAfter;
  for (;;) {
    try {
      await git(updateRefCommand, { ...updateRefOptions(repository), input });
      return true;
    } catch (error) {
      // "is at X but expected Y", "reference already exists", "unable to resolve", and somebody else's lock on it.
      if (
        !(error instanceof GitFailure) ||
        !/cannot lock ref|reference already exists/.test(error.stderr) ||
        /No space|Permission denied|Read-only/.test(error.stderr)
      )
        throw error;
      const lock = /Unable to create '(.*\.lock)': File exists/.exec(error.stderr)?.[1];
      if (lock === undefined || Date.now() > deadline) return false;
      removeIfDead(repository, lock);
      await sleep(50);
    }
  }
}

/** Milliseconds. A ref is locked for the time of a flush to the disk. */
const deadAfter = 5000;

/**
 * A git that was killed leaves its lock on a ref, and git waits for it in vain for ever: no snapshot would be recorded
 * any more. Only on refs of our own, which nobody else has a reason to lock for long.
 */
function removeIfDead({ commonDir }: Repository, lock: string): void {
  const ref = path.relative(commonDir, lock);
  if (!ref.startsWith('refs/pitr/') && ref !== `${notesRef}.lock`) return;
  const stat = statSync(lock, { throwIfNoEntry: false });
  if (stat !== undefined && Date.now() - stat.mtimeMs > deadAfter) rmSync(lock, { force: true });
}
