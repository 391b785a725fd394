import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { table } from './beside.ts';
import { isLocked, withClient } from './connect.ts';
import { describe, inUse, likelyHolders, sessionsOf } from './holders.ts';
import { isTable, listTables } from './tables.ts';

/**
 * Waits until all tables could be locked, and lets them go again. In turns that do not wait themselves: while a lock is
 * waited for, nobody else gets the table. Error: `busy`, naming who may hold them.
 */
export async function lockForAMoment(context: EngineContext, address: Address): Promise<void> {
  const deadline = Date.now() + context.config.lockTimeout;
  try {
    await withClient(address, async (client) => {
      for (let turn = 1; ; turn++) {
        context.signal?.throwIfAborted();
        const tables = (await listTables(client, address.database)).filter(isTable);
        if (tables.length === 0) return;
        try {
          await client.run(`SET lock_wait_timeout = ${turn === 1 ? 0 : 1}`);
          await client.run(
            `LOCK TABLES ${tables.map(({ name }) => `${table(address.database, name)} WRITE`).join(', ')}`,
          );
          return;
        } catch (error) {
          if (!isLocked(error)) throw error;
          if (Date.now() >= deadline) {
            const sessions = likelyHolders(await sessionsOf(client, address.database));
            throw inUse(context, describe(sessions), sessions);
          }
        }
        await sleep(Math.min(20 * turn, 250));
      }
    });
  } catch (error) {
    if (error instanceof PitrError && error.details['missing'] === true) return;
    throw error;
  }
}
