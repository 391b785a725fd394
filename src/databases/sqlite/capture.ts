import { closeSync, fstatSync, openSync } from 'node:fs';
import { currentTime } from '../../system/clock.ts';
import { progressOf } from '../../system/progress.ts';
import { chunkSize } from '../chunks.ts';
import { type FileView, hashView } from '../fileView.ts';
import { writeView } from '../imageWriter.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { countRows, damageSeen } from './check.ts';
import { copyLive } from './copy.ts';
import { headerSize, normalisedHeader, readStart } from './header.ts';
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
import { isUnchanged, rememberSignature, takeSignature } from './signature.ts';

/** Records a live database: the contract is in `../engine.ts`. */
export async function captureSqlite(
  context: EngineContext,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const live = livePath(context);
  requireFile(context.database.name, live);
  const signature = takeSignature(live);
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
  const { name } = context.database;
  const { repository, signal } = context;
  progressOf(repository)?.begin(`recording the database ${name}`, { bytes: view.bytes });
  // A large database is hashed in a thread while it is checked here: each takes about as long.
  const hashing = hashView(repository, view, chunkSize, signal);
  hashing.catch(() => {}); // awaited below, unless the check fails first
  const damage = view.bytes === 0 ? undefined : damageSeen(connection);
  if (damage !== undefined) throw damaged(name, live, damage);
  const tables = view.bytes === 0 ? {} : countRows(connection, view.bytes);
  const hashes = await hashing;
  const { tree, sha256 } = await writeView(repository, view, hashes, previous?.tree);
  return {
    name,
    engine: 'sqlite',
    bytes: view.bytes,
    sha256,
    tree,
    version: connection.prepare('SELECT sqlite_version()').pluck().get() as string,
    ...(tables === undefined ? {} : { tables }),
    time: new Date(instant).toISOString(),
  };
}
