import { resolveTree } from '../../git/trees.ts';
import type { EngineContext } from '../engine.ts';
import { tableName } from '../text/layout.ts';
import { readText } from '../text/reader.ts';
import { writeText } from '../text/writer.ts';
import type { Client } from './connect.ts';
import type { RecordedCopy } from './copies.ts';
import { tableText } from './script.ts';
import type { Table } from './tables.ts';

/** The rows of one table, recorded and live: equal when the trees of their chunks are. */

/** The tree of the chunks of a recorded table's rows; '' for none. */
export function partOid(copy: RecordedCopy, name: string): string {
  return copy.parts.get(tableName(name))?.oid ?? '';
}

/** The tree of the chunks of a live table's rows; '' for none. */
export async function liveRows(
  context: EngineContext,
  client: Client,
  database: string,
  live: Table,
): Promise<string> {
  const path = 'sql/1-data/0000-table';
  const content = tableText({ client, database }, live, { rows: {}, hashes: {} });
  const { tree } = await writeText(context.repository, [{ path, content }], { about: { engine: 'mariadb' } });
  return resolveTree(context.repository, `${tree}:${path}`);
}

export async function* contents(context: EngineContext, tree: string, part: string): AsyncGenerator<Buffer> {
  for await (const { content } of readText(context.repository, tree, [part])) yield content;
}
