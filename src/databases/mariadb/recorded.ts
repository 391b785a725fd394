import type { Repository } from '../../git/repository.ts';
import type { CapturedDatabase } from '../engine.ts';
import { readText } from '../text/reader.ts';
import type { Definition, DefinitionType } from './definitions.ts';
import { requireKnown, statementsOf } from './load.ts';

const quoted = '`(?:[^`]|``)*`';
const made = new RegExp(
  `^CREATE DEFINER=${quoted}(?:@${quoted})? (TRIGGER|EVENT) (${quoted}) (?:\\w+ \\w+ ON (${quoted}))?`,
);

/**
 * The triggers or events in a part of a copy, with the settings that belong to them.
 * @param usual collation of the database
 */
export async function recordedDefinitions(
  repository: Repository,
  { name, tree }: Pick<CapturedDatabase, 'name' | 'tree'>,
  part: string,
  usual: string,
): Promise<Definition[]> {
  async function* text(): AsyncGenerator<Buffer> {
    for await (const { content } of readText(repository, tree, [part])) yield content;
  }
  const definitions: Definition[] = [];
  let settings: string[] = [];
  let collation = usual;
  for await (const statement of statementsOf(text())) {
    requireKnown(name, statement);
    const other = /^ALTER DATABASE .* COLLATE (\w+)$/.exec(statement)?.[1];
    if (other !== undefined) collation = other;
    else if (statement.startsWith('SET ')) settings.push(statement);
    else {
      const [, type, called = '', table] = made.exec(statement) ?? [];
      if (type !== undefined)
        definitions.push({
          type: type as DefinitionType,
          name: unquoted(called),
          settings,
          create: statement,
          collation,
          ...(table === undefined || type === 'EVENT' ? {} : { table: unquoted(table) }),
        });
      settings = [];
    }
  }
  return definitions;
}

function unquoted(name: string): string {
  return name.slice(1, -1).replaceAll('``', '`');
}
