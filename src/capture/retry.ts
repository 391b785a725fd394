import { rmSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure } from '../git/run.ts';
import { shadowIndex, shadowOf } from './context.ts';
import { stateFile } from './state.ts';

/** The first finds what an earlier gc took; the second may meet one that is at work; a third is for the next one. */
const turns = 3;

/**
 * Runs what uses a capture, and runs it again when an object turns out to be missing. A capture that no snapshot came
 * of (a dry run, a diff) leaves objects that nothing refers to: a gc takes them, and the shadow index and its state
 * still name them. They are only caches: the second time everything is read anew.
 */
export async function retryIfLost<Result>(
  repository: Repository,
  work: (isAgain: boolean) => Promise<Result>,
): Promise<Result> {
  for (let turn = 1; ; turn++) {
    try {
      return await work(turn > 1);
    } catch (error) {
      if (turn === turns || !saysLost(error)) throw error;
      const shadow = shadowOf(repository);
      rmSync(shadowIndex(shadow), { force: true });
      rmSync(stateFile(shadow), { force: true });
      rmSync(path.join(repository.lineDir, 'nested'), { recursive: true, force: true });
    }
  }
}

function saysLost(error: unknown): boolean {
  if (error instanceof GitFailure)
    return /not a tree|not a valid object|bad (tree|object)|(unable to|could not) read/i.test(error.stderr);
  return error instanceof PitrError && error.kind === 'integrity';
}
