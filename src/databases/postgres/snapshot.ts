import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PitrError } from '../../errors.ts';
import { currentTime } from '../../system/clock.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { serverOf, sqlName, type Server, type Table, tablesOf } from './catalog.ts';
import { ask, askOne, type Client, connect, disconnect, explain, isLocked, stateOf } from './connect.ts';
import { sessionSettings } from './rowData.ts';
import { DumpFailure } from './tools.ts';

/**
 * One committed state of a database, held still.
 *
 * A snapshot of PostgreSQL is not one of everything: a TRUNCATE, or an ALTER TABLE that writes a table anew, empties
 * the table for transactions that began before (its manual, 13.6), and what pg_dump asks of functions and views is
 * answered from the newest catalogs. So every table is locked *before* the snapshot is taken, in the mode of a reader,
 * which keeps such commands out and nobody else; and at the end functions, views and types must be the same still.
 * When something got in between, it is all done again.
 */
export interface Held {
  client: Client;
  server: Server;
  /** For `pg_dump --snapshot`. */
  exported: string;
  /** `pg_current_snapshot()`: equal texts are equal states, on one server between two starts. */
  snapshot: string;
  encoding: string;
  /** Milliseconds since the epoch. */
  instant: number;
  tables: Table[];
  /** Milliseconds that are left to wait for locks. */
  remaining: () => number;
}

/** Something changed under the work: it is to be done again. */
class Moved extends Error {}

const oldestVersion = 120_000;

/**
 * Runs `work` on one committed state. It may run more than once. Errors: `busy` past `pitr.lockTimeout`; `failed` with
 * the server's reason.
 */
export async function withSnapshot<Result>(
  context: EngineContext,
  address: Address,
  work: (held: Held) => Promise<Result>,
): Promise<Result> {
  const deadline = Date.now() + context.config.lockTimeout;
  const remaining = () => Math.max(1, deadline - Date.now());
  for (let turn = 1; ; turn++) {
    context.signal?.throwIfAborted();
    const client = await connect(address);
    try {
      const held = await hold(client, address, remaining);
      const before = await definitions(client);
      const result = await work(held);
      await client.query('COMMIT');
      await requireSameDefinitions(client, held, before);
      return result;
    } catch (error) {
      if (!isMoved(error)) throw explain(address, error);
      if (Date.now() >= deadline) throw busy(address, error);
    } finally {
      await disconnect(client);
    }
    await sleep(Math.min(20 * turn, 500));
  }
}

async function hold(client: Client, address: Address, remaining: () => number): Promise<Held> {
  const server = await serverOf(client);
  if (server.version < oldestVersion) throw tooOld(address, server);
  const { encoding } = await askOne<{ encoding: string }>(
    client,
    'SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()',
  );
  await client.query(sessionSettings(encoding));
  const expected = await tablesOf(client);
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await lockTables(client, expected, 'ACCESS SHARE', remaining);
  // The first question takes the snapshot.
  const { exported, snapshot } = await askOne<{ exported: string; snapshot: string }>(
    client,
    'SELECT pg_export_snapshot() AS exported, pg_current_snapshot()::text AS snapshot',
  );
  const instant = currentTime();
  const tables = await tablesOf(client);
  const locked = new Set(expected.map(({ oid, schema, name }) => JSON.stringify([oid, schema, name])));
  if (tables.some(({ oid, schema, name }) => !locked.has(JSON.stringify([oid, schema, name]))))
    throw new Moved('tables were made while they were locked');
  return { client, server, exported, snapshot, encoding, instant, tables, remaining };
}

/** Locks tables in a transaction that has taken no snapshot yet. Errors: a lock that was not had in time. */
export async function lockTables(
  client: Client,
  tables: readonly Table[],
  mode: 'ACCESS SHARE' | 'EXCLUSIVE',
  remaining: () => number,
): Promise<void> {
  for (let start = 0; start < tables.length; start += 100) {
    const names = tables.slice(start, start + 100).map((table) => `ONLY ${sqlName(table)}`);
    await client.query(`SET LOCAL lock_timeout = ${Math.ceil(remaining())}`);
    await client.query(`LOCK TABLE ${names.join(', ')} IN ${mode} MODE`);
  }
  await client.query('SET LOCAL lock_timeout = 0');
}

/** What is answered from the newest catalogs, as one text: which rows there are, and which transactions wrote them. */
export async function definitions(client: Client): Promise<string> {
  const temporary = `SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'`;
  const [row] = await ask<{ text: string }>(
    client,
    `SELECT md5(string_agg(x, ',' ORDER BY x)) AS text FROM (
      SELECT 'p' || oid || ':' || xmin FROM pg_proc WHERE pronamespace NOT IN (${temporary})
      UNION ALL SELECT 'r' || oid || ':' || xmin FROM pg_rewrite
        WHERE ev_class NOT IN (SELECT oid FROM pg_class WHERE relpersistence = 't')
      UNION ALL SELECT 't' || oid || ':' || xmin FROM pg_type WHERE typnamespace NOT IN (${temporary})
      UNION ALL SELECT 'c' || oid || ':' || xmin FROM pg_constraint WHERE connamespace NOT IN (${temporary})
      UNION ALL SELECT 'n' || oid || ':' || xmin FROM pg_namespace WHERE oid NOT IN (${temporary})
    ) AS rows(x)`,
  );
  return row?.text ?? '';
}

async function requireSameDefinitions(client: Client, held: Held, before: string): Promise<void> {
  const { snapshot } = await askOne<{ snapshot: string }>(
    client,
    'SELECT pg_current_snapshot()::text AS snapshot',
  );
  if (snapshot === held.snapshot && !held.server.inRecovery) return;
  if ((await definitions(client)) !== before) throw new Moved('definitions changed while they were read');
}

/** True for what ends when it is done again: what was there is gone, changed, or locked. */
function isMoved(error: unknown): boolean {
  if (error instanceof Moved) return true;
  if (error instanceof DumpFailure)
    return /canceling statement due to lock timeout|could not obtain lock|could not open relation|cache lookup failed|does not exist|snapshot/i.test(
      error.message,
    );
  // A table, schema, column or relation that is not there (any more); "could not open relation" is an internal error.
  return isLocked(error) || ['42P01', '3F000', '42703', 'XX000'].includes(stateOf(error));
}

function busy(address: Address, cause: unknown): PitrError {
  return new PitrError(
    'busy',
    `The database "${address.name}" is in use: its tables or definitions were being changed all the time (${messageOf(cause)}).`,
    {
      hints: [
        'Let the migration, or whatever else changes tables, finish, and run the command again.',
        'git config pitr.lockTimeout 2m waits longer.',
      ],
    },
  );
}

function tooOld(address: Address, { versionText }: Server): PitrError {
  return new PitrError(
    'failed',
    `The database "${address.name}" is on PostgreSQL ${versionText}; git-pitr needs 12 or newer.`,
  );
}
