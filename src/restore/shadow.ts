import { existsSync } from 'node:fs';
import path from 'node:path';
import { worktreeContext } from '../capture/capture.ts';
import { prepareShadow } from '../capture/context.ts';
import { lockLine } from '../timeline/take.ts';
import type { Context } from './request.ts';

/**
 * Makes sure that the shadow git directory is there, for git commands that run in it without a capture before them: a
 * restore may be the first command in a repository (`--source history`, or a timeline that was fetched).
 */
export async function requireShadow({ repository, config }: Context): Promise<void> {
  const capture = worktreeContext(repository, config);
  if (existsSync(path.join(capture.shadowDir, 'HEAD'))) return;
  const lock = await lockLine(repository, config, 'restore');
  try {
    prepareShadow(capture);
  } finally {
    lock.release();
  }
}
