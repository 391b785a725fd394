import { postData, preData, tablePart, textRoot } from '../text/layout.ts';
import type { TextPart } from '../text/writer.ts';
import { databaseStatements, type Table } from './catalog.ts';
import type { Client } from './connect.ts';
import { largeObjects } from './largeObjects.ts';
import { copyFrom, endOfRows, type RowStream, tableRows } from './rowData.ts';
import type { Schema } from './tools.ts';

/**
 * The script of a database, in the order of restoring:
 *
 *     0-pre-data         pg_dump's: types, tables without indexes, functions …
 *     1-data/…           a COPY for each table
 *     1-sequences        their values
 *     2-post-data        pg_dump's: indexes, constraints, triggers, policies, REFRESH MATERIALIZED VIEW, event triggers
 *     3-large-objects
 *     4-database         owner, comment, settings and grants of the database itself
 *
 * Nothing in it is a command of psql: the server alone reads it.
 */

export const sequencePart = `${textRoot}/1-sequences`;
export const largeObjectPart = `${textRoot}/3-large-objects`;
export const databasePart = `${textRoot}/4-database`;

/** What the script of a database is made from; all of it in one transaction. */
export interface Source {
  client: Client;
  schema: Schema;
  tables: readonly Table[];
  /** The statements of `catalog.ts` for their values. */
  sequences: readonly string[];
  /** The rows of the first table, where they were asked for already. */
  first?: RowStream | undefined;
}

/**
 * The parts of the script, read as they are asked for.
 * @param counts gets the number of rows of each table, `schema.table`
 */
export async function* scriptParts(
  { client, schema, tables, sequences, first }: Source,
  counts: Record<string, number>,
): AsyncGenerator<TextPart> {
  yield { path: preData, content: [schema.before] };
  for (const [index, table] of tables.entries()) {
    const rows = rowsOf(client, table, counts, index === 0 ? first : undefined);
    yield { path: tablePart(index, table.schema, table.name), content: rows };
  }
  yield { path: sequencePart, content: sequences.map((line) => Buffer.from(line)) };
  yield { path: postData, content: [schema.after] };
  yield { path: largeObjectPart, content: largeObjects(client) };
  yield { path: databasePart, content: [Buffer.from((await databaseStatements(client)).join(''))] };
}

async function* rowsOf(
  client: Client,
  table: Table,
  counts: Record<string, number>,
  stream: RowStream | undefined,
): AsyncGenerator<Buffer> {
  yield Buffer.from(`${copyFrom(table)};\n`);
  const counted = (rows: number) => {
    counts[`${table.schema}.${table.name}`] = rows;
  };
  yield* tableRows(client, table, counted, stream);
  yield endOfRows;
}

/** The parts of which a restored copy must be exactly the recorded one; of the schema the words may differ. */
export const exactParts: readonly string[] = [sequencePart, largeObjectPart, databasePart];

/** True when a table is one of those whose rows are left out. Patterns as in pg_dump: `*` and `?`, `public` may be left out. */
export function isExcluded(table: Pick<Table, 'schema' | 'name'>, patterns: readonly string[]): boolean {
  const names = [`${table.schema}.${table.name}`, ...(table.schema === 'public' ? [table.name] : [])];
  return patterns.some((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    const fits = new RegExp(`^${source}$`, 's');
    return names.some((name) => fits.test(name));
  });
}
