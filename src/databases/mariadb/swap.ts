import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { type Beside, type Plan, renamePlan, table, writePlan } from './beside.ts';
import { writeCopy } from './capture.ts';
import { type Client, connect, isLocked, quoteName, quoteText } from './connect.ts';
import { brokenViews, type Definition, definitionKey, readDefinitions, readTriggers } from './definitions.ts';
import { describe, endSessions, inUse, likelyHolders, sessionsOf } from './holders.ts';
import { fitsPattern, schemaOf, serverOf, type Source } from './script.ts';
import { describeTables, isTable, type Listed, listTables, type Table } from './tables.ts';

/**
 * Puts the tables of one database in the place of those of another, in one RENAME statement: it happens as a whole or
 * not at all, whoever is killed (https://mariadb.com/kb/en/atomic-ddl/, from 10.6 on; MySQL from 8.0 on).
 *
 * What is replaced must be what was recorded. So the live tables are first locked, read and compared; while they are
 * locked, the RENAME is begun, which waits for them; then they are unlocked. In that moment another program that waits
 * as well can come first with a table: what was replaced is therefore read once more afterwards (`finish.ts`).
 */
export interface Swap {
  beside: Beside;
  /** What the live database is to hold beside its tables. */
  definitions: readonly Definition[];
  target: CapturedDatabase;
  now: CapturedDatabase;
  deadline: number;
}

/**
 * Gives what is left to do. Errors: `busy` past the deadline, naming who holds the tables; `refused` when the database
 * is not what was recorded. Nothing was changed then.
 */
export async function swapTables(
  context: EngineContext,
  address: Address,
  client: Client,
  swap: Swap,
): Promise<Plan> {
  const afterwards = [
    ...(await takeOutDefaults(client, address.database, swap.beside)),
    ...(await renameConstraints(client, address.database, swap.beside)),
  ];
  for (let turn = 1; ; turn++) {
    const plan = await tryToSwap(context, address, client, { ...swap, afterwards });
    if (plan !== undefined) return plan;
    if (Date.now() >= swap.deadline) throw await busyNow(context, address, client, []);
    await sleep(Math.min(20 * turn, 250));
  }
}

async function tryToSwap(
  context: EngineContext,
  address: Address,
  client: Client,
  swap: Swap & { afterwards: readonly string[] },
): Promise<Plan | undefined> {
  const { database: live } = address;
  const guard = await connect(address);
  try {
    const definitions = await readDefinitions(client, live);
    const listed = await lockLive(context, address, guard, client, swap.deadline);
    if (listed === undefined) return undefined;
    const recorded = await requireRecorded(
      context,
      live,
      { guard, client },
      { listed, now: swap.now, broken: brokenViews(definitions) },
    );
    const { statement, plan } = await prepare(context, client, live, { ...swap, listed }, recorded);
    crashPoint('before-swap');
    await client.run(`SET lock_wait_timeout = ${secondsUntil(swap.deadline)}`);
    const renamed = settled(client.run(statement));
    await untilItWaits(guard, client, renamed);
    await guard.run('UNLOCK TABLES');
    const { error } = await renamed.done;
    if (error !== undefined && isLocked(error)) {
      if (context.disconnect === true) await endSessions(client, live, [client.id, guard.id]);
      return undefined;
    }
    if (error !== undefined) throw error;
    crashPoint('after-swap');
    return plan;
  } finally {
    await guard.destroy();
  }
}

/** Waits for the locks of all live tables, in short turns: a waiting lock keeps all others out. */
async function lockLive(
  context: EngineContext,
  { database: live }: Address,
  guard: Client,
  client: Client,
  deadline: number,
): Promise<Listed[] | undefined> {
  for (let turn = 1; ; turn++) {
    context.signal?.throwIfAborted();
    const listed = await listTables(guard, live);
    const tables = listed.filter(isTable);
    try {
      await guard.run(`SET lock_wait_timeout = ${Math.min(2, secondsUntil(deadline))}`);
      if (tables.length > 0)
        await guard.run(`LOCK TABLES ${tables.map(({ name }) => `${table(live, name)} WRITE`).join(', ')}`);
      if (JSON.stringify(await listTables(guard, live)) === JSON.stringify(listed)) return listed;
      await guard.run('UNLOCK TABLES');
    } catch (error) {
      if (!isLocked(error)) throw error;
      const own = [client.id, guard.id];
      if (context.disconnect === true) await endSessions(client, live, own);
      else if (Date.now() >= deadline) throw await busyNow(context, { database: live }, client, own);
    }
    if (Date.now() >= deadline && turn > 2) return undefined;
    await sleep(Math.min(20 * turn, 250));
  }
}

