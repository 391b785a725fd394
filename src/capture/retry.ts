import { rmSync } from 'node:fs';
import path from 'node:path';
import { gcEnd, gcRuns, gcStamp, saysLost } from '../git/gc.ts';
import type { Repository } from '../git/repository.ts';
import { shadowIndex, shadowOf } from './context.ts';
import { stateFile } from './state.ts';

/** Beside a gc that is at work one more try may meet it again; without one, what is missing stays missing. */
const turns = { beside: 10, alone: 2 };

/**
 * Runs what uses a capture, and runs it again when an object turns out to be missing. A capture that no snapshot came
 * of (a dry run, a diff) leaves objects that nothing refers to: a gc takes them, and the shadow index and its state
 * still name them. They are only caches: the second time everything is read anew. A `git gc --prune=now` at the same
 * time takes what is just being written too, so its end is waited for.
 */
export async function retryIfLost<Result>(
  repository: Repository,
  work: (isAgain: boolean) => Promise<Result>,
): Promise<Result> {
  for (let turn = 1; ; turn++) {
    const packs = gcStamp(repository);
    try {
      return await work(turn > 1);
    } catch (error) {
      const beside = gcRuns(repository) || gcStamp(repository) !== packs;
      if (!saysLost(error) || turn >= (beside ? turns.beside : turns.alone)) throw error;
      await gcEnd(repository, 5000);
      const shadow = shadowOf(repository);
      rmSync(shadowIndex(shadow), { force: true });
      rmSync(stateFile(shadow), { force: true });
      rmSync(path.join(repository.lineDir, 'nested'), { recursive: true, force: true });
    }
  }
}
