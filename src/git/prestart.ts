import { type GitOptions, launchGit, type RunningGit } from './run.ts';

/**
 * Git processes that are started before their input is known, while something else is waited for: a start takes 3 ms,
 * an answer less than 1. Whoever then runs the same command with the same options gets the waiting process.
 */

interface Waiting {
  running: RunningGit;
  goodbye: Goodbye;
}

export interface Goodbye {
  /** What makes the process end without having done anything. */
  farewell: string;
  /** Called when it has ended so. */
  dismissed: () => void;
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

/** Starts a command that reads all it needs from standard input. False when none was started. */
export function prestart(
  args: readonly string[],
  options: GitOptions,
  goodbye: Goodbye = { farewell: '', dismissed: () => {} },
): boolean {
  const key = keyOf(args, options);
  if (!allowed || waiting.has(key)) return false;
  const running = launchGit(args, { ...options, input: '' });
  running.child.stdin?.on('error', () => {}); // its exit code tells
  waiting.set(key, { running, goodbye });
  return true;
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
  for (const { running, goodbye } of waiting.values()) {
    running.stdout.resume();
    running.child.stdin?.end(goodbye.farewell);
    const { dismissed } = goodbye;
    running.end().then(dismissed, dismissed); // nobody asked it anything: its exit code means nothing
  }
  waiting.clear();
  allowed = false;
}
