import type { Connection } from '../open.ts';
import { quote } from '../quote.ts';
import { postData, preData, tablePart } from '../../text/layout.ts';
import type { TextPart } from '../../text/writer.ts';
import type { Encoding } from '../format/text.ts';
import { literal, textLiteral, type Value } from './literals.ts';
import { terminated } from './tokens.ts';

/**
 * A database as SQL text (`../../text/layout.ts`) that the sqlite3 shell runs as it is. Each row is
 * a statement.
 */

interface SchemaRow {
  type: string;
  name: string;
  tbl_name: string;
  rootpage: number;
  sql: string;
}

/** What a connection sees in its read transaction. */
export function* scriptParts(connection: Connection): Generator<TextPart> {
  const schema = connection
    .prepare(
      'SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid',
    )
    .all() as SchemaRow[];
  const own = schema.filter(({ name }) => !name.startsWith('sqlite_'));
  const tables = own.filter(({ type, rootpage }) => type === 'table' && rootpage > 0);
  yield { path: preData, content: statements([...settings(connection), ...tables.map(({ sql }) => sql)]) };
  for (const [index, { name }] of tables.entries())
    yield { path: tablePart(index, name), content: rows(connection, name) };
  yield { path: postData, content: after(connection, schema, own) };
}

/** What has to be said before there is a table. */
function settings(connection: Connection): string[] {
  const of = (name: string) => connection.pragma(name, { simple: true });
  const number = (name: string) => Number(of(name));
  return [
    `PRAGMA page_size = ${number('page_size')}`,
    `PRAGMA encoding = ${textLiteral(String(of('encoding')))}`,
    `PRAGMA auto_vacuum = ${number('auto_vacuum')}`,
    'PRAGMA foreign_keys = OFF',
    // Rows that break a rule of their table are there.
    'PRAGMA ignore_check_constraints = ON',
    'BEGIN TRANSACTION',
    ...['application_id', 'user_version'].flatMap((name) =>
      number(name) === 0 ? [] : [`PRAGMA ${name} = ${number(name)}`],
    ),
  ];
}

function* after(
  connection: Connection,
  schema: readonly SchemaRow[],
  own: readonly SchemaRow[],
): Generator<Buffer> {
  const has = (table: string) => schema.some(({ name }) => name === table);
  if (has('sqlite_sequence')) {
    yield* statements(['DELETE FROM sqlite_sequence']);
    yield* rows(connection, 'sqlite_sequence');
  }
  for (const type of ['index', 'trigger', 'view'])
    yield* statements(own.filter((object) => object.type === type).map(({ sql }) => sql));
  if (has('sqlite_stat1')) {
    yield* statements(['ANALYZE sqlite_schema']);
    yield* rows(connection, 'sqlite_stat1');
  }
  // As the shell's .dump does it: what a virtual table holds is in ordinary tables, which are there already.
  const virtual = own.filter(({ type, rootpage }) => type === 'table' && rootpage === 0);
  if (virtual.length > 0)
    yield* statements([
      'PRAGMA writable_schema = ON',
      ...virtual.map(
        ({ name, sql }) =>
          `INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES ('table', ${textLiteral(name)}, ${textLiteral(name)}, 0, ${textLiteral(sql)})`,
      ),
      'PRAGMA writable_schema = OFF',
    ]);
  yield* statements(['COMMIT']);
}

function* statements(all: readonly string[]): Generator<Buffer> {
  if (all.length > 0) yield Buffer.from(all.map(terminated).join(''));
}

/** Bytes gathered before they are given on. */
const gathered = 64 * 1024;

/** The rows of a table in the order of their keys, with their rowids. */
function* rows(connection: Connection, table: string): Generator<Buffer> {
  const { columns, rowid } = shapeOf(connection, table);
  const names = [...(rowid === undefined ? [] : [rowid]), ...columns.map(quote)];
  const head = `INSERT INTO ${quote(table)}(${names.join(', ')}) VALUES (`;
  const encoding = encodingOf(connection);
  const read = names.map(
    (name) => `typeof(${name}), CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) ELSE ${name} END`,
  );
  const query = connection.prepare(`SELECT ${read.join(', ')} FROM main.${quote(table)}`);
  let text = '';
  for (const row of query.raw().safeIntegers().iterate() as Iterable<(string | Value)[]>) {
    const values: string[] = [];
    for (let at = 0; at < row.length; at += 2)
      values.push(literal(row[at + 1] as Value, row[at] === 'text', encoding));
    text += `${head}${values.join(', ')});\n`;
    if (text.length < gathered) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

function encodingOf(connection: Connection): Encoding {
  const name = String(connection.pragma('encoding', { simple: true }));
  return name === 'UTF-8' ? 'utf8' : name === 'UTF-16le' ? 'utf16le' : 'utf16be';
}

/** The columns that are written, and the name of the rowid where it is none of them. */
function shapeOf(connection: Connection, table: string): { columns: string[]; rowid: string | undefined } {
  const info = connection
    .prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid")
    .all(table) as { name: string; pk: number; hidden: number }[];
  const columns = info.filter(({ hidden }) => hidden === 0).map(({ name }) => name);
  const wr = connection
    .prepare("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?")
    .pluck()
    .get(table);
  const indexed = connection
    .prepare("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'")
    .get(table);
  const isAlias = info.filter(({ pk }) => pk > 0).length === 1 && indexed === undefined;
  const taken = new Set(info.map(({ name }) => name.toLowerCase()));
  const free = ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name));
  return { columns, rowid: wr === 1 || isAlias ? undefined : free };
}
