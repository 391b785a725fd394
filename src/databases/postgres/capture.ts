import path from 'node:path';
import { currentTime } from '../../system/clock.ts';
import { progressOf } from '../../system/progress.ts';
import { randomId } from '../../system/files.ts';
import { createHash } from '../../system/crypto.ts';
import type { Repository } from '../../git/repository.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { postData, preData } from '../text/layout.ts';
import { readText } from '../text/reader.ts';
import { writeText } from '../text/writer.ts';
import { type Address, addressOf } from './address.ts';
import { removeLeftovers } from './builds.ts';
import { aboutOf, sequenceValues, serverOf } from './catalog.ts';
import { askOne, type Client, withClient } from './connect.ts';
import { aliasesOf, isUnchanged, rememberState } from './memory.ts';
import { openRows } from './rowData.ts';
import { isExcluded, scriptParts } from './script.ts';
import { type Held, withSnapshot } from './snapshot.ts';
import { dumpSchema, findTools, type Schema } from './tools.ts';

/** Records a live database: the contract is in `../engine.ts`. */
export async function capturePostgres(
  context: EngineContext,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const address = addressOf(context.database);
  await removeLeftovers(context, address);
  if (previous !== undefined) {
    const signature = await presentSignature(context, address);
    if (signature !== undefined && isUnchanged(context, previous, signature))
      return { ...previous, time: new Date(currentTime()).toISOString() };
  }
  const { captured, signature } = await copyLive(context, address, previous?.tree);
  if (signature !== undefined) rememberState(context, captured, signature);
  return captured;
}

/** Bytes of rows that wait for the schema: what a server sends meanwhile. */
const readAhead = 16 * 1024 * 1024;

export interface Copied {
  captured: CapturedDatabase;
  /** Of the state that was copied; undefined where none can be had. */
  signature: string | undefined;
  /** Hash of the schema as pg_dump wrote it. */
  schema: string;
  /** `pg_current_snapshot()` of it. */
  snapshot: string;
}

/** Copies the live database. When all of it is what an earlier restore made, it is the copy that was restored. */
export async function copyLive(
  context: EngineContext,
  address: Address,
  previous: string | undefined,
): Promise<Copied> {
  const copied = await copyDatabase(context, address, previous);
  const alias = aliasesOf(context).find(({ restored }) => restored === copied.captured.tree);
  return { ...copied, captured: { ...copied.captured, ...alias?.recorded } };
}

/**
 * Copies the database at an address, whatever it is called there.
 * @param previous the tree of a copy that is likely to hold most of it
 */
export async function copyDatabase(
  context: EngineContext,
  address: Address,
  previous: string | undefined,
): Promise<Copied> {
  const { name } = context.database;
  progressOf(context.repository)?.begin(`recording the database ${name}`);
  return withSnapshot(context, address, async (held) => {
    const { client, server, tables } = held;
    const tools = await findTools(name, Math.floor(server.version / 10_000));
    const sequences = await sequenceValues(client);
    const about = await aboutOf(client, server.version);
    const counts: Record<string, number> = {};
    const copied = tables.filter(
      (table) => table.holdsRows && !isExcluded(table, context.database.excludeTable),
    );
    const [table] = copied;
    // The server reads the first rows while pg_dump looks through its catalogs.
    const first = table === undefined ? undefined : await openRows(client, table, readAhead);
    let failure: unknown;
    first?.on('error', (error) => (failure = error));
    const dumped = await dumpSchema(tools, address, {
      snapshot: held.exported,
      encoding: held.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
      file: path.join(context.scratchDir, `schema-${randomId()}`),
      lockTimeout: held.lockTimeout,
      signal: context.signal,
    }).catch((error: unknown) => {
      // Rows that could not be read end the transaction, and with it the state that pg_dump was to look at.
      throw failure ?? error;
    });
    const schema = await inRecordedWords(context, dumped);
    const parts = scriptParts({ client, schema, tables: copied, sequences, first }, counts);
    const written = await writeText(context.repository, parts, { about, previous });
    const captured: CapturedDatabase = {
      name,
      engine: 'postgres',
      bytes: written.bytes,
      sha256: written.sha256,
      tree: written.tree,
      version: server.versionText,
      tables: counts,
      time: new Date(held.instant).toISOString(),
    };
    const signature = await signatureOf(context, client, held, sequences);
    return { captured, signature, schema: hashOf(dumped), snapshot: held.snapshot };
  });
}

function hashOf({ before, after }: Schema): string {
  return createHash('sha256').update(`${before.length}\0`).update(before).update(after).digest('hex');
}

/** The schema in the words of an earlier copy, where it is known to be the same one (`memory.ts`). */
async function inRecordedWords(context: EngineContext, schema: Schema): Promise<Schema> {
  const alias = aliasesOf(context).find((one) => one.schema === hashOf(schema));
  if (alias === undefined) return schema;
  try {
    return {
      before: await partText(context.repository, alias.recorded.tree, preData),
      after: await partText(context.repository, alias.recorded.tree, postData),
    };
  } catch {
    return schema; // that copy is no longer there
  }
}

/** A part of a copy as one text: for schemas, not for rows. */
export async function partText(repository: Repository, tree: string, part: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const { content } of readText(repository, tree, [part])) chunks.push(content);
  return Buffer.concat(chunks);
}

/**
 * What no commit on the server leaves as it is. Every change of data or definitions takes a transaction number, so
 * while `pg_current_snapshot()` stays the same between two starts of one server, nothing was committed anywhere on it.
 * Sequences are the exception (up to 32 values without one): their values are compared. A standby gives no signature.
 */
async function signatureOf(
  context: EngineContext,
  client: Client,
  { snapshot, server }: Pick<Held, 'snapshot' | 'server'>,
  sequences: readonly string[],
): Promise<string | undefined> {
  if (server.inRecovery) return undefined;
  const row = await askOne<{ started: string; oid: string }>(
    client,
    `SELECT pg_postmaster_start_time()::text AS started,
      (SELECT oid FROM pg_database WHERE datname = current_database())::text AS oid`,
  );
  const sequenceHash = createHash('sha256').update(sequences.join('')).digest('hex');
  const { excludeTable } = context.database;
  const { host, port } = addressOf(context.database);
  return JSON.stringify([1, host, port, row.started, row.oid, snapshot, sequenceHash, excludeTable]);
}

async function presentSignature(context: EngineContext, address: Address): Promise<string | undefined> {
  return withClient(address, async (client) => {
    await client.query(`SET TimeZone = 'UTC'`);
    const server = await serverOf(client);
    const sequences = await sequenceValues(client);
    const { snapshot } = await askOne<{ snapshot: string }>(
      client,
      'SELECT pg_current_snapshot()::text AS snapshot',
    );
    return signatureOf(context, client, { snapshot, server }, sequences);
  });
}
