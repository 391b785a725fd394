import { PitrError } from '../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import type { DatabaseChange, Row, SchemaChange } from '../rows.ts';
import { tableName } from '../text/layout.ts';
import { differentLines, splitLines } from '../text/lines.ts';
import { readText } from '../text/reader.ts';
import { printed, rowChanges } from '../text/rowChanges.ts';
import { RecordedCopy, type RecordedTable, type SchemaObject } from './copies.ts';

/** What differs between two copies: the contract is in `../engine.ts`. Values of counters and sequences are left out. */
export async function* diffMariadb(
  { repository }: EngineContext,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: readonly string[],
): AsyncGenerator<DatabaseChange> {
  const before = await RecordedCopy.read(repository, from?.tree ?? '');
  const after = await RecordedCopy.read(repository, to?.tree ?? '');
  const all = [...new Set([...before.tables, ...after.tables])].toSorted();
  for (const table of tables ?? []) if (!all.includes(table)) throw unknownTable(table, all);
  yield* definitions(before, after, tables);
  for (const name of all) {
    if (tables !== undefined && !tables.includes(name)) continue;
    const [a, b] = [before.parts.get(tableName(name)), after.parts.get(tableName(name))];
    if (a?.oid === b?.oid) continue;
    const lines = differentLines(
      repository,
      a && { tree: before.tree, part: a.part },
      b && { tree: after.tree, part: b.part },
    );
    yield* rowChanges(lines, before.table(name), after.table(name));
  }
}

function unknownTable(table: string, known: readonly string[]): PitrError {
  const shown = known.slice(0, 20).join(', ') + (known.length > 20 ? ' …' : '');
  return new PitrError('noMatch', `There is no table "${table}" in these copies of the database.`, {
    hints: [known.length === 0 ? 'They hold no table.' : `Tables: ${shown}.`],
  });
}

/** The definitions that differ; of some tables only these and their triggers. */
function* definitions(
  before: RecordedCopy,
  after: RecordedCopy,
  tables: readonly string[] | undefined,
): Generator<SchemaChange> {
  const [was, is] = [byName(before.objects), byName(after.objects)];
  for (const key of [...new Set([...was.keys(), ...is.keys()])].toSorted()) {
    const [a, b] = [was.get(key), is.get(key)];
    if (a?.sql === b?.sql) continue;
    const { name, type, table } = (b ?? a) as SchemaObject;
    if (tables !== undefined && !tables.includes(type === 'table' ? name : (table ?? ''))) continue;
    yield {
      kind: 'schema',
      object: name,
      type,
      ...(a === undefined ? {} : { before: a.sql }),
      ...(b === undefined ? {} : { after: b.sql }),
    };
  }
}

function byName(objects: readonly SchemaObject[]): Map<string, SchemaObject> {
  return new Map(objects.map((object) => [`${object.type}\0${object.name}`, object]));
}

/** The row of a key in a copy: the contract is in `../engine.ts`. Reads the table, and parses what may be the row. */
export async function rowOfMariadb(
  { repository }: EngineContext,
  copy: CapturedDatabase,
  name: string,
  key: readonly string[],
): Promise<Row | undefined> {
  const recorded = await RecordedCopy.read(repository, copy.tree);
  const table = recorded.table(name);
  if (table === undefined) throw unknownTable(name, recorded.tables);
  requireKey(table, key);
  if (table.part === undefined) return undefined;
  const wanted = table.key.map((column, index) => [column, key[index]] as const);
  // Few lines hold the text of the key at all; a text with other characters may be written otherwise.
  const needle =
    key.filter((text) => /^[\w .:-]+$/.test(text)).toSorted((a, b) => b.length - a.length)[0] ?? '(';
  for await (const line of splitLines(contents(repository, recorded.tree, table.part))) {
    if (table.isFrame(line) || !line.includes(needle)) continue;
    const row = table.row(line);
    if (wanted.every(([column, text]) => printed(row[column] ?? null) === text)) return row;
  }
  return undefined;
}

async function* contents(
  repository: EngineContext['repository'],
  tree: string,
  part: string,
): AsyncGenerator<Buffer> {
  for await (const { content } of readText(repository, tree, [part])) yield content;
}

function requireKey({ name, key: columns }: RecordedTable, key: readonly string[]): void {
  if (columns.length === 0)
    throw new PitrError('noMatch', `The table ${name} has no primary key, so no row of it has a name.`);
  if (columns.length !== key.length)
    throw new PitrError(
      'noMatch',
      `The key of ${name} is ${columns.join(', ')}: ${columns.length} ${columns.length === 1 ? 'value' : 'values'}, not ${key.length}.`,
    );
}
