import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { differentLines } from '../text/lines.ts';
import { type Address, addressOf } from './address.ts';
import { table as fullName } from './beside.ts';
import { type Client, isLocked, quoteName, quoteText, withClient } from './connect.ts';
import { RecordedCopy, type RecordedTable } from './copies.ts';
import { aliasOf, type ForeignKey, foreignKeys, holds } from './foreignKeys.ts';
import { describe, endSessions, inUse, likelyHolders, sessionsOf } from './holders.ts';
import { literalTexts } from './literals.ts';
import { requireKnown, statementsOf } from './load.ts';
import { recover } from './recover.ts';
import { insertHead } from './rowText.ts';
import { bringBack } from './tableBack.ts';
import { changed, inconsistent, needsMore, oneAfterTheOther, refused } from './tableErrors.ts';
import { contents, liveRows, partOid } from './tableRows.ts';
import { describeTables, listTables, type Table } from './tables.ts';

interface States {
  target: RecordedCopy;
  now: RecordedCopy;
}

/**
 * Single tables brought back in one transaction: the contract is in `../engine.ts`. Only the rows that differ are
 * written; nothing cascades, and foreign keys are looked at before its end. A table that was dropped is built beside
 * the database and moved in whole. The server cannot keep a trigger from firing: where one would, it is refused.
 */
export async function restoreTablesMariadb(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase,
  tables: readonly string[],
): Promise<void> {
  const address = addressOf(context.database);
  await recover(context, address);
  const states: States = {
    target: await RecordedCopy.read(context.repository, target.tree),
    now: await RecordedCopy.read(context.repository, now.tree),
  };
  const asked = new Set(
    tables.filter((name) => states.target.table(name) !== undefined || states.now.table(name) !== undefined),
  );
  if (asked.size === 0) return;
  const dropped = [...asked].filter((name) => states.now.table(name) === undefined);
  if (dropped.length > 0 && dropped.length < asked.size) throw oneAfterTheOther(target.name, dropped);
  if (dropped.length > 0) await bringBack(context, address, states.target, dropped);
  else await changeRows(context, address, states, asked);
}

async function changeRows(
  context: EngineContext,
  address: Address,
  states: States,
  asked: ReadonlySet<string>,
): Promise<void> {
  const { name } = context.database;
  await withClient(address, async (client) => {
    await client.run('SET autocommit = 0');
    await client.run('SET foreign_key_checks = 0');
    const along = new Set(asked);
    // Each round adds the tables without which a foreign key does not hold, until all of them do.
    for (;;) {
      const failing = await tryRows(context, client, address.database, states, [...along]);
      if (failing.length === 0) break;
      await client.run('ROLLBACK');
      await client.run('UNLOCK TABLES');
      const more = failing.filter((one) => !along.has(one));
      if (more.length === 0 || more.some((one) => states.target.table(one) === undefined))
        throw inconsistent(name, failing);
      for (const one of more) along.add(one);
    }
    if (along.size > asked.size) throw needsMore(name, asked, along);
    crashPoint('tables-restored');
    await client.run('COMMIT');
    await client.run('UNLOCK TABLES');
  });
}

/** Does it all but the end of the transaction. Gives the tables between which a foreign key does not hold. */
async function tryRows(
  context: EngineContext,
  client: Client,
  database: string,
  states: States,
  names: readonly string[],
): Promise<string[]> {
  const listed = (await listTables(client, database)).filter(({ name }) => names.includes(name));
  const live = await describeTables(client, database, listed);
  for (const name of names) requirePossible(context.database.name, states, live, name);
  const keys = await foreignKeys(client, database, names);
  await lock(context, client, database, names, keys);
  for (const one of live) await restoreRows(context, client, database, states, one);
  const failing = new Set<string>();
  for (const key of keys)
    if (!(await holds(client, key, { child: database, parent: database })))
      for (const one of [key.child, key.parent]) failing.add(one);
  return [...failing];
}

function requirePossible(database: string, states: States, live: readonly Table[], name: string): void {
  const [was, is] = [states.target.table(name), states.now.table(name)];
  if (was === undefined) throw refused(database, name, 'it did not exist then');
  const table = live.find((one) => one.name === name);
  if (table === undefined || is === undefined) throw changed(database, name);
  if (was.sql !== is.sql) throw refused(database, name, 'it had another definition then');
  if (!table.transactional) throw refused(database, name, `its engine ${table.engine} has no transactions`);
  if (table.versioned)
    throw refused(database, name, 'it keeps its history, which no statement can write in part');
}

