import { createHash } from '../../system/crypto.ts';
import { open, rm } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import { progressOf } from '../../system/progress.ts';
import { readImage } from '../chunks.ts';
import type { Repository } from '../../git/repository.ts';
import { resolveTree } from '../../git/trees.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { type JournalVersions, journalVersions, rollbackVersions } from './header.ts';

/** Writes the content of a copy to a new file and checks it against the recorded hash. Nothing is left on failure. */
export async function writeTarget(
  context: EngineContext,
  source: CapturedDatabase,
  file: string,
): Promise<void> {
  if (!(await holdsImage(context.repository, source.tree))) return writeFromText(context, source, file);
  const progress = progressOf(context.repository);
  progress?.begin(`preparing the database ${source.name}`, { bytes: source.bytes });
  const handle = await open(file, 'wx', 0o644);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of readImage(context.repository, source.tree)) {
      context.signal?.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
      progress?.advance({ bytes: chunk.length });
      await handle.writeFile(chunk);
    }
    if (bytes !== source.bytes || hash.digest('hex') !== source.sha256) {
      throw new PitrError(
        'integrity',
        `The recorded copy of the database "${source.name}" is not what was captured; nothing was changed.`,
        {
          hints: ['git fsck --full', 'git pitr verify looks for an intact snapshot.'],
        },
      );
    }
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** True for a copy that has the database file itself. */
export async function holdsImage(repository: Repository, tree: string): Promise<boolean> {
  return (await resolveTree(repository, `${tree}:image`)) !== '';
}

async function writeFromText(context: EngineContext, source: CapturedDatabase, file: string): Promise<void> {
  const { buildFromText } = await import('./text/build.ts');
  try {
    await buildFromText(context, source, file);
    const handle = await open(file, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

/** The journal mode that a copy was recorded with. */
export async function imageVersions(
  repository: Repository,
  source: CapturedDatabase,
): Promise<JournalVersions> {
  if (!(await holdsImage(repository, source.tree)))
    return (await import('./text/build.ts')).textVersions(repository, source);
  for await (const chunk of readImage(repository, source.tree)) return journalVersions(chunk);
  return rollbackVersions;
}
