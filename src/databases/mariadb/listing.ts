import { type Client, errorNumber, quoteName, quoteText } from './connect.ts';
import { type Listed, listTables, Moved } from './tables.ts';

/**
 * Which tables there are, so that none is missed.
 *
 * MariaDB lists the files of a database without any lock. In the moment in which `ALTER TABLE` puts its new table in the
 * place of the old one, the list lacks it, and so would the copy (seen with 10.11 in 1 of 60 copies beside a program
 * that alters all the time). With foreign keys that moment lasts until we are done: the `ALTER TABLE` of a parent then
 * waits for the children that we have locked. So the list is taken before the locks, with them, and after they are
 * released; no statement that changes definitions may begin between the first two; and names that are known from
 * elsewhere (an earlier copy, foreign keys) are asked for, which waits for whoever is at work on them, or ends as a
 * deadlock. Whoever is seen putting a table in its place (all sessions with the right PROCESS, else our own user's) is
 * waited for.
 */
export class Listing {
  readonly listed: Listed[];
  readonly #client: Client;
  readonly #database: string;
  readonly #statements: string;

  private constructor(client: Client, database: string, listed: Listed[], statements: string) {
    this.#client = client;
    this.#database = database;
    this.listed = listed;
    this.#statements = statements;
  }

  /** Error: `Moved` when a known table is there and not in the list. */
  static async take(client: Client, database: string, known: readonly string[]): Promise<Listing> {
    const statements = await ddlCount(client);
    const listed = await listTables(client, database);
    await requireNoneInMidair(client, database);
    const names = new Set(listed.map(({ name }) => name));
    const parents = await parentsIn(client, database);
    for (const name of [...known, ...parents].filter((one) => !names.has(one)))
      if (await exists(client, database, name)) throw new Moved(`the table "${name}" was being changed`);
    return new Listing(client, database, listed, statements);
  }

  /** Error: `Moved` when the list is another one by now. */
  async requireSame(): Promise<void> {
    if (JSON.stringify(await listTables(this.#client, this.#database)) !== JSON.stringify(this.listed))
      throw new Moved('tables were made, changed or dropped while they were read');
  }

  /** Error: `Moved` when a statement that changes definitions has begun since, anywhere on the server. */
  async requireNoDdl(): Promise<void> {
    await requireNoneInMidair(this.#client, this.#database);
    if ((await ddlCount(this.#client)) !== this.#statements) throw new Moved('tables were being changed');
  }
}

/** Error: `Moved` while some statement is at the step in which the table that it changes may be out of the list. */
async function requireNoneInMidair(client: Client, database: string): Promise<void> {
  const [statement] = await client.ask<{ id: string }>(
    `SELECT ID AS id FROM information_schema.PROCESSLIST
    WHERE STATE IN ('Rename result table', 'Committing alter table to storage engine')
      AND (DB = ${quoteText(database)} OR LOCATE(${quoteText(database)}, INFO) > 0) LIMIT 1`,
  );
  if (statement !== undefined) throw new Moved(`connection ${statement.id} is changing a table`);
}

/** Tables that foreign keys lead to. */
async function parentsIn(client: Client, database: string): Promise<string[]> {
  const rows = await client.ask<{ name: string }>(
    `SELECT DISTINCT REFERENCED_TABLE_NAME AS name FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = ${quoteText(database)} AND REFERENCED_TABLE_SCHEMA = ${quoteText(database)}`,
  );
  return rows.map(({ name }) => name);
}

/** How many statements that move files of tables have begun since the server was started; everybody may ask. */
async function ddlCount(client: Client): Promise<string> {
  const names = [
    'alter_table',
    'create_index',
    'create_table',
    'drop_index',
    'drop_table',
    'optimize',
    'rename_table',
    'repair',
    'truncate',
  ];
  const rows = await client.ask<{ Variable_name: string; Value: string }>(
    `SHOW GLOBAL STATUS WHERE Variable_name IN (${names.map((name) => `'Com_${name}'`).join(',')})`,
  );
  return rows.map(({ Variable_name: name, Value: value }) => `${name}=${value}`).join();
}

async function exists(client: Client, database: string, name: string): Promise<boolean> {
  try {
    await client.run(`SELECT 1 FROM ${quoteName(database)}.${quoteName(name)} WHERE FALSE`);
    return true;
  } catch (error) {
    if (errorNumber(error) === 1146) return false;
    throw error;
  }
}
