import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PitrError } from '../../errors.ts';
import { currentTime } from '../../system/clock.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { Client, connect, errorNumber, explain, isLocked, quoteName } from './connect.ts';
import { type Definition, readDefinitions, textOfDefinition } from './definitions.ts';
import { describeHolders } from './holders.ts';
import { Listing } from './listing.ts';
import { fitsPattern, schemaOf, serverOf, type Source } from './script.ts';
import { describeTables, isTable, isTransactional, type Listed, Moved, rowsAreElsewhere } from './tables.ts';

/**
 * One committed state of a database, definitions included.
 *
 * A consistent snapshot of InnoDB does not hold definitions: `ALTER`, `TRUNCATE` and `RENAME` in another session break
 * it. So the order is: first the metadata locks of all tables, by queries that read no row (and so take no snapshot yet);
 * while this transaction lasts, nobody changes, empties, drops or renames them, or their triggers. Then the snapshot,
 * which the first row that is read takes. What has no such lock (routines, views, events, and which tables there are) is
 * read before and after it, and must be the same (`listing.ts`). Tables without transactions are locked for writing until they are read.
 */
export interface Held extends Source {
  /** Milliseconds since the epoch. */
  instant: number;
  listing: Listing;
}

/**
 * Runs `work` on one committed state. It may run more than once.
 * @param known names of tables that may be there
 * Errors: `busy` past `pitr.lockTimeout`; `failed` with
 * the server's reason.
 */
export async function withSnapshot<Result>(
  context: EngineContext,
  address: Address,
  known: readonly string[],
  work: (held: Held) => Promise<Result>,
): Promise<Result> {
  const deadline = Date.now() + context.config.lockTimeout;
  for (let turn = 1; ; turn++) {
    context.signal?.throwIfAborted();
    const opened: Client[] = [];
    const open = async () => {
      const client = await connect(address);
      opened.push(client);
      return client;
    };
    try {
      const held = await hold(context, address, open, deadline, known);
      const result = await work(held);
      await requireTransaction(held.client);
      await held.client.run('COMMIT');
      await held.listing.requireSame();
      for (const client of opened.splice(0)) await client.close();
      return result;
    } catch (error) {
      for (const client of opened.splice(0)) await client.destroy();
      if (!isMoved(error)) throw explain(address, error);
      if (Date.now() >= deadline) throw await busy(address, error);
    }
    await sleep(Math.min(20 * turn, 500));
  }
}

async function hold(
  context: EngineContext,
  address: Address,
  open: () => Promise<Client>,
  deadline: number,
  known: readonly string[],
): Promise<Held> {
  const { database } = address;
  const { excludeTable } = context.database;
  const client = await open();
  const server = await serverOf(client);
  const wait = `SET lock_wait_timeout = ${Math.max(1, Math.ceil((deadline - Date.now()) / 1000))}`;
  await client.run(wait);
  const listing = await Listing.take(client, database, known);
  const { listed } = listing;
  requireReadable(listed);
  await lockOthers(listed, database, wait, open);
  await client.run('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  await client.run('START TRANSACTION READ ONLY');
  await touch(client, database, listed);
  const tables = await describeTables(client, database, listed);
  const before = await stateOf(client, database);
  const instant = currentTime();
  await takeSnapshot(client, database, listed);
  const { definitions, text } = await stateOf(client, database);
  if (text !== before.text) throw new Moved('definitions changed while they were read');
  await listing.requireSame();
  await listing.requireNoDdl();
  const about = await schemaOf(client, database, server);
  const excluded = (name: string) => fitsPattern(name, excludeTable);
  return { client, database, server, about, tables, definitions, excluded, instant, listing };
}

async function stateOf(
  client: Client,
  database: string,
): Promise<{ definitions: Definition[]; text: string }> {
  const definitions = await readDefinitions(client, database);
  return { definitions, text: definitions.map(textOfDefinition).join('\n') };
}

/** A table that is being changed has no engine to tell, and one that is damaged neither. */
function requireReadable(listed: readonly Listed[]): void {
  const odd = listed.find((entry) => isTable(entry) && entry.engine === '');
  if (odd !== undefined) throw new Moved(`the table "${odd.name}" is locked or cannot be opened`);
}

/** Keeps others from writing to tables that no transaction covers; lasts as long as the connection that does it. */
async function lockOthers(
  listed: readonly Listed[],
  database: string,
  wait: string,
  open: () => Promise<Client>,
): Promise<void> {
  const others = listed.filter(
    (entry) => isTable(entry) && !isTransactional(entry) && !rowsAreElsewhere(entry),
  );
  if (others.length === 0) return;
  const client = await open();
  await client.run(wait);
  const names = others.map(({ name }) => `${quoteName(database)}.${quoteName(name)} READ`);
  await client.run(`LOCK TABLES ${names.join(', ')}`);
}

/** Opens each table, which takes its metadata lock for the transaction; reads nothing. */
async function touch(client: Client, database: string, listed: readonly Listed[]): Promise<void> {
  const names = listed
    .filter((entry) => isTable(entry) && !rowsAreElsewhere(entry))
    .map(({ name }) => `(SELECT 1 FROM ${quoteName(database)}.${quoteName(name)} WHERE FALSE)`);
  for (let start = 0; start < names.length; start += 50)
    await client.run(names.slice(start, start + 50).join(' UNION ALL '));
}

async function takeSnapshot(client: Client, database: string, listed: readonly Listed[]): Promise<void> {
  const first = listed.find((entry) => isTable(entry) && isTransactional(entry) && entry.type !== 'SEQUENCE');
  if (first !== undefined)
    await client.run(`SELECT 1 FROM ${quoteName(database)}.${quoteName(first.name)} LIMIT 1`);
}

/** The server may have ended it, say for a deadlock, in a query whose errors it keeps to itself. */
async function requireTransaction(client: Client): Promise<void> {
  if (!(await client.inTransaction())) throw new Moved('the server ended the transaction');
}

/** True for what ends when it is done again: what was there is gone, changed, or locked. */
function isMoved(error: unknown): boolean {
  // No such table, column, trigger, routine, view or event (any more); a definition that changed after the snapshot.
  const gone = [1146, 1054, 1360, 1305, 1347, 1539, 1412, 1684, 1965];
  return error instanceof Moved || isLocked(error) || gone.includes(errorNumber(error));
}

async function busy(address: Address, cause: unknown): Promise<PitrError> {
  const who = await describeHolders(address);
  return new PitrError(
    'busy',
    `The database "${address.name}" is in use${who === '' ? '' : ` by ${who}`}: its tables or definitions were locked, or being changed (${messageOf(cause)}).`,
    {
      hints: [
        'Let the migration, or whatever else locks or changes tables, finish, and run the command again.',
        'git config pitr.lockTimeout 2m waits longer.',
      ],
    },
  );
}
