import { createHash } from '../../system/crypto.ts';
import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { sqlName, type Table, tablesOf } from './catalog.ts';
import { ask, type Client, quoteText, withClient } from './connect.ts';
import { sessionSettings, tableRows } from './rowData.ts';
import { isExcluded } from './script.ts';

/**
 * Rows of tables that are not recorded (`excludeTable`): they are in no snapshot, so no restore may take them away. They
 * come along from the live database as it is.
 */

/** What came along: hashes of the rows, `schema.table`. */
export type KeptRows = ReadonlyMap<string, string>;

/**
 * Copies the rows into the database that is being built, whose tables are there and have no constraints yet.
 * Error: `refused` when a table, or a column with rows in it, was not there then.
 */
export async function bringRows(context: EngineContext, live: Address, build: Client): Promise<KeptRows> {
  const kept = new Map<string, string>();
  if (context.database.excludeTable.length === 0) return kept;
  const targets = new Map((await excluded(context, build)).map((table) => [sqlName(table), table]));
  await withRows(context, live, async (client, table) => {
    const target = targets.get(sqlName(table));
    const lacks = table.columns.filter((column) => target?.columns.includes(column) !== true);
    if (target === undefined || lacks.length > 0) {
      if (await hasRows(client, table)) throw wouldBeLost(context, table, target === undefined ? [] : lacks);
      return;
    }
    const { default: copy } = await import('pg-copy-streams');
    const into = build.query(copy.from(`COPY ${sqlName(table)} (${quotedColumns(table)}) FROM STDIN`));
    const { pipeline } = await import('node:stream/promises');
    const hash = createHash('sha256');
    await pipeline(async function* () {
      for await (const rows of tableRows(client, inStoredOrder(table))) {
        hash.update(rows);
        yield rows;
      }
    }, into);
    kept.set(sqlName(table), hash.digest('hex'));
  });
  return kept;
}

/** Error: `refused` when these rows changed in the live database since they were copied. */
export async function requireSameRows(
  context: EngineContext,
  live: Address,
  kept: KeptRows,
): Promise<number> {
  if (context.database.excludeTable.length === 0) return 0;
  await withRows(context, live, async (client, table) => {
    const hash = createHash('sha256');
    for await (const rows of tableRows(client, inStoredOrder(table))) hash.update(rows);
    const before = kept.get(sqlName(table));
    if (before === undefined ? await hasRows(client, table) : before !== hash.digest('hex'))
      throw new PitrError(
        'refused',
        `The table ${table.schema}.${table.name} of the database "${context.database.name}", whose rows are not recorded, changed during the restore; nothing was changed.`,
        { hints: ['Run the command again.'] },
      );
  });
  return 1;
}

/** The sequences behind these tables go on from where they are: a number that is in use is not given out again. */
export async function advanceSequences(
  context: EngineContext,
  live: Address,
  build: Address,
  kept: KeptRows,
): Promise<void> {
  if (kept.size === 0) return;
  const statements: string[] = [];
  await withRows(context, live, async (client, table) => {
    if (!kept.has(sqlName(table))) return;
    for (const { sequence } of await ask<{ sequence: string }>(
      client,
      `SELECT DISTINCT pg_get_serial_sequence($1, attname) AS sequence FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND pg_get_serial_sequence($1, attname) IS NOT NULL`,
      [sqlName(table)],
    )) {
      const [at] = await ask<{ value: string; called: boolean }>(
        client,
        `SELECT last_value::text AS value, is_called AS called FROM ${sequence}`,
      );
      if (at?.called === true)
        statements.push(
          `SELECT setval(${quoteText(sequence)}, ${at.value}) FROM ${sequence} WHERE last_value < ${at.value};`,
        );
    }
  });
  await withClient(build, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

async function withRows(
  context: EngineContext,
  live: Address,
  work: (client: Client, table: Table) => Promise<void>,
): Promise<void> {
  await withClient(live, async (client) => {
    await client.query(sessionSettings('UTF8'));
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    for (const table of await excluded(context, client)) await work(client, table);
    await client.query('COMMIT');
  });
}

async function excluded(context: EngineContext, client: Client): Promise<Table[]> {
  const tables = await tablesOf(client);
  return tables.filter((table) => table.holdsRows && isExcluded(table, context.database.excludeTable));
}

function inStoredOrder(table: Table): Table {
  return { ...table, key: [], condition: '' };
}

function quotedColumns({ columns }: Table): string {
  return columns.map((column) => `"${column.replaceAll('"', '""')}"`).join(', ');
}

async function hasRows(client: Client, table: Table): Promise<boolean> {
  return (await ask(client, `SELECT 1 FROM ONLY ${sqlName(table)} LIMIT 1`)).length > 0;
}

function wouldBeLost(context: EngineContext, table: Table, columns: readonly string[]): PitrError {
  const what = columns.length === 0 ? 'was not there then' : `had no ${columns.join(', ')} then`;
  return new PitrError(
    'refused',
    `The rows of ${table.schema}.${table.name} in the database "${context.database.name}" are not recorded (excludeTable), and the table ${what}: they would be lost. Nothing was changed.`,
    {
      hints: [
        `Copy the rows elsewhere and empty the table, or record them: git config --unset-all pitr.database.${context.database.name}.excludeTable`,
      ],
    },
  );
}
