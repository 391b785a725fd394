import { PitrError } from '../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import type { DatabaseChange, SchemaChange } from '../rows.ts';
import { resolveTree } from '../../git/trees.ts';
import { differentLines } from '../text/lines.ts';
import { rowChanges } from '../text/rowChanges.ts';
import { partText } from './capture.ts';
import { RecordedCopy } from './copies.ts';
import type { SchemaObject } from './schemaText.ts';
import { databasePart, largeObjectPart } from './script.ts';

/** What differs between two copies: the contract is in `../engine.ts`. Values of sequences are left out. */
export async function* diffPostgres(
  { repository }: EngineContext,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: readonly string[],
): AsyncGenerator<DatabaseChange> {
  const before = await RecordedCopy.read(repository, from?.tree ?? '');
  const after = await RecordedCopy.read(repository, to?.tree ?? '');
  const wanted = tables === undefined ? undefined : foldersNamed(tables, before, after);
  yield* definitions(before, after, wanted);
  if (wanted === undefined) yield* others(repository, before.tree, after.tree);
  const folders = [...new Set([...before.parts.keys(), ...after.parts.keys()])].toSorted();
  for (const folder of folders) {
    const [a, b] = [before.parts.get(folder), after.parts.get(folder)];
    if (a?.oid === b?.oid || (wanted !== undefined && !wanted.has(folder))) continue;
    const [fromTable, toTable] = [
      a === undefined ? undefined : await before.table(folder),
      b === undefined ? undefined : await after.table(folder),
    ];
    const lines = differentLines(
      repository,
      a === undefined ? undefined : { tree: before.tree, part: a.part },
      b === undefined ? undefined : { tree: after.tree, part: b.part },
    );
    yield* rowChanges(lines, fromTable, toTable);
  }
}

/** Error: `noMatch` for a name that is a table of neither. */
function foldersNamed(tables: readonly string[], before: RecordedCopy, after: RecordedCopy): Set<string> {
  const folders = new Set<string>();
  for (const table of tables) {
    const found = [...(before.tablesNamed(table) ?? []), ...(after.tablesNamed(table) ?? [])];
    if (found.length === 0) throw unknownTable(table, [...before.parts.keys(), ...after.parts.keys()]);
    for (const folder of found) folders.add(folder);
  }
  return folders;
}

export function unknownTable(table: string, folders: readonly string[]): PitrError {
  const known = [...new Set(folders)].toSorted();
  const shown = known.slice(0, 20).join(', ') + (known.length > 20 ? ' …' : '');
  return new PitrError('noMatch', `There is no table "${table}" in these copies of the database.`, {
    hints: [known.length === 0 ? 'They hold no table with rows.' : `Tables: ${shown}.`],
  });
}

/** The definitions that differ; of some tables only these and what hangs on them. */
function* definitions(
  before: RecordedCopy,
  after: RecordedCopy,
  wanted: ReadonlySet<string> | undefined,
): Generator<SchemaChange> {
  const [was, is] = [byName(before.objects), byName(after.objects)];
  const names = [...new Set([...was.keys(), ...is.keys()])].toSorted();
  for (const name of names) {
    const [a, b] = [was.get(name), is.get(name)];
    if (a?.sql === b?.sql) continue;
    const object = (b ?? a) as SchemaObject;
    if (wanted !== undefined && ![a, b].some((one) => one !== undefined && isAbout(one, wanted))) continue;
    yield {
      kind: 'schema',
      object: object.name,
      type: object.type,
      ...(a === undefined ? {} : { before: a.sql }),
      ...(b === undefined ? {} : { after: b.sql }),
    };
  }
}

/** Objects may share a name (functions with other arguments do not): then they are numbered. */
function byName(objects: readonly SchemaObject[]): Map<string, SchemaObject> {
  const map = new Map<string, SchemaObject>();
  for (const object of objects) {
    let key = `${object.type}\0${object.name}`;
    while (map.has(key)) key += '\0';
    map.set(key, object);
  }
  return map;
}

function isAbout({ name, sql }: SchemaObject, folders: ReadonlySet<string>): boolean {
  for (const folder of folders) {
    const plain = readable(folder);
    if (name === plain || name.startsWith(`${plain} `)) return true;
    if (new RegExp(` ON (?:ONLY )?${plain.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}[ ;(]`).test(sql))
      return true;
  }
  return false;
}

/** The folder of a table as the name in a heading; a name that was cut stays as it is. */
function readable(folder: string): string {
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder;
  }
}

/** What is neither a row nor in pg_dump's text. */
async function* others(
  repository: EngineContext['repository'],
  before: string,
  after: string,
): AsyncGenerator<SchemaChange> {
  for (const [part, object, type] of [
    [databasePart, 'the database itself', 'database'],
    [largeObjectPart, 'large objects', 'large objects'],
  ] as const) {
    const oid = async (tree: string) => (tree === '' ? '' : resolveTree(repository, `${tree}:${part}`));
    if ((await oid(before)) === (await oid(after))) continue;
    const text = async (tree: string) =>
      tree === '' || part === largeObjectPart
        ? ''
        : (await partText(repository, tree, part)).toString('utf8');
    yield { kind: 'schema', object, type, before: await text(before), after: await text(after) };
  }
}
