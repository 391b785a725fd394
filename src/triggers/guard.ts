import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { refuseWhileInterrupted } from '../restore/journal.ts';
import type { Context } from '../restore/request.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { takeSnapshot, type Taken } from '../timeline/take.ts';

/** A command that may do harm, with a snapshot before it. */
export interface GuardOptions {
  command: readonly string[];
  /** Records a `migration` snapshot, which retention never drops. */
  migration: boolean;
  databases: boolean;
  /** The command's standard output goes where its errors go. */
  outputToErrors: boolean;
}

/** How a command ended, as a shell says it. */
export interface Ended {
  /** 127 when there is no such command, 126 when it cannot be run, 128 and the signal's number when one ended it. */
  code: number;
  signal?: NodeJS.Signals;
  /** Why it never ran. */
  problem?: string;
}

/**
 * Records the state before a command. Error: those of `takeSnapshot`; `failed` when a database could not be recorded:
 * what the command does to that could not be taken back.
 */
export async function guardSnapshot(
  { repository, config }: Context,
  { command, migration, databases }: GuardOptions,
): Promise<Taken> {
  refuseWhileInterrupted(repository);
  const taken = await takeSnapshot(repository, config, {
    type: migration ? 'migration' : 'safety',
    trigger: 'guard',
    // Not its arguments: a password may be among them.
    message: `before: ${path.basename(command[0] ?? '').slice(0, 100)}`,
    databases,
  });
  const [failed] = taken.failedDatabases;
  if (failed !== undefined)
    throw new PitrError(
      'failed',
      `The database ${failed.name} could not be recorded (${failed.reason}), so the command was not run.`,
      { hints: [...failed.hints, 'With --no-databases the command runs, and databases are not guarded.'] },
    );
  return taken;
}

/**
 * Runs a command on this terminal and waits for its end. What the keyboard sends (Ctrl-C) reaches it anyway, and is its
 * to answer; what is sent to us alone is passed on.
 */
export async function runGuarded({ command, outputToErrors }: GuardOptions): Promise<Ended> {
  const [program = '', ...args] = command;
  let child: ChildProcess | undefined;
  // Before the command begins: a signal that came in between would end us, and leave it at work alone.
  const stop = passSignals((signal) => void child?.kill(signal));
  try {
    child = spawn(program, args, { stdio: ['inherit', outputToErrors ? 2 : 'inherit', 'inherit'] });
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    if (signal === null) return { code: code ?? 1 };
    return { code: 128 + constants.signals[signal], signal };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { code: 127, problem: `${program}: command not found` };
    if (code === 'EACCES' || code === 'ENOEXEC')
      return { code: 126, problem: `${program}: cannot be run (${code})` };
    throw error;
  } finally {
    stop();
  }
}

function passSignals(pass: (signal: NodeJS.Signals) => void): () => void {
  const fromKeyboard = ['SIGINT', 'SIGQUIT'] as const;
  const passed = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;
  const ignore = () => {};
  for (const signal of fromKeyboard) process.on(signal, ignore);
  for (const signal of passed) process.on(signal, pass);
  return () => {
    for (const signal of fromKeyboard) process.off(signal, ignore);
    for (const signal of passed) process.off(signal, pass);
  };
}

/** Brings everything back to the snapshot that was taken before the command. What the command did is recorded first. */
export async function restoreAfter(context: Context, snapshot: Snapshot) {
  const { prepareRestore } = await import('../restore/prepare.ts');
  const { executeRestore } = await import('../restore/execute.ts');
  const prepared = await prepareRestore(context, {
    target: { snapshot },
    files: true,
    pathspecs: [],
    cwd: context.repository.worktree,
    databases: { names: [], all: true },
    staged: true,
    keepChanges: false,
    keepNew: false,
  });
  const outcome = await executeRestore(context, prepared, { force: true, atOnce: true });
  return { prepared, outcome };
}
