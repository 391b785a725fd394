/** Measuring for the bench: both sides of a row in turn, in one run; medians of the pairs. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';

export const checkout = fileURLToPath(new URL('../../', import.meta.url));
export const program = path.join(checkout, 'dist/git-pitr.cjs');

export interface Row {
  work: string;
  /** What the other side is. */
  against: string;
  /** Milliseconds, unless `unit` says otherwise. */
  ours: number;
  theirs: number;
  unit?: string;
  ratio: number;
  target: number;
  /** The most memory that one process of our side held, in MiB (GNU time); absent where it was not measured. */
  peakMiB?: number;
}

/** Node as it starts here (`NODE_EXTRA_CA_CERTS` alone can double its start), the same for both sides of a row. */
const nodeVariables = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name.startsWith('NODE_')),
);

export interface RunOptions {
  input?: string;
  env?: Readonly<Record<string, string>>;
}

export function run(cwd: string, command: string, args: readonly string[], options: RunOptions = {}): string {
  const child = spawnSync(command, args, {
    cwd,
    env: cleanEnvironment({ ...testIdentity, ...nodeVariables, ...options.env }),
    encoding: 'utf8',
    maxBuffer: 1024 ** 3,
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  if (child.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${child.error?.message ?? child.stderr}`);
  return child.stdout.trim();
}

export function pitr(cwd: string, args: readonly string[], options: RunOptions = {}): string {
  return run(cwd, process.execPath, [program, ...args], options);
}

export function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export interface Sides {
  work: string;
  against: string;
  target: number;
  pairs: number;
  /** Before each measurement of a side, outside the clock. */
  prepare?: (turn: number, side: 'ours' | 'theirs') => void;
  ours: () => void;
  theirs: () => void;
  /** Milliseconds that both sides are compared after: `theirs` becomes this function of what was measured. */
  allowance?: (theirs: number) => number;
}

/** Runs both sides in turn, once to warm up and then `pairs` times. */
export function compare(sides: Sides): Row {
  const { work, against, target, pairs, prepare, allowance = (theirs: number) => theirs } = sides;
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let turn = 0; turn <= pairs; turn++) {
    prepare?.(turn, 'ours');
    const a = timed(sides.ours);
    prepare?.(turn, 'theirs');
    const b = allowance(timed(sides.theirs));
    if (turn === 0) continue; // warms both up
    ours.push(a);
    theirs.push(b);
  }
  const ratio = median(ours.map((value, at) => value / (theirs[at] ?? Number.NaN)));
  return { work, against, ours: median(ours), theirs: median(theirs), ratio, target };
}

/** The most memory that one process of `git pitr …` held (git's own too), in MiB; undefined without GNU time. */
export function peakOf(cwd: string, args: readonly string[]): number | undefined {
  const time = '/usr/bin/time';
  if (!existsSync(time)) return undefined;
  const child = spawnSync(time, ['-f', 'peak %M', process.execPath, program, ...args], {
    cwd,
    env: cleanEnvironment({ ...testIdentity, ...nodeVariables }),
    encoding: 'utf8',
  });
  if (child.status !== 0) throw new Error(child.stderr);
  const kib = /peak (\d+)/.exec(child.stderr)?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}
