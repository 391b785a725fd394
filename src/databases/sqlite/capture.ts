import { statSync } from 'node:fs';
import { currentTime } from '../../system/clock.ts';
import { progressOf } from '../../system/progress.ts';
import { writeImage } from '../imageWriter.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { countRows, findDamage } from './check.ts';
import { copyLive } from './copy.ts';
import { normaliseHeader } from './header.ts';
import { damaged, deadlineOf, explain, livePath, requireFile } from './open.ts';
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
    const captured = await copyAndRecord(context, live, previous);
    rememberSignature(context, captured, signature);
    return captured;
  } catch (error) {
    throw explain(context.database.name, live, error);
  }
}

/**
 * The seam for issue 4: where direct reads under a read lock are proven safe, `copyLive` is not needed, and
 * `writeImage` can read the live file itself.
 */
async function copyAndRecord(
  context: EngineContext,
  live: string,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const { name } = context.database;
  const copy = await copyLive(context, live, 'capture.db', deadlineOf(context));
  const progress = progressOf(context.repository);
  progress?.begin(`checking the database ${name}`);
  const damage = await findDamage(copy.file);
  if (damage !== undefined) throw damaged(name, live, damage);
  const tables = await countRows(copy.file);
  normaliseHeader(copy.file, copy.versions);
  progress?.begin(`recording the database ${name}`, { bytes: statSync(copy.file).size });
  const image = await writeImage(context.repository, copy.file, previous?.tree);
  return {
    name,
    engine: 'sqlite',
    bytes: statSync(copy.file).size,
    sha256: image.sha256,
    tree: image.tree,
    version: await sqliteVersion(),
    ...(tables === undefined ? {} : { tables }),
    time: new Date(copy.instant).toISOString(),
  };
}

async function sqliteVersion(): Promise<string> {
  const { default: Database } = await import('better-sqlite3');
  const connection = new Database(':memory:');
  try {
    return connection.prepare('SELECT sqlite_version()').pluck().get() as string;
  } finally {
    connection.close();
  }
}
