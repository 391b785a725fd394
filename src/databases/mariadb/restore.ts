import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { progressOf } from '../../system/progress.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { readRecordedText } from '../text/reader.ts';
import { type Address, addressOf, describeAddress } from './address.ts';
import {
  type Beside,
  dropBeside,
  makeBeside,
  newBeside,
  renamePlan,
  table,
  tryLock,
  unlock,
  writePlan,
} from './beside.ts';
import { copyDatabase } from './capture.ts';
import { type Client, explain, isForbidden, quoteName, quoteText, withClient } from './connect.ts';
import { type Definition, readDefinitions, readTriggers } from './definitions.ts';
import { finish } from './finish.ts';
import { loadScript } from './load.ts';
import { recover, recoverAll } from './recover.ts';
import { recordedDefinitions } from './recorded.ts';
import { findDifference } from './same.ts';
import { eventPart, schemaOf, type Server, serverOf } from './script.ts';
import { swapTables, takeOutDefaults } from './swap.ts';
import { describeTables, listTables } from './tables.ts';
import { lockForAMoment } from './free.ts';

/** Looks whether a restore could begin: the contract is in `../engine.ts`. */
export async function requireFreeMariadb(context: EngineContext): Promise<void> {
  const address = addressOf(context.database);
  await recover(context, address);
  if (context.disconnect === true) return;
  await lockForAMoment(context, address);
}

/** Whether there is a database: the contract is in `../engine.ts`. */
export function isThereMariadb({ database }: EngineContext): Promise<boolean> {
  const address = addressOf(database);
  return withClient(address, (client) => exists(client, address.database), { database: '' });
}

/**
 * Brings a live database back to a recorded state: the contract is in `../engine.ts`. It is built beside the live one
 * and checked; then the tables change places in one statement, and what else the database holds follows.
 */
export async function restoreMariadb(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase | undefined,
): Promise<void> {
  const address = addressOf(context.database);
  await withClient(
    address,
    async (client) => {
      const { database: live } = address;
      const seconds = Math.max(1, Math.ceil(context.config.lockTimeout / 1000));
      if (!(await tryLock(client, live, 'restore', seconds))) throw restoredByAnother(target.name);
      await recoverAll(client, live);
      requireAtomicRename(target.name, await serverOf(client));
      const there = await exists(client, live);
      if (!there && now !== undefined) throw vanished(target.name, address);
      if (there && now === undefined) throw unrecorded(target.name, address);
      if (there) await requireNoForeignKeys(client, target.name, live);
      await replace(context, address, client, { target, now });
    },
    { database: '' },
  );
}

/** Older servers rename one table after the other: killed in between, a database would be neither the old nor the new one. */
export function requireAtomicRename(name: string, { version, mariadb }: Server): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (mariadb ? major > 10 || (major === 10 && minor >= 6) : major >= 8) return;
  throw new PitrError(
    'refused',
    `The server of the database "${name}" (${mariadb ? 'MariaDB' : 'MySQL'} ${version}) does not swap tables as a whole, so a restore could be stopped half way; nothing was changed.`,
    {
      hints: [
        'MariaDB can from 10.6 on, MySQL from 8.0 on.',
        `git pitr restore --into <folder> --db ${name} writes the SQL, to load by hand.`,
      ],
    },
  );
}

interface Work {
  target: CapturedDatabase;
  now: CapturedDatabase | undefined;
}

async function replace(
  context: EngineContext,
  address: Address,
  client: Client,
  { target, now }: Work,
): Promise<void> {
  const { database: live } = address;
  const beside = newBeside(live);
  crashPoint('before-build');
  try {
    await makeBeside(client, beside);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    throw cannotCreate(address, error);
  }
  let swapped = false;
  try {
    const definitions = await build(context, address, client, beside, target);
    crashPoint('after-build');
    const deadline = Date.now() + context.config.lockTimeout;
    if (!(await tryLock(client, live, 'swap', Math.ceil(context.config.lockTimeout / 1000))))
      throw restoredByAnother(target.name);
    const plan =
      now === undefined
        ? await putInPlace(client, live, beside, definitions)
        : await swapTables(context, address, client, { beside, definitions, target, now, deadline });
    swapped = true;
    await finish(client, beside, plan);
    await unlock(client, live, 'swap');
  } catch (error) {
    // Once the tables are swapped there is only the way forward; the next command goes it (`recover.ts`).
    if (!swapped) await dropBeside(client, beside).catch(() => {});
    throw error;
  }
}

