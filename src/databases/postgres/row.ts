import { PitrError } from '../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import type { Row } from '../rows.ts';
import { readText } from '../text/reader.ts';
import { RecordedCopy } from './copies.ts';
import { writeField } from './copyText.ts';
import { unknownTable } from './diff.ts';

/** The row of a key in a copy: the contract is in `../engine.ts`. Reads the table, and nothing else of it than bytes. */
export async function rowOfPostgres(
  { repository }: EngineContext,
  copy: CapturedDatabase,
  table: string,
  key: readonly string[],
): Promise<Row | undefined> {
  const recorded = await RecordedCopy.read(repository, copy.tree);
  const folders = recorded.tablesNamed(table);
  if (folders === undefined) throw unknownTable(table, [...recorded.parts.keys()]);
  for (const folder of folders) {
    const found = await rowIn(repository, recorded, folder, key);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function rowIn(
  repository: EngineContext['repository'],
  recorded: RecordedCopy,
  folder: string,
  key: readonly string[],
): Promise<Row | undefined> {
  const table = await recorded.table(folder);
  if (table.key.length === 0)
    throw new PitrError('noMatch', `The table ${table.name} has no primary key, so no row of it has a name.`);
  if (table.key.length !== key.length)
    throw new PitrError(
      'noMatch',
      `The key of ${table.name} is ${table.key.join(', ')}: ${table.key.length} ${table.key.length === 1 ? 'value' : 'values'}, not ${key.length}.`,
    );
  const places = table.key.map((name) => table.columns.findIndex((column) => column.name === name));
  const fields = key.map(writeField);
  // Looked for as bytes first: few chunks hold the text of the key at all.
  const needle = Buffer.from(fields.toSorted((a, b) => b.length - a.length)[0] ?? '', 'latin1');
  let rest = '';
  for await (const { content } of readText(repository, recorded.tree, [table.part])) {
    if (rest === '' && content.at(-1) === 10 && !content.includes(needle)) continue;
    const lines = (rest + content.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (table.isFrame(line)) continue;
      const values = line.split('\t');
      if (places.every((place, index) => values[place] === fields[index])) return table.row(line);
    }
  }
  return undefined;
}
