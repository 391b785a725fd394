import { rmSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure } from '../git/run.ts';
import { shadowIndex, shadowOf } from './context.ts';
import { stateFile } from './state.ts';

/**
 * Runs what uses a capture, and runs it again, once, when an object turns out to be missing. A capture that no snapshot
 * came of (a dry run, a diff) leaves objects that nothing refers to: a gc takes them, and the shadow index and its
 * state still name them. They are only caches: the second time everything is read anew.
 */
export async function retryIfLost<Result>(
  repository: Repository,
  work: (isSecond: boolean) => Promise<Result>,
): Promise<Result> {
  try {
    return await work(false);
  } catch (error) {
    if (!saysLost(error)) throw error;
    const shadow = shadowOf(repository);
    rmSync(shadowIndex(shadow), { force: true });
    rmSync(stateFile(shadow), { force: true });
    rmSync(path.join(repository.lineDir, 'nested'), { recursive: true, force: true });
    return work(true);
  }
}

function saysLost(error: unknown): boolean {
  if (error instanceof GitFailure)
    return /not a tree|not a valid object|bad (tree|object)|(unable to|could not) read/i.test(error.stderr);
  return error instanceof PitrError && error.kind === 'integrity';
}
