import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import type { EngineContext } from '../engine.ts';
import { ask, askOne, type Client, quoteName, stateOf } from './connect.ts';
import { inUse, sessionsOf, waitUntilAlone } from './sessions.ts';

/**
 * Puts one database in the place of another, in one transaction: whoever connects gets the old one or the new one.
 *
 * What is to be replaced must be what was recorded. That can only be read through connections, and a database that
 * is to be renamed has none; so somebody could come, commit, and leave in between. While the rename is not committed
 * its lock keeps everybody out, and then one of two proofs must hold, else it is rolled back and looked at again:
 * - no transaction number was given out on the whole server since the state was read, and none was in use then;
 * - or, from PostgreSQL 15 on (before, these counts could get lost): nobody but us has connected to the database since
 *   it was last seen empty, and no row was written in it.
 */
export interface Swap {
  live: string;
  /** What takes its place. */
  build: string;
  /** What the live one is called afterwards. */
  away: string;
  version: number;
  /**
   * Looks whether the live database is what was recorded. Error: `refused` when it is not.
   * Gives the snapshot it looked at, and how many connections that took.
   */
  check: () => Promise<{ snapshot: string; connections: number }>;
}

/** Errors: `busy` past the deadline, naming who is connected; `refused` from the check. Nothing was changed then. */
export async function swapDatabases(
  context: EngineContext,
  maintenance: Client,
  swap: Swap,
  deadline: number,
): Promise<void> {
  for (let turn = 1; ; turn++) {
    await waitUntilAlone(context, maintenance, swap.live, deadline);
    const before = await countsOf(maintenance, swap);
    // Whoever was counted before must be gone, or what they do next is counted nowhere.
    if ((await sessionsOf(maintenance, swap.live)).length === 0) {
      const seen = await swap.check();
      if (await tryToSwap(context, maintenance, swap, before, seen)) return;
    }
    if (Date.now() >= deadline && turn > 1) throw inUse(context, await sessionsOf(maintenance, swap.live));
    await sleep(Math.min(20 * turn, 200));
  }
}

async function tryToSwap(
  context: EngineContext,
  maintenance: Client,
  swap: Swap,
  before: Counts | undefined,
  seen: { snapshot: string; connections: number },
): Promise<boolean> {
  const [live, build, away] = [swap.live, swap.build, swap.away].map(quoteName);
  await maintenance.query('BEGIN');
  try {
    await maintenance.query(`ALTER DATABASE ${live} RENAME TO ${away}`);
    if (!(await nothingSince(maintenance, swap, before, seen))) {
      await maintenance.query('ROLLBACK');
      return false;
    }
    await maintenance.query(`ALTER DATABASE ${build} RENAME TO ${live}`);
    await maintenance.query(
      `COMMENT ON DATABASE ${away} IS 'git-pitr: replaced by a restore; it may be dropped'`,
    );
    crashPoint('database-swapping');
    await maintenance.query('COMMIT');
    crashPoint('database-swapped');
    return true;
  } catch (error) {
    await maintenance.query('ROLLBACK').catch(() => {});
    // "is being accessed by other users": somebody came back in the meantime, or holds a prepared transaction.
    if (stateOf(error) !== '55006') throw error;
    if (/prepared transaction/.test(String((error as { detail?: string }).detail)))
      throw new PitrError(
        'busy',
        `The database "${context.database.name}" holds prepared transactions; it was not changed.`,
        {
          hints: [
            'SELECT gid FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK PREPARED each of them.',
          ],
        },
      );
    return false;
  }
}

/** What a database's statistics count; texts, as they are bigint. */
interface Counts {
  sessions: string;
  rows: string;
  reset: string;
}

async function countsOf(maintenance: Client, { live, version, away }: Swap): Promise<Counts | undefined> {
  if (version < 150_000) return undefined;
  const [counts] = await ask<Counts & Record<string, unknown>>(
    maintenance,
    `SELECT s.sessions::text, (s.tup_inserted + s.tup_updated + s.tup_deleted)::text AS rows,
      coalesce(s.stats_reset::text, '') AS reset
    FROM pg_stat_database s JOIN pg_database d ON d.oid = s.datid WHERE d.datname IN ($1, $2)`,
    [live, away],
  );
  return counts;
}

async function nothingSince(
  maintenance: Client,
  swap: Swap,
  before: Counts | undefined,
  { snapshot, connections }: { snapshot: string; connections: number },
): Promise<boolean> {
  const { own } = await askOne<{ own: string }>(maintenance, 'SELECT pg_current_xact_id()::text AS own');
  const [, next, running] = snapshot.split(':');
  if (running === '' && next === own) return true;
  const after = await countsOf(maintenance, swap);
  if (before === undefined || after === undefined) return false;
  return (
    BigInt(after.sessions) === BigInt(before.sessions) + BigInt(connections) &&
    after.rows === before.rows &&
    after.reset === before.reset
  );
}
