import { closeSync, fstatSync, openSync } from 'node:fs';
import { messageOf, PitrError } from '../../errors.ts';
import { resolveTree } from '../../git/trees.ts';
import { currentTime } from '../../system/clock.ts';
import { progressOf } from '../../system/progress.ts';
import { chunkSize } from '../chunks.ts';
import { type FileView, hashView, readView } from '../fileView.ts';
import { type WrittenImage, writeView } from '../imageWriter.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { countRows, damageSeen, ruleBroken } from './check.ts';
import { copyLive } from './copy.ts';
import { headerSize, journalVersions, normalisedHeader, readStart, rollbackVersions } from './header.ts';
import { openLiveView } from './liveView.ts';
import {
  type Connection,
  damaged,
  deadlineOf,
  explain,
  livePath,
  openDatabase,
  requireFile,
} from './open.ts';
import { isUnchanged, rememberSignature, type Signature, takeSignature } from './signature.ts';

/** Records a live database: the contract is in `../engine.ts`. */
export async function captureSqlite(
  context: EngineContext,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const live = livePath(context);
  requireFile(context.database.name, live);
  const signature = signatureOf(context, live);
  if (previous !== undefined && signature !== undefined && isUnchanged(context, previous, signature)) {
    return { ...previous, time: new Date(currentTime()).toISOString() };
  }
  try {
    const captured = await recordLive(context, live, previous);
    rememberSignature(context, captured, signature);
    return captured;
  } catch (error) {
    throw explain(context.database.name, live, error);
  }
}

/** Another format makes another copy of the same state. */
function signatureOf({ database }: EngineContext, live: string): Signature | undefined {
  const signature = takeSignature(live);
  if (signature === undefined || database.format === 'image') return signature;
  return { ...signature, text: `${signature.text}\n${database.format}` };
}

/** In WAL mode the files are read as they are; otherwise SQLite makes a copy, so that writers wait no longer than that. */
async function recordLive(
  context: EngineContext,
  live: string,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const deadline = deadlineOf(context);
  const direct = await openLiveView(context, live, deadline);
  if (direct !== undefined) {
    try {
      return await record(context, live, direct, previous);
    } finally {
      direct.close();
    }
  }
  const copy = await copyLive(context, live, 'capture.db', deadline);
  const connection = await openDatabase(copy.file, { readonly: true });
  const main = openSync(copy.file, 'r');
  try {
    const { size } = fstatSync(main);
    const patches =
      size === 0 ? [] : [{ at: 0, content: normalisedHeader(readStart(main, headerSize), copy.versions) }];
    const view: FileView = { bytes: size, main, patches };
    return await record(context, live, { connection, view, instant: copy.instant }, previous);
  } finally {
    connection.close();
    closeSync(main);
  }
}

interface Readable {
  /** Sees what is in the view. */
  connection: Connection;
  view: FileView;
  instant: number;
}

async function record(
  context: EngineContext,
  live: string,
  { connection, view, instant }: Readable,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const { name, format } = context.database;
  const { repository, signal } = context;
  progressOf(repository)?.begin(`recording the database ${name}`, { bytes: view.bytes });
  // A large database is hashed in a thread while it is checked here: each takes about as long.
  const hashing = format === 'sql' ? undefined : hashView(repository, view, chunkSize, signal);
  hashing?.catch(() => {}); // awaited below, unless the check fails first
  const damage = view.bytes === 0 ? undefined : damageSeen(connection);
  if (damage !== undefined) throw damaged(name, live, damage);
  const tables = view.bytes === 0 ? {} : countRows(connection, view.bytes);
  const image = hashing && (await writeView(repository, view, await hashing, previous?.tree));
  const copy =
    format === 'image' && image !== undefined ? image : await withText(context, connection, view, image);
  return {
    name,
    engine: 'sqlite',
    bytes: copy.bytes,
    sha256: copy.sha256,
    tree: copy.tree,
    version: connection.prepare('SELECT sqlite_version()').pluck().get() as string,
    ...(tables === undefined ? {} : { tables }),
    time: new Date(instant).toISOString(),
  };
}

/** SQL text, beside an image or alone. With an image, that is what size and hash are of. */
async function withText(
  { repository, database }: EngineContext,
  connection: Connection,
  view: FileView,
  image: WrittenImage | undefined,
): Promise<{ tree: string; bytes: number; sha256: string }> {
  const { recordText } = await import('./text/record.ts');
  const versions = view.bytes === 0 ? rollbackVersions : journalVersions(readView(view, 0, headerSize));
  if (image === undefined) await requireLoadable(database.name, connection);
  const beside = image && (await resolveTree(repository, `${image.tree}:image`));
  const text = await recordText(repository, connection, versions, beside);
  return image === undefined ? text : { ...image, tree: text.tree };
}

/** Error: `failed` for what is there, and which no statement would bring back. */
async function requireLoadable(name: string, connection: Connection): Promise<void> {
  const problem = ruleBroken(connection) ?? (await unmakeable(connection));
  if (problem === undefined) return;
  throw new PitrError(
    'failed',
    `The database "${name}" cannot be recorded as SQL text alone, because no statement would bring this back: ${problem}.`,
    { hints: [`git config pitr.database.${name}.format both`] },
  );
}

async function unmakeable(connection: Connection): Promise<string | undefined> {
  const { rehearse } = await import('./text/build.ts');
  const { scriptParts } = await import('./text/script.ts');
  try {
    await rehearse(scriptParts(connection));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
