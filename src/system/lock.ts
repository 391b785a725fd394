import { linkSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../errors.ts';
import { ensurePrivateDir, readFileIfThere } from './files.ts';

/**
 * A lock file that outlives nobody: a holder that died, or that sits on another host and stopped refreshing it, is
 * recognised and the lock is taken over (borg #5654, restic #1450: a stale lock stopped backups for a month).
 *
 * Takeover without a race: each lock carries a nonce, and the right to remove the lock of nonce N belongs to whoever
 * creates `<lock>.<N>.<k>`; nobody else may remove it and nobody can replace it while it is there. Should that
 * process die too, the next candidate claims k+1.
 */

interface Holder {
  pid: number;
  host: string;
  /** Start time of the process from /proc, so that a reused pid is not mistaken for the holder. */
  started: string;
  nonce: string;
  purpose: string;
}

export interface Lock {
  release(): void;
}

export interface LockOptions {
  /** What the holder does, for the other one's message: "snapshot", "restore". */
  purpose: string;
  /** Milliseconds to wait for the lock. */
  timeout: number;
}

const refreshEvery = 10_000;
const foreignHostExpiry = 120_000;

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
    if (holder !== undefined && isStale(file, holder)) {
      removeStale(file, holder, mine);
      continue;
    }
    if (Date.now() > deadline) throw busy(file, holder);
    await sleep(wait + Math.random() * wait);
  }
}

function holderOf(purpose: string): Holder {
  return {
    pid: process.pid,
    host: hostname(),
    started: startTimeOf(process.pid),
    // Unlike any other lock's, for as long as somebody may look at it.
    nonce: `${process.pid.toString(16)}${process.hrtime.bigint().toString(16)}`,
    purpose,
  };
}

function tryTake(file: string, mine: Holder): boolean {
  const temporary = `${file}.${mine.nonce}`;
  writeFileSync(temporary, JSON.stringify(mine), { mode: 0o600 });
  try {
    linkSync(temporary, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function held(file: string, mine: Holder): Lock {
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
    release: () => {
      clearInterval(refresh);
      if (readHolder(file)?.nonce === mine.nonce) rmSync(file, { force: true });
    },
  };
}

function readHolder(file: string): Holder | undefined {
  const text = readFileIfThere(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Holder;
  } catch {
    // Written through link(2), so never half: only damage from outside gets here. It has no live owner.
    return { pid: -1, host: hostname(), started: '', nonce: 'damaged', purpose: 'unknown' };
  }
}

function isStale(file: string, holder: Holder): boolean {
  if (holder.host !== hostname()) {
    try {
      return Date.now() - statSync(file).mtimeMs > foreignHostExpiry;
    } catch {
      return false; // released meanwhile
    }
  }
  return !isAlive(holder);
}

function isAlive(holder: Pick<Holder, 'pid' | 'started'>): boolean {
  if (holder.pid <= 0) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const started = startTimeOf(holder.pid);
  if (started === 'ended') return false;
  return started === '' || holder.started === '' || started === holder.started;
}

/**
 * The kernel's start time of a process (field 22 of /proc/<pid>/stat); 'ended' for one that was killed and is not yet
 * reaped (a zombie answers signal 0 for ever where nobody waits for it); '' where there is no /proc.
 */
function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function removeStale(file: string, stale: Holder, mine: Holder): void {
  for (let turn = 0; ; turn++) {
    const claim = `${file}.${stale.nonce.replace(/[^0-9a-z]/gi, '')}.${turn}`;
    if (tryTake(claim, mine)) {
      if (readHolder(file)?.nonce === stale.nonce) rmSync(file, { force: true });
      rmSync(claim, { force: true });
      return;
    }
    const claimant = readHolder(claim);
    if (claimant === undefined || isAlive(claimant)) return;
  }
}

function busy(file: string, holder: Holder | undefined): PitrError {
  const who =
    holder === undefined
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
