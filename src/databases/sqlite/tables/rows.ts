import { PitrError } from '../../../errors.ts';
import type { Connection } from '../open.ts';
import { quote } from '../quote.ts';

/** The rows of one table: those that differ are deleted and written anew; all others are not touched. */

interface Shape {
  table: string;
  /** What values can be written into: not generated columns. */
  columns: string[];
  /** The condition that `o` (recorded) and `n` (now) are one row; undefined where rows have no name at all. */
  sameKey: string | undefined;
  /** The name under which the rowid can be written, where no column is it. */
  rowid: string | undefined;
}

export function bringRows(connection: Connection, table: string): void {
  const shape = shapeOf(connection, table);
  const { columns, sameKey, rowid } = shape;
  const into = [...(rowid === undefined ? [] : [rowid]), ...columns.map(quote)];
  const values = into.map((column) => `o.${column}`).join(', ');
  if (sameKey === undefined) {
    connection.exec(`DELETE FROM main.${quote(table)}`);
    connection.exec(
      `INSERT INTO main.${quote(table)}(${into.join(', ')}) SELECT ${values} FROM target.${quote(table)} AS o`,
    );
    return;
  }
  connection.exec(
    `DELETE FROM main.${quote(table)} AS n WHERE NOT EXISTS (
       SELECT 1 FROM target.${quote(table)} AS o WHERE ${sameKey} AND ${sameValues(shape)})`,
  );
  connection.exec(
    `INSERT INTO main.${quote(table)}(${into.join(', ')}) SELECT ${values} FROM target.${quote(table)} AS o
     WHERE NOT EXISTS (SELECT 1 FROM main.${quote(table)} AS n WHERE ${sameKey})`,
  );
}

/** Error: `integrity` when a table is not what was recorded. */
export function requireSameRows(database: string, connection: Connection, table: string): void {
  const shape = shapeOf(connection, table);
  const one = (query: string) => connection.prepare(query).pluck().get();
  const count = (schema: string) => one(`SELECT count(*) FROM ${schema}.${quote(table)}`);
  const missing =
    shape.sameKey === undefined
      ? 0
      : one(
          `SELECT EXISTS (SELECT 1 FROM target.${quote(table)} AS o WHERE NOT EXISTS (
             SELECT 1 FROM main.${quote(table)} AS n WHERE ${shape.sameKey} AND ${sameValues(shape)}))`,
        );
  if (missing === 0 && count('main') === count('target')) return;
  throw new PitrError(
    'integrity',
    `The rows of the table "${table}" of "${database}" are not what was recorded; it was taken back.`,
  );
}

/** To the byte: a collation would take "A" for "a", and without a type 1 is not 1.0. */
function sameValues({ columns }: Shape): string {
  const same = (column: string) =>
    `o.${column} IS n.${column} COLLATE BINARY AND typeof(o.${column}) = typeof(n.${column})`;
  return ['1', ...columns.map((column) => same(quote(column)))].join(' AND ');
}

function shapeOf(connection: Connection, table: string): Shape {
  const info = connection
    .prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?, 'target') ORDER BY cid")
    .all(table) as { name: string; pk: number; hidden: number }[];
  const withoutRowid = connection
    .prepare("SELECT wr FROM pragma_table_list WHERE schema = 'target' AND name = ?")
    .pluck()
    .get(table);
  const columns = info.filter(({ hidden }) => hidden === 0).map(({ name }) => name);
  if (withoutRowid === 1) {
    const key = info.filter(({ pk }) => pk > 0).map(({ name }) => `o.${quote(name)} = n.${quote(name)}`);
    return { table, columns, sameKey: key.join(' AND '), rowid: undefined };
  }
  const taken = new Set(info.map(({ name }) => name.toLowerCase()));
  const rowid = ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name));
  if (rowid !== undefined) {
    const isColumn = aliasOf(connection, table, info) !== undefined;
    return { table, columns, sameKey: `o.${rowid} = n.${rowid}`, rowid: isColumn ? undefined : rowid };
  }
  const alias = aliasOf(connection, table, info);
  const sameKey = alias === undefined ? undefined : `o.${quote(alias)} = n.${quote(alias)}`;
  return { table, columns, sameKey, rowid: undefined };
}

/** The column that is the rowid: a primary key without an index of its own. */
function aliasOf(
  connection: Connection,
  table: string,
  info: readonly { name: string; pk: number }[],
): string | undefined {
  const key = info.filter(({ pk }) => pk > 0);
  const index = connection
    .prepare("SELECT 1 FROM pragma_index_list(?, 'target') WHERE origin = 'pk'")
    .get(table);
  return key.length === 1 && index === undefined ? key[0]?.name : undefined;
}