async function busyNow(
  context: EngineContext,
  { database }: Pick<Address, 'database'>,
  client: Client,
  own: readonly number[],
): Promise<PitrError> {
  const sessions = likelyHolders(await sessionsOf(client, database, own));
  return inUse(context, describe(sessions), sessions);
}

type Recorded = Pick<Plan, 'recorded' | 'replaced'>;

/** Reads the locked tables. Gives what was found to be recorded. Error: `refused` when they are not what was recorded. */
async function requireRecorded(
  context: EngineContext,
  live: string,
  { guard, client }: { guard: Client; client: Client },
  {
    listed,
    now,
    broken,
  }: { listed: readonly Listed[]; now: CapturedDatabase; broken: ReadonlyMap<string, string> },
): Promise<Recorded> {
  const server = await serverOf(guard);
  const source: Source = {
    client: guard,
    database: live,
    server,
    about: await schemaOf(guard, live, server),
    tables: await describeTables(guard, live, listed),
    // Whoever has locked tables cannot look at a view; others can.
    definitions: await readDefinitions(client, live, { broken }),
    excluded: (name) => fitsPattern(name, context.database.excludeTable),
  };
  const { captured, tally } = await writeCopy(context, source);
  if (captured.tree !== now.tree)
    throw new PitrError(
      'refused',
      `The database "${now.name}" changed after its present state was recorded; it was not changed.`,
      { hints: ['Run the command again: it records the new state first.'] },
    );
  return { recorded: tally.hashes, replaced: source.definitions.map(definitionKey) };
}

interface Prepared {
  statement: string;
  plan: Plan;
}

async function prepare(
  context: EngineContext,
  client: Client,
  live: string,
  {
    beside,
    definitions,
    afterwards,
    listed,
  }: Swap & { afterwards: readonly string[]; listed: readonly Listed[] },
  recorded: Recorded,
): Promise<Prepared> {
  const { build, away, id } = beside;
  const wanted = await describeTables(client, build, await listTables(client, build));
  const kept = await keptTables(context, client, live, wanted);
  const triggered = new Set((await readTriggers(client, live)).map((trigger) => trigger.table ?? ''));
  const names = new Set(wanted.map(({ name }) => name));
  const moves: string[] = [];
  const inTheWay: Plan['inTheWay'] = [];
  // What was locked and compared, and nothing that was made since: that stays where it is.
  for (const entry of listed) {
    const { name } = entry;
    const view = !isTable(entry);
    if (kept.has(name) || (view && !names.has(name))) continue;
    if (view || triggered.has(name)) {
      const renamed = `_pitr_${id}_${inTheWay.length}`;
      inTheWay.push({ renamed, name, view });
      moves.push(`${table(live, name)} TO ${table(live, renamed)}`);
    } else moves.push(`${table(live, name)} TO ${table(away, name)}`);
  }
  for (const { name } of wanted.filter((candidate) => !kept.has(candidate.name)))
    moves.push(`${table(build, name)} TO ${table(live, name)}`);
  const plan: Plan = {
    live,
    inTheWay,
    definitions: [...definitions],
    schema: await schemaOf(client, build, await serverOf(client)),
    afterwards: [...afterwards],
    ...recorded,
  };
  await writePlan(client, beside, plan);
  await client.run('SET foreign_key_checks = 0');
  return { statement: `RENAME TABLE ${[...moves, renamePlan(beside)].join(', ')}`, plan };
}

/**
 * Tables whose rows are not recorded stay as they are, where they are. Error: `refused` where that cannot be: then they
 * would be lost.
 */
async function keptTables(
  context: EngineContext,
  client: Client,
  live: string,
  wanted: readonly Table[],
): Promise<Set<string>> {
  const { excludeTable, name: database } = context.database;
  if (excludeTable.length === 0) return new Set();
  const present = await describeTables(client, live, await listTables(client, live));
  const kept = new Set(
    present
      .filter(({ name, kind }) => kind === 'table' && fitsPattern(name, excludeTable))
      .map(({ name }) => name),
  );
  for (const { name, create } of present.filter((one) => kept.has(one.name))) {
    const other = wanted.find((one) => one.name === name);
    if (other !== undefined && other.create !== create)
      throw wouldLose(database, name, 'it had another definition then');
  }
  const links = await client.ask<{ tab: string; parent: string }>(
    `SELECT TABLE_NAME AS tab, REFERENCED_TABLE_NAME AS parent FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = ${quoteText(live)} AND REFERENCED_TABLE_SCHEMA = ${quoteText(live)}`,
  );
  const link = links.find(({ tab, parent }) => kept.has(tab) !== kept.has(parent));
  if (link !== undefined)
    throw wouldLose(
      database,
      kept.has(link.tab) ? link.tab : link.parent,
      `a foreign key of "${link.tab}" leads to "${link.parent}"`,
    );
  return kept;
}

