import { createHash } from '../../system/crypto.ts';
import { postData, preData, tablePart, textRoot } from '../text/layout.ts';
import type { TextPart } from '../text/writer.ts';
import { type Client, quoteName, quoteText, usualMode } from './connect.ts';
import { collationStatement, type Definition } from './definitions.ts';
import { insertStatements } from './rowText.ts';
import type { Table } from './tables.ts';

/**
 * The script of a database, in the order of restoring:
 *
 *     0-pre-data     session settings, character set of the database, sequences with their values, tables
 *     1-data/…       INSERT statements, a folder a table
 *     2-post-data    routines, views, triggers
 *     3-events       events: apart, as they would run in a database that is only being built
 *
 * It names no database, so it can be run in any. `mariadb` and `mysql` run it as it is; statements with semicolons at
 * line ends in them are set off by DELIMITER, as the dump programs do.
 */

export const eventPart = `${textRoot}/3-events`;

/** All that a script is made from, while it stays as it is. */
export interface Source {
  client: Client;
  database: string;
  server: Server;
  about: Schema;
  tables: readonly Table[];
  definitions: readonly Definition[];
  excluded: (table: string) => boolean;
}

export interface Server {
  /** As the server tells it, without the build: `10.11.6-MariaDB`. */
  version: string;
  mariadb: boolean;
  maxPacket: number;
}

/** What belongs to the database as a whole. */
export interface Schema {
  charset: string;
  collation: string;
  comment: string;
}

/** What is learned while a script is read. */
export interface Tally {
  /** Rows by table. */
  rows: Record<string, number>;
  /** Hash of each table's part. */
  hashes: Record<string, string>;
}

export async function serverOf(client: Client): Promise<Server> {
  const { version, packet } = await client.askOne<{ version: string; packet: string }>(
    'SELECT VERSION() AS version, @@max_allowed_packet AS packet',
  );
  const mariadb = /mariadb/i.test(version);
  return { version: version.replace(/(-MariaDB)?[-~+:].*$/, ''), mariadb, maxPacket: Number(packet) };
}

export async function schemaOf(client: Client, database: string, { mariadb }: Server): Promise<Schema> {
  const comment = mariadb ? await hasComments(client) : false;
  const row = await client.askOne<{ charset: string; collation: string; comment: string }>(
    `SELECT DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation,
      ${comment ? 'SCHEMA_COMMENT' : `''`} AS comment
    FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(database)}`,
  );
  return { charset: row.charset, collation: row.collation, comment: row.comment };
}

/** Databases have comments from MariaDB 10.5 on. */
async function hasComments(client: Client): Promise<boolean> {
  const rows = await client.ask<{ one: string }>(
    `SELECT 1 AS one FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema'
    AND TABLE_NAME = 'SCHEMATA' AND COLUMN_NAME = 'SCHEMA_COMMENT'`,
  );
  return rows.length > 0;
}

/** The parts of the script, read as they are asked for. */
export async function* scriptParts(source: Source, tally: Tally): AsyncGenerator<TextPart> {
  yield { path: preData, content: [Buffer.from(await preDataText(source))] };
  for (const [index, table] of source.tables.entries()) {
    if (!table.holdsRows || source.excluded(table.name)) continue;
    yield { path: tablePart(index, table.name), content: tableText(source, table, tally) };
  }
  const definitions = source.definitions.filter(({ type }) => type !== 'EVENT');
  yield { path: postData, content: [Buffer.from(definitionsText(definitions, source.about))] };
  const events = source.definitions.filter(({ type }) => type === 'EVENT');
  yield { path: eventPart, content: [Buffer.from(definitionsText(events, source.about))] };
}

/** The rows of a table as they are in the script; tells their number and hash. */
export async function* tableText(
  { client, database }: Pick<Source, 'client' | 'database'>,
  table: Table,
  tally: Tally,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let any = false;
  const statements = insertStatements(client, database, table, (rows) => {
    tally.rows[table.name] = rows;
  });
  for await (const text of statements) {
    any = true;
    hash.update(text);
    yield text;
  }
  if (any) yield Buffer.from('COMMIT;\n');
  tally.hashes[table.name] = hash.digest('hex');
}