async function restoreRows(
  context: EngineContext,
  client: Client,
  database: string,
  { target, now }: States,
  live: Table,
): Promise<void> {
  const { name } = live;
  const [from, to] = [now.table(name), target.table(name)] as [RecordedTable, RecordedTable];
  if ((await liveRows(context, client, database, live)) !== partOid(now, name))
    throw changed(context.database.name, name);
  const work = await statementsFor(context, { target, now }, from, to);
  await requireNoTrigger(context.database.name, client, database, name, work);
  await client.run(`USE ${quoteName(database)}`);
  if (work.all) await client.run(`DELETE FROM ${quoteName(name)}`);
  for (const statement of work.deletes) await client.run(statement);
  for (const statement of work.inserts) await client.run(statement);
  if (work.all && to.part !== undefined)
    for await (const statement of statementsOf(contents(context, target.tree, to.part)))
      if (statement !== 'COMMIT') await client.run(requireKnown(context.database.name, statement));
  if ((await liveRows(context, client, database, live)) !== partOid(target, name))
    throw new PitrError(
      'integrity',
      `The table "${name}" of the database "${context.database.name}" would not be what was recorded. It was not changed.`,
    );
}

interface Statements {
  deletes: string[];
  inserts: string[];
  /** All rows are written anew: there is no key, or a value is put together from pieces. */
  all: boolean;
}

async function statementsFor(
  { repository }: EngineContext,
  { target, now }: States,
  from: RecordedTable,
  to: RecordedTable,
): Promise<Statements> {
  const work: Statements = { deletes: [], inserts: [], all: to.key.length === 0 };
  const head = insertHead({
    name: to.name,
    columns: to.columns.map((column) => ({ ...column, charset: undefined })),
  });
  const [before, after] = [new Set<string>(), new Set<string>()];
  const lines = differentLines(
    repository,
    from.part === undefined ? undefined : { tree: now.tree, part: from.part },
    to.part === undefined ? undefined : { tree: target.tree, part: to.part },
  );
  for await (const { side, line } of lines) {
    const text = line.toString('utf8');
    if (text.startsWith('SET @pitr_')) work.all = true;
    if (!text.startsWith('(')) continue;
    if (text.includes('@pitr_')) work.all = true;
    (side === 'from' ? before : after).add(text.replace(/[,;]$/, ''));
  }
  if (work.all) return { ...work, deletes: [], inserts: [] };
  for (const row of before)
    if (!after.has(row))
      work.deletes.push(`DELETE FROM ${quoteName(to.name)} WHERE ${keyCondition(from, row)}`);
  for (const row of after) if (!before.has(row)) work.inserts.push(`${head}${row}`);
  return work;
}

function keyCondition(table: RecordedTable, row: string): string {
  const values = literalTexts(row);
  return table.key
    .map(
      (name) => `${quoteName(name)} = ${values[table.columns.findIndex((column) => column.name === name)]}`,
    )
    .join(' AND ');
}

async function requireNoTrigger(
  database: string,
  client: Client,
  schema: string,
  name: string,
  { all, deletes, inserts }: Statements,
): Promise<void> {
  const events = [
    ...(all || deletes.length > 0 ? [`'DELETE'`] : []),
    ...(all || inserts.length > 0 ? [`'INSERT'`] : []),
  ];
  if (events.length === 0) return;
  const [trigger] = await client.ask<{ name: string }>(
    `SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = ${quoteText(schema)} AND EVENT_OBJECT_TABLE = ${quoteText(name)}
      AND EVENT_MANIPULATION IN (${events.join(',')}) LIMIT 1`,
  );
  if (trigger !== undefined)
    throw refused(
      database,
      name,
      `its trigger "${trigger.name}" would fire, which this server cannot prevent`,
    );
}

async function lock(
  context: EngineContext,
  client: Client,
  database: string,
  names: readonly string[],
  keys: readonly ForeignKey[],
): Promise<void> {
  const others = new Set(keys.map(({ child }) => child).filter((child) => !names.includes(child)));
  const parents = new Set(keys.map(({ parent }) => parent));
  const locks = [
    ...names.map((name) => `${fullName(database, name)} WRITE`),
    ...[...others].map((name) => `${fullName(database, name)} READ`),
    ...[...parents].map((name) => `${fullName(database, name)} AS ${aliasOf(name)} READ`),
  ];
  try {
    if (context.disconnect === true) await endSessions(client, database, [client.id]);
    await client.run(`SET lock_wait_timeout = ${Math.max(1, Math.ceil(context.config.lockTimeout / 1000))}`);
    await client.run(`LOCK TABLES ${locks.join(', ')}`);
  } catch (error) {
    if (!isLocked(error)) throw error;
    const sessions = likelyHolders(await sessionsOf(client, database));
    throw inUse(context, describe(sessions), sessions);
  }
}
