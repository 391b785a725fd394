import { createHash } from '../../system/crypto.ts';
import { randomId } from '../../system/files.ts';
import { type Client, quoteName, quoteText } from './connect.ts';
import type { Definition } from './definitions.ts';
import { listTables } from './tables.ts';
import type { Schema } from './script.ts';

/**
 * The two databases that a restore makes beside the live one: in one it is built, the other takes what is replaced. The
 * other also holds the plan, in a table that is renamed in the very statement that swaps the tables: so its name says
 * whether that has happened, whenever the server or we were stopped.
 */
export interface Beside {
  id: string;
  build: string;
  away: string;
}

/** What is left to do once the tables are swapped. Whoever finds it can finish it, without the repository. */
export interface Plan {
  live: string;
  /** Tables of the live database that first had to be renamed in it, as they have triggers; views that were in the way. */
  inTheWay: { renamed: string; name: string; view: boolean }[];
  /** What the database is to hold beside its tables, and how it is set. */
  definitions: Definition[];
  schema: Schema;
  /** Statements for the new tables: names of foreign keys, default values that name a sequence. */
  afterwards: string[];
  /** Hashes of the rows that were replaced, by table: those that are recorded. */
  recorded: Record<string, string>;
  /** Views, routines and events that were replaced, as `definitionKey` names them: those that are recorded. */
  replaced: string[];
}

const waiting = '_pitr_plan';
/** What the plan's table is called once the tables are swapped. */
export const swapped = '_pitr_plan_swapped';
/** `RENAME` in MariaDB keeps out nobody who only looks for a free name: so names are at most 64 characters. */
const stemLength = 40;

export function newBeside(live: string): Beside {
  const id = randomId();
  const build = `${stemOf(live)}_pitr_${id}`;
  return { id, build, away: `${build}_old` };
}

function stemOf(live: string): string {
  return Array.from(live).slice(0, stemLength).join('');
}

/** Those of earlier restores, or of one that is under way. */
export async function findBeside(client: Client, live: string): Promise<Beside[]> {
  const rows = await client.ask<{ name: string }>(
    `SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA
    WHERE LEFT(SCHEMA_NAME, CHAR_LENGTH(${quoteText(stemOf(live))}) + 6) = ${quoteText(`${stemOf(live)}_pitr_`)}`,
  );
  const ids = rows.flatMap(({ name }) => /_pitr_([0-9a-f]{12})(?:_old)?$/.exec(name)?.[1] ?? []);
  return [...new Set(ids)].map((id) => {
    const build = `${stemOf(live)}_pitr_${id}`;
    return { id, build, away: `${build}_old` };
  });
}

/** Makes both. The plan's table comes first: what has one is ours. */
export async function makeBeside(client: Client, { build, away }: Beside): Promise<void> {
  await client.run(`CREATE DATABASE ${quoteName(away)}`);
  await client.run(
    `CREATE TABLE ${table(away, waiting)} (part int PRIMARY KEY, text longtext CHARACTER SET utf8mb4) ENGINE=InnoDB`,
  );
  await client.run(`CREATE DATABASE ${quoteName(build)}`);
}

/** The end of the RENAME statement that swaps. */
export function renamePlan({ away }: Beside): string {
  return `${table(away, waiting)} TO ${table(away, swapped)}`;
}

const planPiece = 100_000;

export async function writePlan(client: Client, { away }: Beside, plan: Plan): Promise<void> {
  const text = JSON.stringify(plan);
  await client.run(`DELETE FROM ${table(away, waiting)}`);
  for (let start = 0; start < text.length; start += planPiece) {
    // In hex: a piece may end in the middle of a character.
    const piece = Buffer.from(text.slice(start, start + planPiece), 'utf16le').toString('hex');
    await client.run(
      `INSERT INTO ${table(away, waiting)} VALUES (${start / planPiece}, ${quoteText(piece)})`,
    );
  }
  await client.run('COMMIT');
}

export type State = 'building' | 'swapped' | 'unknown';

/** How far a restore came. `unknown`: no plan there, so what else is there is not known to be ours. */
export async function stateOf(client: Client, { away }: Beside): Promise<State> {
  const names = new Set((await listTables(client, away)).map(({ name }) => name));
  if (names.has(swapped)) return 'swapped';
  return names.has(waiting) ? 'building' : 'unknown';
}

export async function readPlan(client: Client, { away }: Beside): Promise<Plan> {
  const rows = await client.ask<{ text: string }>(`SELECT text FROM ${table(away, swapped)} ORDER BY part`);
  return JSON.parse(rows.map(({ text }) => Buffer.from(text, 'hex').toString('utf16le')).join('')) as Plan;
}

/** Drops both; the plan goes last. */
export async function dropBeside(client: Client, { build, away }: Beside): Promise<void> {
  await client.run('SET foreign_key_checks = 0');
  await client.run(`DROP DATABASE IF EXISTS ${quoteName(build)}`);
  await client.run(`DROP DATABASE IF EXISTS ${quoteName(away)}`);
}

/** Drops what was built, and keeps what was replaced, from now on as a database like any other. */
export async function keepAway(client: Client, { build, away }: Beside): Promise<void> {
  await client.run('SET foreign_key_checks = 0');
  await client.run(`DROP DATABASE IF EXISTS ${quoteName(build)}`);
  await client.run(`DROP TABLE IF EXISTS ${table(away, swapped)}`);
}

/** Drops those of the two that are empty: what a restore leaves that was stopped before it had a plan. */
export async function dropIfEmpty(client: Client, { build, away }: Beside): Promise<void> {
  for (const name of [build, away]) {
    if ((await listTables(client, name)).length > 0) continue;
    const [routine] = await client.ask(
      `SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ${quoteText(name)} LIMIT 1`,
    );
    if (routine === undefined) await client.run(`DROP DATABASE IF EXISTS ${quoteName(name)}`);
  }
}

export function table(database: string, name: string): string {
  return `${quoteName(database)}.${quoteName(name)}`;
}

/**
 * A lock on the server, for one restore of a database at a time; it ends with the connection. `swap`: while the database
 * is neither quite the old nor the new one.
 */
export async function tryLock(
  client: Client,
  live: string,
  which: 'restore' | 'swap',
  seconds = 0,
): Promise<boolean> {
  const { got } = await client.askOne<{ got: string | null }>(
    `SELECT GET_LOCK(${quoteText(lockName(live, which))}, ${seconds}) AS got`,
  );
  return got === '1';
}

export async function unlock(client: Client, live: string, which: 'restore' | 'swap'): Promise<void> {
  await client.ask(`SELECT RELEASE_LOCK(${quoteText(lockName(live, which))})`);
}

function lockName(live: string, which: string): string {
  return `git-pitr.${which}.${createHash('sha256').update(live).digest('hex').slice(0, 24)}`;
}
