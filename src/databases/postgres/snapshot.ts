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
  /** Milliseconds that pg_dump may wait for a table. */
  lockTimeout: number;
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
      // Who waits to change a table that we have locked stands in pg_dump's way, and we in theirs.
      const held = await hold(client, address, remaining, Math.min(250 * turn, 2000, remaining()));
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

async function hold(
  client: Client,
  address: Address,
  remaining: () => number,
  lockTimeout: number,
): Promise<Held> {
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
  const locked = new Set(expected.map(({ oid }) => oid));
  const made = tables.filter(({ oid }) => !locked.has(oid));
  if (made.length > 0) await lockLate(client, made, remaining);
  return { client, server, exported, snapshot, encoding, instant, tables, lockTimeout };
}

/**
 * Locks tables that were made while the others were locked. Error: `Moved` when one was emptied or written anew between
 * the snapshot and the lock: then it is in another file than the snapshot says.
 */
async function lockLate(client: Client, tables: readonly Table[], remaining: () => number): Promise<void> {
  await lockTables(client, tables, 'ACCESS SHARE', remaining);
  const { moved } = await askOne<{ moved: number }>(
    client,
    `SELECT count(*)::int AS moved FROM pg_class
    WHERE oid = ANY ($1::oid[]) AND relkind = 'r' AND relfilenode IS DISTINCT FROM pg_relation_filenode(oid)`,
    [tables.map(({ oid }) => oid)],
  );
  if (moved > 0) throw new Moved('tables changed while they were locked');
}

/** Locks tables. Error: that of a lock that was not had in time (`isLocked`). */
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

/**
 * What is answered from the newest catalogs: the functions, views, types, constraints and schemas, each with the
 * transaction that wrote it last. Those that come with the server are left out (its manual, 24.1: below 16384).
 */
async function definitions(client: Client): Promise<Set<string>> {
  const rows = await ask<{ row: string }>(
    client,
    `SELECT 'p' || oid || ' ' || xmin AS row FROM pg_proc WHERE oid >= 16384
      UNION ALL SELECT 'r' || oid || ' ' || xmin FROM pg_rewrite WHERE oid >= 16384
      UNION ALL SELECT 't' || oid || ' ' || xmin FROM pg_type WHERE oid >= 16384
        AND typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')
      UNION ALL SELECT 'c' || oid || ' ' || xmin FROM pg_constraint WHERE oid >= 16384
      UNION ALL SELECT 'n' || oid || ' ' || xmin FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'`,
  );
  return new Set(rows.map(({ row }) => row));
}

/** What was made meanwhile does not matter: the snapshot does not see it, so nobody asked about it. */
async function requireSameDefinitions(client: Client, held: Held, before: Set<string>): Promise<void> {
  const { snapshot } = await askOne<{ snapshot: string }>(
    client,
    'SELECT pg_current_snapshot()::text AS snapshot',
  );
  if (snapshot === held.snapshot && !held.server.inRecovery) return;
  const after = await definitions(client);
  for (const row of before) if (!after.has(row)) throw new Moved('definitions changed while they were read');
}

/** True for what ends when it is done again: what was there is gone, changed, or locked. */
function isMoved(error: unknown): boolean {
  if (error instanceof Moved) return true;
  if (error instanceof DumpFailure)
    return /canceling statement due to (lock|statement) timeout|could not obtain lock|could not open relation|cache lookup failed|does not exist|snapshot/i.test(
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
