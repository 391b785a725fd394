import { PitrError } from '../../errors.ts';
import type { TextChunk } from '../text/reader.ts';
import { splitLines } from '../text/lines.ts';
import type { Client } from './connect.ts';

/**
 * Runs a recorded script on a connection, without the client program: a snapshot from elsewhere cannot run commands of
 * that (`\!`, `system`) on this machine, and only statements of the kinds that scripts consist of.
 * Error: `failed` with the server's reason; `integrity` for what is no script.
 */
export async function loadScript(
  client: Client,
  name: string,
  chunks: AsyncIterable<TextChunk>,
  skip: (part: string) => boolean = () => false,
): Promise<void> {
  async function* wanted(): AsyncGenerator<Buffer> {
    for await (const { part, content } of chunks) if (!skip(part)) yield content;
  }
  for await (const statement of statementsOf(wanted())) await client.run(requireKnown(name, statement));
}

/** The statements of a script, without their ends. Their lines are UTF-8. */
export async function* statementsOf(text: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let end = ';';
  let lines: string[] = [];
  for await (const raw of splitLines(text)) {
    const line = Buffer.from(raw, 'latin1').toString('utf8');
    if (lines.length === 0) {
      const delimiter = /^DELIMITER (.+)$/.exec(line)?.[1];
      if (delimiter !== undefined) end = delimiter;
      if (delimiter !== undefined || line === '' || line.startsWith('-- ')) continue;
    }
    if (!line.endsWith(end)) {
      lines.push(line);
      continue;
    }
    const last = line.slice(0, -end.length);
    yield [...lines, ...(last === '' ? [] : [last])].join('\n');
    lines = [];
  }
  if (lines.length > 0)
    throw new PitrError('integrity', 'A recorded script ends in the middle of a statement.');
}

/** Names are never those of other databases. */
const kinds = [
  /^INSERT INTO `(?:[^`]|``)*` \(/,
  /^CREATE (TABLE|SEQUENCE) `(?:[^`]|``)*` /,
  /^CREATE (DEFINER|ALGORITHM|VIEW|FUNCTION|PROCEDURE|AGGREGATE|SQL|EVENT|TRIGGER)\b/,
  /^ALTER DATABASE CHARACTER SET /,
  /^DO SETVAL\(`/,
  /^COMMIT$/,
  /^SET @pitr_\d+ = /,
  /^SET NAMES utf8mb4$/,
  /^SET (time_zone|sql_mode) = '[^']*'$/,
  /^SET (character_set_client|collation_connection) = \w+$/,
  /^SET (foreign_key_checks|unique_checks|check_constraint_checks|autocommit|system_versioning_insert_history) = [01]$/,
];

/** The statement, if it is of a kind that scripts consist of. Error: `integrity`. */
export function requireKnown(name: string, statement: string): string {
  if (kinds.some((kind) => kind.test(statement))) return statement;
  throw new PitrError(
    'integrity',
    `The copy of the database "${name}" holds a statement that git-pitr does not write: ${statement.slice(0, 80)}`,
    { hints: ['It is not run. If the snapshot came from elsewhere, look at it: git pitr show.'] },
  );
}
