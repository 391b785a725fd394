import { existsSync } from 'node:fs';
import { PitrError } from '../../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../../engine.ts';
import { journalVersions, normaliseHeader, readHeader, rollbackVersions } from '../header.ts';
import { type Connection, type Deadline, deadlineOf, explain, livePath, untilFree } from '../open.ts';
import { checkpoint, requireState } from '../overwrite.ts';
import { prepareSource, vanished } from '../restore.ts';
import { sameMark, Watch } from '../watch.ts';
import { ForeignKeys, type Needed } from './foreignKeys.ts';
import { bringTable, requireOrdinary, tableName } from './table.ts';

/**
 * Brings tables of a live database to a recorded state: the contract is in `../../engine.ts`. One transaction of
 * SQLite's own, so that whatever stops it leaves the old state.
 */
export async function restoreSqliteTables(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase,
  tables: readonly string[],
): Promise<void> {
  const live = livePath(context);
  if (!existsSync(live)) throw vanished(target.name, live);
  const source = await prepareSource(context, target);
  if (journalVersions(readHeader(source)).read !== 1) normaliseHeader(source, rollbackVersions);
  const deadline = deadlineOf(context);
  try {
    const watch = await untilFree(target.name, deadline, () => Watch.open(live));
    try {
      await inOneTransaction(context, watch, source, now, tables, deadline);
      checkpoint(watch);
      watch.sync();
    } finally {
      watch.close();
    }
  } catch (error) {
    throw explain(target.name, live, error);
  }
}

async function inOneTransaction(
  context: EngineContext,
  watch: Watch,
  source: string,
  now: CapturedDatabase,
  tables: readonly string[],
  deadline: Deadline,
): Promise<void> {
  const { connection } = watch;
  const { name } = context.database;
  // Deleting and writing rows must not set off what rows of other tables do then; the check at the end is ours.
  connection.pragma('foreign_keys = OFF');
  // Rows that break a rule of their table were there, and come back.
  connection.pragma('ignore_check_constraints = ON');
  connection.prepare('ATTACH ? AS target').run(source);
  for (;;) {
    const mark = await requireState(context, watch, now, deadline);
    await untilFree(name, deadline, () => void connection.exec('BEGIN IMMEDIATE'));
    try {
      // Under the write lock nobody commits; what was committed right before it is recorded first.
      if (!sameMark(mark, watch.mark())) continue;
      bringAll(name, connection, tables);
      await untilFree(name, deadline, () => void connection.exec('COMMIT'));
      return;
    } finally {
      if (connection.inTransaction) connection.exec('ROLLBACK');
    }
  }
}

function bringAll(name: string, connection: Connection, tables: readonly string[]): void {
  const names = [...new Set(tables.flatMap((table) => tableName(connection, table) ?? []))];
  for (const table of names) requireOrdinary(name, connection, table);
  const keys = new ForeignKeys(connection);
  for (const table of names) keys.watch(table);
  for (const table of names) bringTable(name, connection, table);
  const broken = keys.broken();
  if (broken.length > 0) throw refusal(name, connection, names, keys, broken);
}

/** Finds all tables that would have to come along, by bringing them along: the transaction is rolled back anyway. */
function refusal(
  name: string,
  connection: Connection,
  asked: readonly string[],
  keys: ForeignKeys,
  broken: readonly Needed[],
): PitrError {
  const together = new Set(asked);
  const [first] = broken as [Needed];
  for (let next = broken; next.length > 0; next = keys.broken()) {
    const more = next.flatMap(({ child, parent }) => [child, parent]).filter((table) => !together.has(table));
    if (more.length === 0) break; // it was like that then
    for (const table of new Set(more)) {
      together.add(table);
      keys.watch(table);
      requireOrdinary(name, connection, table);
      bringTable(name, connection, table);
    }
  }
  const tables = [...together];
  const rows = `${first.rows} ${first.rows === 1 ? 'row' : 'rows'}`;
  return new PitrError(
    'refused',
    `The table "${asked.join('", "')}" of the database "${name}" cannot be restored alone: ${rows} of "${first.child}" would refer to rows of "${first.parent}" that are not there. Nothing was changed.`,
    {
      hints: [
        `Restore these together: ${tables.map((table) => `--db ${name}.${table}`).join(' ')}`,
        `Or all of it: --db ${name}`,
      ],
      details: { tables },
    },
  );
}
