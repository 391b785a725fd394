import { existsSync } from 'node:fs';
import type { EngineContext } from '../engine.ts';
import { deadlineOf, explain, livePath, openDatabase, untilFree } from './open.ts';

/**
 * Takes the lock that a restore needs, and gives it back at once. A restore of files and databases asks first: waiting
 * for a lock with the files already changed would show other programs half a restore, and then take it back.
 */
export async function requireFree(context: EngineContext): Promise<void> {
  const live = livePath(context);
  if (!existsSync(live)) return;
  try {
    await untilFree(context.database.name, deadlineOf(context), async () => {
      const connection = await openDatabase(live, { readonly: false });
      try {
        connection.exec('BEGIN EXCLUSIVE');
        connection.exec('ROLLBACK');
      } finally {
        connection.close();
      }
    });
  } catch (error) {
    throw explain(context.database.name, live, error);
  }
}
