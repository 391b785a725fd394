import { type Client, quoteName } from './connect.ts';
import { sqlName, type Table } from './catalog.ts';

/** The rows of a table as `COPY` writes them (https://www.postgresql.org/docs/15/sql-copy.html, "Text Format"). */

/** The last line of a table's rows in a script. */
export const endOfRows = Buffer.from('\\.\n');

/** Session settings that decide how values are written; those of pg_dump, and a fixed zone. */
export const sessionSettings = (encoding: string): string =>
  [
    `SET client_encoding = '${encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8'}'`,
    'SET DateStyle = ISO',
    'SET IntervalStyle = postgres',
    `SET TimeZone = 'UTC'`,
    'SET extra_float_digits = 3',
    'SET bytea_output = hex',
    'SET xmloption = content',
    // Rows in the order of the file, not from where another scan happens to be; and not from several workers at once.
    'SET synchronize_seqscans = off',
    'SET max_parallel_workers_per_gather = 0',
    // A hidden row is an error, not a smaller copy.
    'SET row_security = off',
    'SET statement_timeout = 0',
    'SET idle_in_transaction_session_timeout = 0',
    `SELECT pg_catalog.set_config('search_path', '', false)`,
  ].join('; ');

/** The statement that reads rows back in; without its semicolon. */
export function copyFrom(table: Table): string {
  return `COPY ${sqlName(table)}${columnList(table)} FROM stdin`;
}

/** The rows in the order of the primary key; without one, in the order in which they are stored. */
function copyTo(table: Table): string {
  const { columns, key, condition } = table;
  if (key.length === 0 && condition === '') return `COPY ${sqlName(table)}${columnList(table)} TO STDOUT`;
  const order = key.length === 0 ? '' : ` ORDER BY ${key.map(quoteName).join(', ')}`;
  return `COPY (SELECT ${columns.map(quoteName).join(', ')} FROM ONLY ${sqlName(table)} ${condition}${order}) TO STDOUT`;
}

function columnList({ columns }: Table): string {
  return columns.length === 0 ? '' : ` (${columns.map(quoteName).join(', ')})`;
}

/**
 * The rows of a table, in whole lines or not, as they come.
 * @param counted hears how many rows they were, at the end
 * @param stream what `openRows` gave for the table
 */
export async function* tableRows(
  client: Client,
  table: Table,
  counted: (rows: number) => void = () => {},
  stream?: RowStream,
): AsyncGenerator<Buffer> {
  const rows = stream ?? (await openRows(client, table));
  yield* rows as AsyncIterable<Buffer>;
  counted(rows.rowCount);
}

export type RowStream = Awaited<ReturnType<typeof openRows>>;

/**
 * Asks for the rows of a table: the server begins, and the client can do nothing else until all of them are read.
 * @param buffered bytes that may come before anybody reads
 */
export async function openRows(client: Client, table: Table, buffered = 1024 * 1024) {
  const { default: copy } = await import('pg-copy-streams');
  const stream = client.query(copy.to(copyTo(table), { highWaterMark: buffered }));
  stream.on('error', () => {}); // met by whoever reads
  stream.read(0); // begins, and gives nothing yet
  return stream;
}
