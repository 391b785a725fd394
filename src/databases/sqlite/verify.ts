import { open } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import { findDamage } from './check.ts';
import { copyFrom } from './copy.ts';
import type { Deadline } from './open.ts';
import { type Mark, nextMark, type Watch } from './watch.ts';

export interface Verification {
  /** `moved`: somebody committed after the copy, so what is there now need not be the copy. */
  result: 'right' | 'moved' | 'wrong';
  mark: Mark;
}

/**
 * Reads the live database back, as another connection sees it, and compares it with what was copied into it.
 * @param before the mark from right before the copy
 * @param source the file that was copied
 */
export async function verifyLive(
  context: EngineContext,
  watch: Watch,
  before: Mark,
  source: string,
  deadline: Deadline,
): Promise<Verification> {
  const { file } = await copyFrom(context, watch.connection, 'after.db', deadline);
  // Taken after the copy: one commit since `before`, ours, means that the copy was of ours.
  const mark = watch.mark();
  if (await sameContent(file, source)) return { result: 'right', mark };
  if (nextMark(before, mark)) return { result: 'wrong', mark };
  const damage = await findDamage(file);
  if (damage === undefined) return { result: 'moved', mark };
  throw new PitrError(
    'integrity',
    `The database "${context.database.name}" is damaged after the restore, and others have written to it since: ${damage}`,
    {
      hints: ['git pitr undo brings back the state from before the restore.'],
    },
  );
}

async function sameContent(a: string, b: string): Promise<boolean> {
  const handles = [await open(a, 'r'), await open(b, 'r')] as const;
  try {
    const size = 1024 * 1024;
    const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)] as const;
    for (;;) {
      const first = await handles[0].read(buffers[0], 0, size);
      const second = await handles[1].read(buffers[1], 0, size);
      if (first.bytesRead !== second.bytesRead) return false;
      if (first.bytesRead === 0) return true;
      if (!buffers[0].subarray(0, first.bytesRead).equals(buffers[1].subarray(0, second.bytesRead)))
        return false;
    }
  } finally {
    await handles[0].close();
    await handles[1].close();
  }
}
