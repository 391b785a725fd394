import { table } from './beside.ts';
import { type Client, quoteName, quoteText } from './connect.ts';

/** Foreign keys within a database, and whether the rows are as they say. */

export interface ForeignKey {
  child: string;
  parent: string;
  columns: string[];
  references: string[];
}

/**
 * Those that lead from or to one of the tables.
 * @param parents the databases that they may lead to
 */
export async function foreignKeys(
  client: Client,
  database: string,
  names: readonly string[],
  parents: readonly string[] = [database],
): Promise<ForeignKey[]> {
  const rows = await client.ask<Record<'constraint' | 'child' | 'parent' | 'column' | 'reference', string>>(
    `SELECT CONSTRAINT_NAME AS \`constraint\`, TABLE_NAME AS child, REFERENCED_TABLE_NAME AS parent,
      COLUMN_NAME AS \`column\`, REFERENCED_COLUMN_NAME AS reference
    FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = ${quoteText(database)} AND REFERENCED_TABLE_SCHEMA IN (${parents.map(quoteText).join(',')})
    ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`,
  );
  const keys = new Map<string, ForeignKey>();
  for (const { constraint, child, parent, column, reference } of rows) {
    if (!names.includes(child) && !names.includes(parent)) continue;
    const id = JSON.stringify([child, constraint]);
    const key = keys.get(id) ?? { child, parent, columns: [], references: [] };
    key.columns.push(column);
    key.references.push(reference);
    keys.set(id, key);
  }
  return [...keys.values()];
}

/** The name under which a referenced table is looked at: it may be the referring one. At most 64 characters. */
export function aliasOf(parent: string): string {
  return quoteName(`pitr ${Array.from(parent).slice(0, 59).join('')}`);
}

/** True when each row that refers to another one finds it. The parent is read as `aliasOf` it. */
export async function holds(
  client: Client,
  { child, parent, columns, references }: ForeignKey,
  databases: { child: string; parent: string },
): Promise<boolean> {
  const from = table(databases.child, child);
  const alias = aliasOf(parent);
  const given = columns.map((name) => `${from}.${quoteName(name)} IS NOT NULL`);
  const matches = columns.map(
    (name, at) => `${alias}.${quoteName(references[at] ?? '')} = ${from}.${quoteName(name)}`,
  );
  const lost = await client.ask(
    `SELECT 1 FROM ${from} WHERE ${given.join(' AND ')} AND NOT EXISTS
      (SELECT 1 FROM ${table(databases.parent, parent)} AS ${alias} WHERE ${matches.join(' AND ')}) LIMIT 1`,
  );
  return lost.length === 0;
}
