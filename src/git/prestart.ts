import { type GitOptions, launchGit, type RunningGit } from './run.ts';

/**
 * Git processes that are started before their input is known, while something else is waited for: a start takes 3 ms,
 * an answer less than 1. Whoever then runs the same command with the same options gets the waiting process.
 */

interface Waiting {
  running: RunningGit;
  /** What makes the process end without having done anything. */
  farewell: string;
}

const waiting = new Map<string, Waiting>();
let allowed = false;

/** From now until `dismissPrestarted`. */
export function allowPrestart(): void {
  allowed = true;
}

function keyOf(args: readonly string[], { cwd, env, config, okCodes }: GitOptions): string {
  return JSON.stringify([args, cwd, env, config, okCodes]);
}

/** Starts a command that reads all it needs from standard input. */
export function prestart(args: readonly string[], options: GitOptions, farewell = ''): void {
  const key = keyOf(args, options);
  if (!allowed || waiting.has(key)) return;
  const running = launchGit(args, { ...options, input: '' });
  running.child.stdin?.on('error', () => {}); // its exit code tells
  waiting.set(key, { running, farewell });
}

export function takePrestarted(args: readonly string[], options: GitOptions): RunningGit | undefined {
  if (waiting.size === 0 || options.input === undefined) return undefined;
  const key = keyOf(args, options);
  const found = waiting.get(key);
  waiting.delete(key);
  return found?.running;
}

/** Sends home what nobody asked for. */
export function dismissPrestarted(): void {
  for (const { running, farewell } of waiting.values()) {
    running.stdout.resume();
    running.child.stdin?.end(farewell);
  }
  waiting.clear();
  allowed = false;
}