/** Builds and checks. Gives what the live database is to hold beside the tables. */
async function build(
  context: EngineContext,
  address: Address,
  client: Client,
  beside: Beside,
  target: CapturedDatabase,
): Promise<Definition[]> {
  progressOf(context.repository)?.begin(`restoring the database ${target.name}`, { bytes: target.bytes });
  const there: Address = { ...address, database: beside.build };
  await withClient(there, async (loader) => {
    await loader.run('SET max_statement_time = 0').catch(() => {}); // MySQL has none
    await loadScript(
      loader,
      target.name,
      readRecordedText(context.repository, target),
      (part) => part === eventPart,
    );
    await loader.run('COMMIT');
  });
  progressOf(context.repository)?.begin(`checking the database ${target.name}`);
  const captured = await copyDatabase({ ...context, database: { ...context.database } }, there);
  const { version } = await serverOf(client);
  const sameServer = majorOf(version) === majorOf(target.version ?? '');
  const difference = await findDifference(context.repository, captured.tree, target.tree, sameServer);
  if (difference !== undefined) throw wrong(target.name, difference);
  const { collation } = await schemaOf(client, beside.build, await serverOf(client));
  const definitions = [
    ...(await readDefinitions(client, beside.build)),
    // Never made in a database that is only being built: they might run there.
    ...(await recordedDefinitions(context.repository, target, eventPart, collation)),
  ];
  for (const { name } of await readTriggers(client, beside.build))
    await client.run(`DROP TRIGGER ${table(beside.build, name)}`);
  return definitions;
}

/** Where there is no database: makes it, and moves everything in at once. */
async function putInPlace(client: Client, live: string, beside: Beside, definitions: Definition[]) {
  const schema = await schemaOf(client, beside.build, await serverOf(client));
  const tables = await describeTables(client, beside.build, await listTables(client, beside.build));
  const afterwards = await takeOutDefaults(client, live, beside);
  const plan = { live, inTheWay: [], definitions, schema, afterwards, recorded: {}, replaced: [] };
  await writePlan(client, beside, plan);
  await client.run(`CREATE DATABASE ${quoteName(live)}`);
  await client.run('SET foreign_key_checks = 0');
  const moves = tables.map(({ name }) => `${table(beside.build, name)} TO ${table(live, name)}`);
  await client.run(`RENAME TABLE ${[...moves, renamePlan(beside)].join(', ')}`);
  return plan;
}

async function exists(client: Client, database: string): Promise<boolean> {
  const rows = await client.ask(
    `SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(database)}`,
  );
  return rows.length > 0;
}

/** Foreign keys of other databases would follow the tables that are replaced. */
async function requireNoForeignKeys(client: Client, name: string, live: string): Promise<void> {
  const [link] = await client.ask<{ tab: string; db: string; parent: string }>(
    `SELECT TABLE_SCHEMA AS db, TABLE_NAME AS tab, REFERENCED_TABLE_NAME AS parent
    FROM information_schema.KEY_COLUMN_USAGE
    WHERE REFERENCED_TABLE_SCHEMA = ${quoteText(live)} AND TABLE_SCHEMA <> ${quoteText(live)} LIMIT 1`,
  );
  if (link === undefined) return;
  throw new PitrError(
    'refused',
    `A foreign key of another database leads into the database "${name}" (${link.db}.${link.tab} to ${link.parent}), and would not survive its restore; nothing was changed.`,
    { hints: ['Drop that foreign key first, and make it again afterwards.'] },
  );
}

function majorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function wrong(name: string, difference: string): PitrError {
  return new PitrError(
    'integrity',
    `The database "${name}" would not be what was recorded: ${difference} is different. It was not changed.`,
    {
      hints: [
        'The server may lack something that it had then: compare its version and its settings.',
        `git pitr restore --into <folder> --db ${name} writes the SQL, to look at or to load by hand.`,
      ],
    },
  );
}

function cannotCreate(address: Address, error: unknown): PitrError {
  const pattern = address.database.replace(/[_%]/g, '\\$&');
  return new PitrError(
    'refused',
    `The database "${address.name}" is restored by building it beside the live one, and this user may not create databases (${(explain(address, error) as Error).message}) Nothing was changed.`,
    {
      hints: [
        `Let an administrator allow just that: GRANT ALL PRIVILEGES ON \`${pattern}\\_pitr\\_%\`.* TO ${quoteText(address.user)}@…`,
        `git pitr restore --into <folder> --db ${address.name} writes the SQL, to load by hand.`,
      ],
    },
  );
}

function restoredByAnother(name: string): PitrError {
  return new PitrError(
    'busy',
    `The database "${name}" is being restored by another git-pitr; it was not changed.`,
    {
      hints: ['Run the command again when that is done.'],
    },
  );
}

function vanished(name: string, address: Address): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" (${describeAddress(address)}) is gone since it was recorded. Nothing was changed.`,
    { hints: ['Run the command again: it looks at the new situation.'] },
  );
}

function unrecorded(name: string, address: Address): PitrError {
  return new PitrError(
    'refused',
    `There is a database "${name}" (${describeAddress(address)}) that was not recorded: it would be lost. Nothing was changed.`,
    { hints: ['Run the command again: it records it first.'] },
  );
}
