import type { CapturedDatabase, EngineContext } from '../../engine.ts';
import type { DatabaseChange, SchemaChange } from '../../rows.ts';
import { damagedCopy } from '../format/pages.ts';
import type { SchemaObject } from '../format/schema.ts';
import { changedPages } from './changed.ts';
import { compareTable } from './compare.ts';
import { imageStore, noSuchTable, RecordedState } from './state.ts';

/**
 * What differs between two recorded databases, read from the chunks that differ and the few pages that lead to them:
 * the contract is in `../../engine.ts`. Definitions come first, then rows, table by table.
 */
export async function* diffSqlite(
  { repository, database }: EngineContext,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: readonly string[],
): AsyncGenerator<DatabaseChange> {
  const store = imageStore(repository);
  let states: [RecordedState, RecordedState] | undefined;
  try {
    states = [await RecordedState.open(store, from), await RecordedState.open(store, to)];
    const names = namesOf(states, tables, database.name);
    yield* schemaChanges(states, tables === undefined ? undefined : names);
    const changed = await changedPages(states[0].pages, states[1].pages);
    for (const name of names)
      yield* compareTable(await states[0].table(name), await states[1].table(name), changed);
  } catch (error) {
    throw damagedCopy(database.name, error);
  } finally {
    for (const state of states ?? []) state.close();
  }
}

/** The tables to compare, as they are written in the schema. Error: `noMatch` for one that neither state has. */
function namesOf(
  [from, to]: readonly [RecordedState, RecordedState],
  wanted: readonly string[] | undefined,
  database: string,
): string[] {
  const all = [...new Set([...from.tables, ...to.tables])].toSorted();
  if (wanted === undefined) return all;
  return wanted.map((name) => {
    const found = to.find(name) ?? from.find(name);
    if (found === undefined) throw noSuchTable(database, name, all);
    return found.name;
  });
}

function* schemaChanges(
  [from, to]: readonly [RecordedState, RecordedState],
  tables: readonly string[] | undefined,
): Generator<SchemaChange> {
  const isMeant = ({ name, table, sql }: SchemaObject) =>
    sql !== undefined && !name.startsWith('sqlite_') && (tables === undefined || tables.includes(table));
  const keyed = (state: RecordedState) =>
    new Map(state.objects.filter(isMeant).map((object) => [`${object.type} ${object.name}`, object]));
  const [before, after] = [keyed(from), keyed(to)];
  for (const key of [...new Set([...before.keys(), ...after.keys()])].toSorted()) {
    const [old, recent] = [before.get(key), after.get(key)];
    if (old?.sql === recent?.sql) continue;
    yield {
      kind: 'schema',
      object: (recent ?? old)?.name ?? '',
      type: (recent ?? old)?.type ?? '',
      ...(old?.sql === undefined ? {} : { before: old.sql }),
      ...(recent?.sql === undefined ? {} : { after: recent.sql }),
    };
  }
}
