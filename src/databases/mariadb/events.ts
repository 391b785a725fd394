import type { Repository } from '../../git/repository.ts';
import type { CapturedDatabase } from '../engine.ts';
import { readText } from '../text/reader.ts';
import type { Definition } from './definitions.ts';
import { statementsOf } from './load.ts';
import { eventPart } from './script.ts';

const quoted = '`(?:[^`]|``)*`';
const eventName = new RegExp(`^CREATE DEFINER=${quoted}(?:@${quoted})? EVENT (${quoted}) `);

/**
 * The events of a copy. They are never made in a database that is only being built: they might run there.
 * @param usual collation of the database
 */
export async function recordedEvents(
  repository: Repository,
  { tree }: CapturedDatabase,
  usual: string,
): Promise<Definition[]> {
  async function* text(): AsyncGenerator<Buffer> {
    for await (const { content } of readText(repository, tree, [eventPart])) yield content;
  }
  const events: Definition[] = [];
  let settings: string[] = [];
  let collation = usual;
  for await (const statement of statementsOf(text())) {
    const name = eventName.exec(statement)?.[1];
    const other = /^ALTER DATABASE .* COLLATE (\w+)$/.exec(statement)?.[1];
    if (other !== undefined) collation = other;
    else if (name === undefined) settings.push(statement);
    if (name === undefined) continue;
    events.push({
      type: 'EVENT',
      name: name.slice(1, -1).replaceAll('``', '`'),
      settings,
      create: statement,
      collation,
    });
    settings = [];
  }
  return events;
}