function wouldLose(database: string, name: string, why: string): PitrError {
  return new PitrError(
    'refused',
    `The rows of the table "${name}" are not recorded (excludeTable), and it cannot stay as it is: ${why}. The database "${database}" was not changed.`,
    {
      hints: [
        `Move or copy it to another database first, or record it too: git config --unset-all pitr.database.${database}.excludeTable`,
      ],
    },
  );
}

/**
 * Names of foreign keys are unique in a database, and a table with triggers stays in the live one until after the swap:
 * so those of the new tables that are called the same get another name till then. Gives the statements for afterwards.
 */
async function renameConstraints(client: Client, live: string, { build, id }: Beside): Promise<string[]> {
  const present = await describeTables(client, live, await listTables(client, live));
  const triggered = new Set((await readTriggers(client, live)).map((trigger) => trigger.table ?? ''));
  const taken = new Set(
    present
      .filter(({ name }) => triggered.has(name))
      .flatMap((one) => foreignKeys(one).map(({ name }) => name)),
  );
  const afterwards: string[] = [];
  await client.run('SET foreign_key_checks = 0');
  await client.run(`USE ${quoteName(build)}`);
  for (const one of await describeTables(client, build, await listTables(client, build))) {
    const clashes = foreignKeys(one).filter(({ name }) => taken.has(name));
    for (const { name, rest } of clashes) {
      const other = quoteName(`_pitr_${id}_${afterwards.length}`);
      const change = (from: string, to: string) => `DROP FOREIGN KEY ${from}, ADD CONSTRAINT ${to} ${rest}`;
      await client.run(`ALTER TABLE ${table(build, one.name)} ${change(name, other)}`);
      afterwards.push(`ALTER TABLE ${table(live, one.name)} ${change(other, name)}`);
    }
  }
  return afterwards;
}

/** The named foreign keys in a table's definition: the quoted name, and what stands behind it. */
function foreignKeys({ create }: Table): { name: string; rest: string }[] {
  const line = /^ {2}CONSTRAINT (`(?:[^`]|``)*`) (FOREIGN KEY .*?),?$/gm;
  return [...create.matchAll(line)].map(([, name = '', rest = '']) => ({ name, rest }));
}

/**
 * A default value names its sequence with the database in which the table was made, where it soon is no longer. Takes
 * such default values out until after the swap; gives the statements for then.
 */
export async function takeOutDefaults(client: Client, live: string, { build }: Beside): Promise<string[]> {
  const afterwards: string[] = [];
  for (const one of await describeTables(client, build, await listTables(client, build)))
    for (const { name } of one.columns) {
      const line = one.create.split('\n').find((text) => text.startsWith(`  ${quoteName(name)} `)) ?? '';
      const value = defaultOf(line);
      if (value === undefined || !ofSequence.test(value)) continue;
      const change = (database: string, what: string) =>
        `ALTER TABLE ${table(database, one.name)} ALTER COLUMN ${quoteName(name)} ${what}`;
      await client.run(change(build, 'DROP DEFAULT'));
      const there = value.replaceAll(new RegExp(ofSequence, 'gi'), `$1${quoteName(live)}.$2`);
      afterwards.push(change(live, `SET DEFAULT ${there}`));
    }
  return afterwards;
}

const ofSequence = /(\b(?:nextval|lastval|setval)\()(`(?:[^`]|``)*`)/i;

/** The default value in a column's definition, where it is a call or in parentheses. */
function defaultOf(line: string): string | undefined {
  let value: string | undefined;
  let depth = 0;
  for (const [token] of line.matchAll(/'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`|[()]|[^'`()]+/gs)) {
    if (value === undefined) {
      if (depth === 0) value = /\bDEFAULT (\w*)$/.exec(token)?.[1];
    } else {
      value += token;
      if (token === ')' && depth === 1) return value;
    }
    if (token === '(') depth++;
    else if (token === ')') depth--;
  }
  return undefined;
}

interface Settled {
  done: Promise<{ error?: unknown }>;
  isDone: () => boolean;
}

function settled(step: Promise<void>): Settled {
  let finished = false;
  const done = step.then(
    () => ({}),
    (error: unknown) => ({ error }),
  );
  void done.then(() => (finished = true));
  return { done, isDone: () => finished };
}

/** Until a statement on `client` waits for a lock, or is done. */
async function untilItWaits(guard: Client, client: Client, statement: Settled): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!statement.isDone() && Date.now() < deadline) {
    const [row] = await guard.ask<{ state: string | null }>(
      `SELECT STATE AS state FROM information_schema.PROCESSLIST WHERE ID = ${client.id}`,
    );
    if (/metadata lock/i.test(row?.state ?? '')) return;
    await sleep(2);
  }
}

function secondsUntil(deadline: number): number {
  return Math.max(1, Math.ceil((deadline - Date.now()) / 1000));
}
