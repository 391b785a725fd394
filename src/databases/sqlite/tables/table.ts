import { PitrError } from '../../../errors.ts';
import type { Connection } from '../open.ts';
import { quote } from '../quote.ts';
import { bringRows, requireSameRows } from './rows.ts';

/** One table of the live database (schema `main`) brought to the recorded state (schema `target`), in a transaction. */

interface Definition {
  type: string;
  name: string;
  sql: string;
}

/** The name as it is written in the schema; undefined for a table that is neither there now nor was then. */
export function tableName(connection: Connection, table: string): string | undefined {
  const names = connection
    .prepare(
      `SELECT name FROM (SELECT type, name FROM main.sqlite_schema UNION ALL SELECT type, name FROM target.sqlite_schema)
       WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    )
    .pluck()
    .all(table) as string[];
  return names.find((name) => name === table) ?? names[0];
}

/** Error: `refused` for a table that an extension keeps, as FTS5 does: its parts only fit together. */
export function requireOrdinary(database: string, connection: Connection, table: string): void {
  const types = connection
    .prepare('SELECT type FROM pragma_table_list WHERE name = ? COLLATE NOCASE')
    .pluck()
    .all(table) as string[];
  if (!types.includes('virtual') && !types.includes('shadow')) return;
  throw new PitrError(
    'refused',
    `The table "${table}" of the database "${database}" is kept by an extension of SQLite (such as FTS5) and cannot be restored alone. Nothing was changed.`,
    { hints: [`Restore all of it: --db ${database}`], details: { tables: [] } },
  );
}

/** Rows, indexes, triggers and the definition itself; a table that was not there then is dropped. */
export function bringTable(database: string, connection: Connection, table: string): void {
  const [now, then] = [definitions(connection, 'main', table), definitions(connection, 'target', table)];
  const tableOf = (all: readonly Definition[]) => all.find(({ type }) => type === 'table');
  const [before, after] = [tableOf(now), tableOf(then)];
  if (after === undefined) {
    connection.exec(`DROP TABLE main.${quote(table)}`);
    return;
  }
  const same = before?.sql === after.sql;
  const kept = same ? keepIndexes(connection, now, then) : new Set<string>();
  if (!same && before !== undefined) connection.exec(`DROP TABLE main.${quote(table)}`);
  if (!same) create(database, connection, after);
  bringRows(connection, table);
  bringSequence(connection, table);
  // Triggers come last, so that none of them was there while rows were written.
  for (const type of ['index', 'trigger'])
    for (const definition of then)
      if (definition.type === type && !kept.has(definition.name)) create(database, connection, definition);
  rebuildSearch(connection, table);
  requireSameRows(database, connection, table);
  const [problem] = connection
    .prepare(`PRAGMA main.quick_check(${quote(table)})`)
    .pluck()
    .all() as string[];
  if (problem !== 'ok' && !/constraint failed|NULL value in/.test(problem ?? ''))
    throw new PitrError(
      'integrity',
      `The table "${table}" of "${database}" came out damaged: ${problem}. It was taken back.`,
    );
}

/** Everything of a table that is written as SQL. */
function definitions(connection: Connection, schema: string, table: string): Definition[] {
  return connection
    .prepare(
      `SELECT type, name, sql FROM ${schema}.sqlite_schema
       WHERE tbl_name = ? COLLATE NOCASE AND type IN ('table', 'index', 'trigger') AND sql IS NOT NULL ORDER BY rowid`,
    )
    .all(table) as Definition[];
}

/** Drops all triggers, and the indexes that were other ones then; gives those that stay. */
function keepIndexes(
  connection: Connection,
  now: readonly Definition[],
  then: readonly Definition[],
): Set<string> {
  const kept = new Set<string>();
  for (const { type, name, sql } of now) {
    if (type === 'table') continue;
    const same = then.some((other) => other.type === type && other.name === name && other.sql === sql);
    if (type === 'index' && same) kept.add(name);
    else connection.exec(`DROP ${type} main.${quote(name)}`);
  }
  return kept;
}

/**
 * Runs a recorded definition, which a snapshot of others may have made up: it must be what it says it is. (SQLite has
 * read it as a definition when the recorded file was attached.)
 */
function create(database: string, connection: Connection, { type, name, sql }: Definition): void {
  connection.prepare(sql).run();
  const made = connection
    .prepare('SELECT sql FROM main.sqlite_schema WHERE type = ? AND name = ?')
    .pluck()
    .get(type, name);
  if (made === sql) return;
  throw new PitrError(
    'refused',
    `The recorded definition of the ${type} "${name}" of "${database}" does not make what it says. Nothing was changed.`,
    { details: { tables: [] } },
  );
}

/** The last number that AUTOINCREMENT gave. */
function bringSequence(connection: Connection, table: string): void {
  const has = (schema: string) =>
    connection.prepare(`SELECT 1 FROM ${schema}.sqlite_schema WHERE name = 'sqlite_sequence'`).get() !==
    undefined;
  if (!has('main')) return;
  connection.prepare('DELETE FROM main.sqlite_sequence WHERE name = ?').run(table);
  if (has('target'))
    connection
      .prepare('INSERT INTO main.sqlite_sequence SELECT name, seq FROM target.sqlite_sequence WHERE name = ?')
      .run(table);
}

/** Full-text indexes over the table's rows ("external content") are made anew: triggers that kept them are not run. */
function rebuildSearch(connection: Connection, table: string): void {
  const virtual = connection
    .prepare("SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0")
    .all() as { name: string; sql: string }[];
  for (const { name, sql } of virtual) {
    const content = /\bcontent\s*=\s*(?:'([^']+)'|"([^"]+)"|\[([^\]]+)\]|([\w$]+))/i.exec(sql);
    const source = content?.slice(1).find((part) => part !== undefined);
    if (/USING\s+fts[345]\b/i.test(sql) && source?.toLowerCase() === table.toLowerCase())
      connection.exec(`INSERT INTO main.${quote(name)}(${quote(name)}) VALUES ('rebuild')`);
  }
}
