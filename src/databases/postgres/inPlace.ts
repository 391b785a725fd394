import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { progressOf } from '../../system/progress.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { preData } from '../text/layout.ts';
import { readRecordedText } from '../text/reader.ts';
import { writeText } from '../text/writer.ts';
import type { Address } from './address.ts';
import { copyDatabase, copyLive, partText } from './capture.ts';
import { databaseStatements, sequenceValues, type Table, tablesOf } from './catalog.ts';
import { ask, type Client, isLocked, quoteName, withClient } from './connect.ts';
import { dropStatements } from './drop.ts';
import { largeObjects } from './largeObjects.ts';
import { loadScript } from './load.ts';
import { rememberAlias } from './memory.ts';
import { sessionSettings } from './rowData.ts';
import { findDifferentData, findDifferentObjects } from './same.ts';
import { databasePart, isExcluded, largeObjectPart, scriptParts } from './script.ts';
import { endSessions, holdersOf, inUse } from './sessions.ts';
import { lockTables } from './snapshot.ts';

/**
 * Restores a database where we may not create another one: what it holds is dropped and loaded anew in one transaction,
 * and compared before that ends. Until then its tables can be read and not written, and whoever wants to write waits.
 * Errors: those of `restore` in `../engine.ts`.
 */
export async function restoreInPlace(
  context: EngineContext,
  address: Address,
  target: CapturedDatabase,
  now: CapturedDatabase,
): Promise<void> {
  if (context.database.excludeTable.length > 0) throw excludesRows(target.name);
  await withClient(address, async (client) => {
    await client.query(sessionSettings('UTF8'));
    await client.query('BEGIN');
    await lockAll(context, client, address);
    const wanted = await extensionsOf(context, target);
    // The list is older than the look at what there is: nothing is dropped that was not recorded.
    const drops = await dropStatements(client, wanted);
    if ((await copyLive(context, address)).captured.tree !== now.tree) throw changed(target.name);
    if (!(await sameLargeObjects(context, client, now))) throw changed(target.name);

    progressOf(context.repository)?.begin(`restoring the database ${target.name}`, { bytes: target.bytes });
    await client.query(drops.join(''));
    await load(context, client, target);
    crashPoint('database-built');
    const written = await writtenBy(context, client);
    const difference = await findDifferentData(context.repository, written, target.tree);
    if (difference !== undefined) throw wrong(target.name, difference, 'It was not changed.');
    crashPoint('database-swapping');
    await client.query('COMMIT');
    crashPoint('database-swapped');
  });
  await checkObjects(context, address, target);
}

async function lockAll(context: EngineContext, client: Client, address: Address): Promise<void> {
  const deadline = Date.now() + context.config.lockTimeout;
  if (context.disconnect === true) await endSessions(client, address.database);
  try {
    await lockTables(client, await tablesOf(client), 'EXCLUSIVE', () => Math.max(1, deadline - Date.now()));
  } catch (error) {
    if (!isLocked(error)) throw error;
    throw await withClient(address, async (other) =>
      inUse(context, await holdersOf(other, address.database)),
    );
  }
}

async function extensionsOf(context: EngineContext, target: CapturedDatabase): Promise<Set<string>> {
  const text = (await partText(context.repository, target.tree, preData)).toString('utf8');
  const names = text.matchAll(/^CREATE EXTENSION IF NOT EXISTS ("(?:[^"]|"")+"|\S+)/gm);
  return new Set([...names].map(([, name = '']) => name.replace(/^"|"$/g, '').replaceAll('""', '"')));
}

/** Locks on tables do not keep anybody from writing to large objects. */
async function sameLargeObjects(
  context: EngineContext,
  client: Client,
  now: CapturedDatabase,
): Promise<boolean> {
  const [there, recorded] = [
    await gather(largeObjects(client)),
    await partText(context.repository, now.tree, largeObjectPart),
  ];
  return there.equals(recorded);
}

async function gather(parts: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all);
}

async function load(context: EngineContext, client: Client, target: CapturedDatabase): Promise<void> {
  const present = (await databaseStatements(client)).join('');
  const recorded = (await partText(context.repository, target.tree, databasePart)).toString('utf8');
  const others = await ask<{ name: string }>(
    client,
    `SELECT extname::text AS name FROM pg_extension WHERE NOT pg_has_role(extowner, 'USAGE')`,
  );
  await loadScript(client, target.name, readRecordedText(context.repository, target), {
    // Its owner, settings and grants are as they were: then nobody needs the right to set them.
    skip: (part) => part === databasePart && present === recorded,
    rewrite: (sql) => others.reduce(withoutComment, sql),
    beforePart: async (part) => {
      if (part === databasePart && present !== recorded)
        await client.query(`ALTER DATABASE ${quoteName(client.database ?? '')} RESET ALL`);
    },
  });
}

/** An extension that is somebody else's stays as it is, its comment too. */
function withoutComment(sql: string, { name }: { name: string }): string {
  const start = [`\nCOMMENT ON EXTENSION ${name} IS `, `\nCOMMENT ON EXTENSION ${quoteName(name)} IS `];
  const at = start.map((text) => sql.indexOf(text)).find((index) => index !== -1);
  if (at === undefined) return sql;
  return sql.slice(0, at + 1) + sql.slice(sql.indexOf(';\n', at) + 2);
}

/** What the transaction that is still open has written, as a copy without the schema. */
async function writtenBy(context: EngineContext, client: Client): Promise<string> {
  await client.query(sessionSettings('UTF8'));
  const tables = (await tablesOf(client)).filter(
    (table: Table) => table.holdsRows && !isExcluded(table, context.database.excludeTable),
  );
  const nothing = Buffer.alloc(0);
  const sequences = await sequenceValues(client);
  const source = { client, schema: { before: nothing, after: nothing }, tables, sequences };
  const { tree } = await writeText(context.repository, scriptParts(source, {}), {
    about: { engine: 'postgres' },
  });
  return tree;
}

/** pg_dump sees only what is committed. By now others may have written rows; what the schema consists of is compared. */
async function checkObjects(
  context: EngineContext,
  address: Address,
  target: CapturedDatabase,
): Promise<void> {
  const { captured, schema } = await copyDatabase(context, address);
  const { tree, bytes, sha256 } = target;
  if (captured.tree === tree) return;
  const difference = await findDifferentObjects(context.repository, captured.tree, tree);
  if (difference !== undefined) throw wrong(target.name, difference, '');
  if ((await findDifferentData(context.repository, captured.tree, tree)) === undefined)
    rememberAlias(context, { schema, restored: captured.tree, recorded: { tree, bytes, sha256 } });
}

function wrong(name: string, difference: string, consequence: string): PitrError {
  return new PitrError(
    'integrity',
    `The database "${name}" would not be what was recorded: ${difference} is different. ${consequence}`.trim(),
    { hints: ['A user with CREATEDB who owns the database restores it whole, beside the live one.'] },
  );
}

function changed(name: string): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" changed after its present state was recorded; it was not changed.`,
    { hints: ['Run the command again: it records the new state first.'] },
  );
}

function excludesRows(name: string): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" has tables whose rows are not recorded (excludeTable), and without the right to create databases they would be lost. Nothing was changed.`,
    { hints: ['Let a user with CREATEDB who owns the database restore it: then the present rows stay.'] },
  );
}
