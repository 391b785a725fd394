import { existsSync } from 'node:fs';
import path from 'node:path';
import { shadowIndex, shadowOf } from '../capture/context.ts';
import { type EarlyScan, startScan } from '../capture/early.ts';
import { readRefs, type RefState } from '../capture/refs.ts';
import { findRepository, guessRepository, type Repository } from '../git/repository.ts';
import { type Lock, tryLock } from '../system/lock.ts';
import { readTip, type Tip } from './tip.ts';

/**
 * A snapshot that begins before git has said where the repository is and how it is configured: on a guess, which is
 * compared before anything is recorded. All it does is read, under the line's lock. It takes 10 ms off every hook.
 */
export interface EarlyStart {
  repository: Repository;
  lock: Lock;
  scan: EarlyScan | undefined;
  tip: Promise<Tip>;
  refs: Promise<RefState>;
  /** What git says of the repository: asked last, for it is needed last. Errors: those of `findRepository`. */
  actual: () => Promise<Repository>;
}

/** Undefined where there was no snapshot yet, the layout is not the ordinary one, or another git-pitr is at work. */
export function startEarly(cwd: string): EarlyStart | undefined {
  const repository = guessRepository(cwd);
  if (repository === undefined || !existsSync(shadowIndex(shadowOf(repository)))) return undefined;
  const lock = tryLock(lockFile(repository), 'snapshot');
  if (lock === undefined) return undefined;
  const scan = startScan(shadowOf(repository));
  const refs = readRefs(repository);
  const tip = readTip(repository, refs);
  for (const reading of [tip, refs]) reading.catch(() => {}); // reported by whoever uses them
  let asked: Promise<Repository> | undefined;
  const actual = () => {
    asked ??= findRepository(cwd);
    asked.catch(() => {});
    return asked;
  };
  return { repository, lock, scan, tip, refs, actual };
}

/** True when the guess was right. Errors: those of `findRepository`. */
export async function wasRight(early: EarlyStart): Promise<boolean> {
  const actual = await early.actual();
  return Object.entries(early.repository).every(([key, value]) => actual[key as keyof Repository] === value);
}

/** The lock of one worktree: capture, record and restore follow each other. */
export function lockFile(repository: Repository): string {
  return path.join(repository.lineDir, 'lock');
}
