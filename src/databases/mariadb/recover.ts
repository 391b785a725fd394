import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { dropBeside, dropIfEmpty, findBeside, readPlan, stateOf, tryLock } from './beside.ts';
import { type Client, withClient } from './connect.ts';
import { finish } from './finish.ts';

/**
 * Deals with what restores have left that were killed, or whose server was: one that had not swapped the tables yet is
 * taken back, one that had is finished. Looks before every capture and restore: a database that is neither the old nor
 * the new one is never recorded. Waits for the swap of a restore that is under way. Errors: `busy`; those of the server.
 */
export async function recover(context: EngineContext, address: Address): Promise<void> {
  await withClient(
    address,
    async (client) => {
      const { database: live } = address;
      if ((await findBeside(client, live)).length === 0) return;
      if (!(await tryLock(client, live, 'restore'))) await waitForSwap(context, client, live);
      // Still locked: another restore is building, and has changed nothing yet.
      if (await tryLock(client, live, 'restore')) await recoverAll(client, live);
    },
    { database: '' },
  );
}

/** The same, for who holds the lock of restores. */
export async function recoverAll(client: Client, live: string): Promise<void> {
  for (const beside of await findBeside(client, live)) {
    const state = await stateOf(client, beside);
    if (state === 'swapped') await finish(client, beside, await readPlan(client, beside));
    else if (state === 'building') await dropBeside(client, beside);
    else await dropIfEmpty(client, beside);
  }
}

async function waitForSwap(context: EngineContext, client: Client, live: string): Promise<void> {
  const seconds = Math.max(1, Math.ceil(context.config.lockTimeout / 1000));
  if (await tryLock(client, live, 'swap', seconds)) return;
  throw new PitrError(
    'busy',
    `The database "${context.database.name}" is being restored by another git-pitr.`,
    { hints: ['Run the command again when that is done.'] },
  );
}