/** What a session needs so that all comes back as it was, in both programs and here. */
const settings = (mariadb: boolean): string[] => [
  'SET NAMES utf8mb4',
  `SET time_zone = '+00:00'`,
  usualMode,
  'SET foreign_key_checks = 0',
  'SET unique_checks = 0',
  ...(mariadb ? ['SET check_constraint_checks = 0'] : []),
  'SET autocommit = 0',
];

async function preDataText(source: Source): Promise<string> {
  const { tables, server, about } = source;
  const statements = [...settings(server.mariadb), schemaStatement(about)];
  if (tables.some(({ versioned }) => versioned)) statements.push('SET system_versioning_insert_history = 1');
  for (const table of tables.filter(({ kind }) => kind === 'sequence'))
    statements.push(table.create, await sequenceValue(source, table));
  for (const table of tables.filter(({ kind }) => kind === 'table'))
    statements.push(await createStatement(source, table));
  return statements.map(delimited).join('');
}

export function schemaStatement({ charset, collation, comment }: Schema, database?: string): string {
  const name = database === undefined ? '' : ` ${quoteName(database)}`;
  const said = comment === '' ? '' : ` COMMENT ${quoteText(comment)}`;
  return `ALTER DATABASE${name} CHARACTER SET ${charset} COLLATE ${collation}${said}`;
}

/** Read after the snapshot was taken: no row of it has used a later value. */
async function sequenceValue({ client, database }: Source, { name }: Table): Promise<string> {
  const { next, round } = await client.askOne<{ next: string; round: string }>(
    `SELECT next_not_cached_value AS next, cycle_count AS round FROM ${quoteName(database)}.${quoteName(name)}`,
  );
  return `DO SETVAL(${quoteName(name)}, ${next}, 0, ${round})`;
}

/**
 * The definition of a table with the next value of AUTO_INCREMENT: the one that was seen before the snapshot, or the one
 * after the highest in it. The counter itself is in no transaction.
 */
async function createStatement({ client, database, excluded }: Source, table: Table): Promise<string> {
  const { name, counter, create } = table;
  if (counter === undefined) return create;
  let next = table.next ?? 1n;
  if (table.transactional && !excluded(name)) {
    const { highest } = await client.askOne<{ highest: string | null }>(
      `SELECT MAX(${quoteName(counter)}) AS highest FROM ${quoteName(database)}.${quoteName(name)}`,
    );
    const after = highest !== null && /^\d+$/.test(highest) ? BigInt(highest) + 1n : 1n;
    if (after > next) next = after;
  }
  if (next <= 1n) return create;
  const start = create.lastIndexOf('\n) ENGINE=');
  return `${create.slice(0, start)}${create.slice(start).replace(/^(\n\) ENGINE=\w+)/, `$1 AUTO_INCREMENT=${next}`)}`;
}

function definitionsText(definitions: readonly Definition[], about: Schema): string {
  if (definitions.length === 0) return '';
  const parts = definitions.map((definition) => definitionText(definition, about));
  // Remarks alone leave no setting behind that is to be taken back.
  if (definitions.every(({ broken }) => broken !== undefined)) return parts.join('');
  return `${parts.join('')}${[...settings(false).slice(0, 3), 'COMMIT'].map(delimited).join('')}`;
}

function definitionText(
  { type, name, settings: own, create, broken, collation }: Definition,
  about: Schema,
): string {
  if (broken !== undefined)
    return `-- The ${type.toLowerCase()} ${quoteName(name).replaceAll('\n', ' ')} could not be used when it was recorded: ${broken}\n${create.replace(/^/gm, '-- ')}\n`;
  const other = collation !== undefined && collation !== about.collation;
  const statements = [
    ...(other ? [collationStatement(collation)] : []),
    ...own,
    create,
    ...(other ? [collationStatement(about.collation)] : []),
  ];
  return statements.map(delimited).join('');
}

/** A statement with its end, and with another one than `;` where lines in it end with that. */
function delimited(statement: string): string {
  if (!/;\s*$/m.test(statement) && !/^CREATE (?!TABLE|SEQUENCE|VIEW|ALGORITHM)/.test(statement))
    return `${statement};\n`;
  const end =
    [';;', '$$', '//', '$pitr$'].find((candidate) => !statement.includes(candidate)) ?? '$end of statement$';
  return `DELIMITER ${end}\n${statement}\n${end}\nDELIMITER ;\n`;
}

/** True when a table's name is one of the patterns of `excludeTable`: `*` and `?` stand for any characters and for one. */
export function fitsPattern(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`, 's').test(name);
  });
}
