import {
  linkSync,
  openSync,
  closeSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../errors.ts';
import { ensurePrivateDir, readFileIfThere } from './files.ts';
import { isAlive, isWithinSight, type ProcessMark, thisProcess } from './processes.ts';

/**
 * A lock file that outlives nobody: a holder that died, or that sits on another host and stopped refreshing it, is
 * recognised and the lock is taken over (borg #5654, restic #1450: a stale lock stopped backups for a month).
 *
 * Takeover without a race: each lock carries a nonce, and the right to replace the lock of nonce N belongs to whoever
 * creates `<lock>.<N>.<k>`; nobody else may touch it while that is there. Should that process die too, the next
 * candidate claims k+1. The stale lock is replaced, not removed: nobody else can come in between, and so whoever takes
 * over is the one that cleans up.
 */

interface Holder extends ProcessMark {
  nonce: string;
  purpose: string;
  /** When it was taken, milliseconds since the epoch. */
  since: number;
}

export interface Lock {
  /** When the holder from whom this lock was taken over took it: it died, and has cleaned nothing up. */
  diedSince?: number;
  release(): void;
}

export interface LockOptions {
  /** What the holder does, for the other one's message: "snapshot", "restore". */
  purpose: string;
  /** Milliseconds to wait for the lock. */
  timeout: number;
}

const refreshEvery = 10_000;
const foreignExpiry = 120_000;
/** Where links cannot be made the lock file is empty for a moment. */
const unreadableExpiry = 2000;

/** Takes the lock if it is free at this moment. */
export function tryLock(file: string, purpose: string): Lock | undefined {
  ensurePrivateDir(path.dirname(file));
  const mine = holderOf(purpose);
  return tryTake(file, mine) ? held(file, mine) : undefined;
}

/** Takes the lock. Error: `busy` when another live process keeps it longer than `timeout`. */
export async function takeLock(file: string, options: LockOptions): Promise<Lock> {
  ensurePrivateDir(path.dirname(file));
  const deadline = Date.now() + options.timeout;
  const mine = holderOf(options.purpose);
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 100)) {
    if (tryTake(file, mine)) return held(file, mine);
    const holder = readHolder(file);
    if (holder !== undefined && isStale(file, holder) && takeOver(file, holder, mine))
      return held(file, mine, holder.since);
    if (Date.now() > deadline) throw busy(file, holder);
    await sleep(wait + Math.random() * wait);
  }
}

function holderOf(purpose: string): Holder {
  return {
    ...thisProcess(),
    // Unlike any other lock's, for as long as somebody may look at it.
    nonce: `${process.pid.toString(16)}${process.hrtime.bigint().toString(16)}`,
    purpose,
    since: Date.now(),
  };
}

function tryTake(file: string, mine: Holder): boolean {
  const temporary = writeOwn(file, mine);
  try {
    linkSync(temporary, file);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    // Over NFS the answer to a link that was made may get lost, and the second try then finds it there.
    if (code === 'EEXIST') return readHolder(file)?.nonce === mine.nonce;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    return tryTakeWithoutLinks(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The lock's content, complete, under a name of its own. */
function writeOwn(file: string, mine: Holder): string {
  const temporary = `${file}.${mine.nonce}`;
  try {
    writeFileSync(temporary, JSON.stringify(mine), { mode: 0o600 });
    return temporary;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** exFAT and some network mounts: an empty file takes the place, and the whole one then takes the empty one's. */
function tryTakeWithoutLinks(temporary: string, file: string): boolean {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  renameSync(temporary, file);
  return true;
}

function held(file: string, mine: Holder, diedSince?: number): Lock {
  // Other hosts cannot see our pid: a fresh mtime tells them that we live.
  const refresh = setInterval(() => {
    try {
      utimesSync(file, new Date(), new Date());
    } catch {
      // Taken away by a person's hand: release() looks before it removes.
    }
  }, refreshEvery);
  refresh.unref();
  return {
    ...(diedSince === undefined ? {} : { diedSince }),
    release: () => {
      clearInterval(refresh);
      if (readHolder(file)?.nonce === mine.nonce) rmSync(file, { force: true });
    },
  };
}

function readHolder(file: string): Holder | undefined {
  const text = readFileIfThere(file);
  if (text === undefined) return undefined;
  // Written whole, so only damage from outside (or a machine that lost power) makes it unreadable. No live owner.
  const none = { pid: -1, host: '', namespace: '', started: '', nonce: 'damaged', purpose: 'unknown' };
  const since = Number.POSITIVE_INFINITY;
  try {
    const found = JSON.parse(text) as Partial<Holder> | null;
    return typeof found?.pid === 'number' && typeof found.nonce === 'string' && /^\w+$/.test(found.nonce)
      ? { ...none, since, ...found }
      : { ...none, since };
  } catch {
    return { ...none, since };
  }
}

function isStale(file: string, holder: Holder): boolean {
  if (holder.pid > 0 && isWithinSight(holder)) return !isAlive(holder);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return false; // released meanwhile
  return Date.now() - stat.mtimeMs > (holder.pid > 0 ? foreignExpiry : unreadableExpiry);
}

/** False when another process is at it, or was quicker. */
function takeOver(file: string, stale: Holder, mine: Holder): boolean {
  for (let turn = 0; ; turn++) {
    const claim = `${file}.${stale.nonce}.${turn}`;
    if (tryTake(claim, mine)) {
      try {
        if (readHolder(file)?.nonce !== stale.nonce) return false;
        renameSync(writeOwn(file, mine), file);
        return true;
      } finally {
        rmSync(claim, { force: true });
      }
    }
    const claimant = readHolder(claim);
    if (claimant === undefined || !isStale(claim, claimant)) return false;
  }
}

function busy(file: string, holder: Holder | undefined): PitrError {
  const who =
    holder === undefined || holder.pid <= 0
      ? 'Another git-pitr'
      : `Another git-pitr (${holder.purpose}, process ${holder.pid} on ${holder.host})`;
  return new PitrError('busy', `${who} is at work in this repository; nothing was changed.`, {
    hints: [
      'Wait for it and run the command again.',
      'git config pitr.lockTimeout 2m waits longer.',
      `Its lock is ${file}.`,
    ],
  });
}
