/** The built command, ended by SIGKILL: by itself at a named step, or from outside at any moment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { command } from '../../support/cli.ts';
import { cleanEnvironment } from '../../support/environment.ts';

export type Moment =
  /** A name of `crashPoint` (src/system/crashPoint.ts): the process ends itself, its git processes go on. */
  | { at: string }
  /** Milliseconds after the start; `group`: with all its git processes, as when a terminal or a machine ends. */
  | { after: number; group: boolean };

/** Runs the command until that moment. False when it had ended before; true when it was killed. */
export async function runAndKill(cwd: string, args: readonly string[], moment: Moment): Promise<boolean> {
  const env = cleanEnvironment('at' in moment ? { PITR_CRASH_AT: moment.at } : {});
  const child = spawn(process.execPath, [command, ...args], { cwd, env, detached: true, stdio: 'ignore' });
  // Not 'close': what a killed process leaves at work may keep its pipes open.
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  if ('after' in moment) {
    await Promise.race([sleep(moment.after), ended]);
    if (child.exitCode === null) process.kill(moment.group ? -(child.pid ?? 0) : (child.pid ?? 0), 'SIGKILL');
  }
  const [, signal] = await ended;
  return signal === 'SIGKILL';
}

/** Counts what was tried, over all tests of a file. */
export class Tally {
  kills = 0;
  lost = 0;

  /** Runs the checks after a kill; one that fails is something lost. */
  check(checks: () => void): void {
    this.kills++;
    this.lost++;
    checks();
    this.lost--;
  }
}

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
