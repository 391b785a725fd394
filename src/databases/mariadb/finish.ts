import { messageOf, PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { type Beside, dropBeside, keepAway, type Plan, swapped, table } from './beside.ts';
import { type Client, errorNumber, isLocked, quoteName, sessionSettings } from './connect.ts';
import {
  collationStatement,
  type Definition,
  definitionKey,
  readDefinitions,
  readTriggers,
  textOfDefinition,
} from './definitions.ts';
import { type Schema, schemaOf, schemaStatement, serverOf, tableText, type Tally } from './script.ts';
import { describeTables, isTable, listTables } from './tables.ts';

/**
 * What comes after the tables were swapped: triggers, routines, views and events as they are to be, and the replaced
 * tables dropped. Every step can be done again, so whoever finds the plan finishes it.
 */
export async function finish(client: Client, beside: Beside, plan: Plan): Promise<void> {
  try {
    await finishAll(client, beside, plan);
  } catch (error) {
    // Connections end and locks are waited for: the next command just goes on.
    if (error instanceof PitrError || errorNumber(error) === 0 || isLocked(error)) throw error;
    throw unfinished(beside, plan, error);
  }
}

async function finishAll(client: Client, beside: Beside, plan: Plan): Promise<void> {
  // First of all: what is made in a database takes its collation over.
  await changeSchema(client, plan);
  await changeTriggers(client, plan);
  crashPoint('after-triggers');
  await moveAway(client, beside, plan);
  for (const statement of plan.afterwards) await runOnce(client, plan.live, statement);
  await changeDefinitions(client, plan);
  crashPoint('after-definitions');
  const changed = await unrecordedRows(client, beside, plan);
  if (changed !== undefined) {
    await keepAway(client, beside);
    throw committedMeanwhile(plan, beside, changed);
  }
  await dropBeside(client, beside);
}

/**
 * As soon as can be, as the new tables have no triggers yet: with both locked, nobody writes past them from here on. Those of
 * the replaced tables have the names, so they go first.
 */
async function changeTriggers(client: Client, plan: Plan): Promise<void> {
  const { live, inTheWay } = plan;
  const present = await readTriggers(client, live);
  const wanted = plan.definitions.filter(({ type }) => type === 'TRIGGER');
  const replaced = new Set(inTheWay.filter(({ view }) => !view).map(({ renamed }) => renamed));
  const same = new Set(present.map(textOfDefinition));
  const outdated = present.filter(
    (trigger) =>
      replaced.has(trigger.table ?? '') ||
      !wanted.some((one) => textOfDefinition(one) === textOfDefinition(trigger)),
  );
  const missing = wanted.filter((trigger) => !same.has(textOfDefinition(trigger)));
  if (outdated.length === 0 && missing.length === 0) return;
  // The collation of a database cannot change while tables are locked.
  const lockable = missing.every(({ collation }) => collation === plan.schema.collation);
  const tables = new Set([...outdated, ...(lockable ? missing : [])].map((trigger) => trigger.table ?? ''));
  const locks = [...tables].map((name) => `${table(live, name)} WRITE`);
  await client.run(`USE ${quoteName(live)}`);
  if (locks.length > 0) await client.run(`LOCK TABLES ${locks.join(', ')}`);
  try {
    for (const { name } of outdated) await client.run(`DROP TRIGGER IF EXISTS ${table(live, name)}`);
    if (!lockable) await client.run('UNLOCK TABLES');
    for (const trigger of missing) await make(client, trigger, '', plan.schema);
  } finally {
    await client.run('UNLOCK TABLES');
  }
}

/** The replaced tables that had triggers join the others. */
async function moveAway(client: Client, { away }: Beside, { live, inTheWay }: Plan): Promise<void> {
  const there = new Set((await listTables(client, live)).map(({ name }) => name));
  for (const { renamed, name, view } of inTheWay.filter((entry) => there.has(entry.renamed)))
    await client.run(
      view
        ? `DROP VIEW ${table(live, renamed)}`
        : `RENAME TABLE ${table(live, renamed)} TO ${table(away, name)}`,
    );
}

/** A foreign key that is to get its name back has it when this is done again. */
async function runOnce(client: Client, live: string, statement: string): Promise<void> {
  await client.run('SET foreign_key_checks = 0');
  await client.run(`USE ${quoteName(live)}`);
  try {
    await client.run(statement);
  } catch (error) {
    const noSuchKey = 1091;
    if (errorNumber(error) !== noSuchKey) throw error;
  }
}

async function changeDefinitions(client: Client, plan: Plan): Promise<void> {
  const { live } = plan;
  const wanted = plan.definitions.filter(({ type }) => type !== 'TRIGGER');
  const { mariadb } = await serverOf(client);
  await client.run(`USE ${quoteName(live)}`);
  const present = await presentOf(client, live);
  const names = new Set(wanted.map(definitionKey));
  // What was made since the old state was compared is in no snapshot: it stays.
  const replaced = new Set(plan.replaced);
  // Views that use what is dropped may stay: they are looked at when they are used.
  for (const one of present.filter(
    (candidate) => !names.has(definitionKey(candidate)) && replaced.has(definitionKey(candidate)),
  ))
    await client.run(`DROP ${one.type} IF EXISTS ${table(live, one.name)}`);
  const same = new Set(present.map(textOfDefinition));
  for (const definition of wanted) {
    if (definition.broken !== undefined || same.has(textOfDefinition(definition))) continue;
    if (mariadb || definition.type === 'VIEW') await make(client, definition, ' OR REPLACE', plan.schema);
    else {
      await client.run(`DROP ${definition.type} IF EXISTS ${table(live, definition.name)}`);
      await make(client, definition, '', plan.schema);
    }
  }
}

async function presentOf(client: Client, live: string): Promise<Definition[]> {
  return (await readDefinitions(client, live, { broken: new Map() })).filter(
    ({ type }) => type !== 'TRIGGER',
  );
}

/** Makes a trigger, routine, view or event in the current database. @param how `' OR REPLACE'` or nothing */
export async function make(
  client: Client,
  { settings, create, collation }: Definition,
  how: string,
  schema: Schema,
): Promise<void> {
  const other = collation !== undefined && collation !== schema.collation;
  try {
    if (other) await client.run(collationStatement(collation));
    for (const statement of settings) await client.run(statement);
    await client.run(create.replace(/^CREATE/, `CREATE${how}`));
  } finally {
    if (other) await client.run(collationStatement(schema.collation));
    for (const statement of sessionSettings) await client.run(statement);
  }
}

async function changeSchema(client: Client, { live, schema }: Plan): Promise<void> {
  const present = await schemaOf(client, live, await serverOf(client));
  const statement = schemaStatement(schema, live);
  const comment = schema.comment === '' && present.comment !== '' ? ` COMMENT ''` : '';
  if (statement !== schemaStatement(present, live)) await client.run(`${statement}${comment}`);
}

/**
 * Between the last look at the old tables and their renaming others may have come first: a matter of microseconds, but
 * what they have committed is nowhere else. Gives the table.
 */
async function unrecordedRows(
  client: Client,
  { away }: Beside,
  { recorded }: Plan,
): Promise<string | undefined> {
  const listed = await listTables(client, away);
  if (listed.length === 0) return undefined;
  const tally: Tally = { rows: {}, hashes: {} };
  for (const one of await describeTables(client, away, listed.filter(isTable))) {
    if (!one.holdsRows || one.name === swapped) continue;
    const hash = recorded[one.name];
    if (hash === undefined) return one.name;
    for await (const _ of tableText({ client, database: away }, one, tally)) {
      // only its hash is wanted
    }
    if (tally.hashes[one.name] !== hash) return one.name;
  }
  return undefined;
}

function unfinished({ build, away }: Beside, { live }: Plan, cause: unknown): PitrError {
  return new PitrError(
    'failed',
    `The tables of the database "${live}" are the restored ones, but what is left to do (triggers, routines, views, events, default values) failed: ${messageOf(cause)}. What was replaced is in the database "${away}".`,
    {
      hints: [
        'Mend what the server says; the next command goes on with it, and records nothing before it is done.',
        `To leave it as it is: DROP DATABASE ${quoteName(away)}; DROP DATABASE IF EXISTS ${quoteName(build)}. What was replaced is in the snapshot that the restore took.`,
      ],
      cause,
    },
  );
}

function committedMeanwhile({ live }: Plan, { away }: Beside, changed: string): PitrError {
  return new PitrError(
    'failed',
    `The database "${live}" was restored, but in the very moment another program had still written to the table "${changed}" of the old one, which no snapshot holds. The old one was kept, as the database "${away}".`,
    {
      hints: [`Take from it what you need, and drop it: DROP DATABASE ${quoteName(away)}`],
    },
  );
}
