import { statSync } from 'node:fs';
import { messageOf } from '../../errors.ts';
import { maxTableName } from '../../timeline/limits.ts';
import { quote } from './quote.ts';
import { codeOf, type Connection, openDatabase } from './open.ts';

/** Whether a private copy is a sound database, and what is in it. */

/** Data that breaks a rule of its table, not damage: such rows can be there (ALTER TABLE, checks switched off). */
const brokenRules =
  /^(NULL value in|NUMERIC value in|TEXT value in|non-\w+ value in|CHECK constraint failed in)/;

/**
 * Checks the structure of a database file that nobody else has open.
 * quick_check, not integrity_check: a state with an index out of step is a state that was there, and must come back;
 * that the bytes are the recorded ones is for the hash to say.
 * @returns what is wrong, or undefined
 */
export async function findDamage(file: string): Promise<string | undefined> {
  if (statSync(file).size === 0) return undefined;
  let connection: Connection | undefined;
  try {
    connection = await openDatabase(file, { readonly: true });
  } catch (error) {
    return damageIn(error);
  }
  try {
    return damageSeen(connection);
  } finally {
    connection.close();
  }
}

/** The same for what an open connection sees. */
export function damageSeen(connection: Connection): string | undefined {
  try {
    connection.pragma('cell_size_check = ON');
    connection.pragma('ignore_check_constraints = ON');
    const rows = connection.prepare('PRAGMA quick_check(100)').pluck().all() as string[];
    return rows
      .find((row) => row !== 'ok' && !brokenRules.test(row))
      ?.split('\n')
      .slice(0, 2)
      .join(' ');
  } catch (error) {
    return damageIn(error);
  }
}

/** What an error says of a database. Other errors are thrown. */
function damageIn(error: unknown): string | undefined {
  // A collation, function or module of the application that is not here: nothing is known to be wrong.
  if (codeOf(error) === 'SQLITE_ERROR') return undefined;
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(codeOf(error))) return messageOf(error);
  throw error;
}

/** Above this, counting rows would take longer than people wait for. Measured: 2 to 6 ms for 16 MiB. */
const countLimit = 16 * 1024 * 1024;
const countBudgetMs = 50;

/** Rows of each ordinary table that a connection sees; undefined when counting would take too long. */
export function countRows(connection: Connection, bytes: number): Record<string, number> | undefined {
  if (bytes > countLimit) return undefined;
  try {
    const tables = connection.prepare(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    );
    const counts: Record<string, number> = {};
    const start = performance.now();
    for (const name of tables.pluck().all() as string[]) {
      if (name.length > maxTableName) return undefined; // a note holds no such name
      counts[name] = connection
        .prepare(`SELECT count(*) FROM main.${quote(name)}`)
        .pluck()
        .get() as number;
      if (performance.now() - start > countBudgetMs) return undefined;
    }
    return counts;
  } catch {
    return undefined; // what cannot be counted here (a module of the application) is still a good copy
  }
}
