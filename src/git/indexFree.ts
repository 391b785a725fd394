import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../errors.ts';
import type { Repository } from './repository.ts';

/**
 * Waits until no git keeps the user's index. Asked before a restore that brings the index too changes any file: to
 * find out afterwards, with a lock that a killed git has left, would leave it neither to be finished nor taken back.
 * Error: `busy` past `timeout` milliseconds.
 */
export async function requireIndexFree(repository: Repository, timeout: number): Promise<void> {
  const lock = path.join(repository.gitDir, 'index.lock');
  for (const deadline = Date.now() + timeout; existsSync(lock); await sleep(20)) {
    if (Date.now() < deadline) continue;
    throw new PitrError(
      'busy',
      `Another git is at work on the index: ${lock} is there. Nothing was changed.`,
      {
        hints: [
          'Wait for it and run the command again.',
          'If no git runs here, one was killed; then remove that file.',
          'Without --staged the index is left alone.',
        ],
      },
    );
  }
}
