import { existsSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { findDamage } from './check.ts';
import { createLive } from './create.ts';
import { makeEmptyDatabase } from './empty.ts';
import { journalVersions, normaliseHeader, pageSize, readHeader, rollbackVersions } from './header.ts';
import { deadlineOf, explain, livePath } from './open.ts';
import { withPageSize } from './pageSize.ts';
import { overwriteLive } from './overwrite.ts';
import { writeTarget } from './image.ts';

/** Brings a live database back to a recorded state: the contract is in `../engine.ts`. */
export async function restoreSqlite(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase | undefined,
): Promise<void> {
  const live = livePath(context);
  const there = existsSync(live);
  if (there && now === undefined) throw unrecorded(target.name, live);
  if (!there && now !== undefined) throw vanished(target.name, live);
  const source = await prepareSource(context, target);
  try {
    if (now === undefined) {
      createLive(context, source, live);
      return;
    }
    const copyable = await copyableSource(context, source, live);
    const deadline = deadlineOf(context);
    await withPageSize(context, live, pageSize(readHeader(copyable)), deadline, () =>
      overwriteLive(context, live, { source: copyable, now, deadline }),
    );
  } catch (error) {
    throw explain(target.name, live, error);
  }
}

/** The recorded state as a file of its own, byte for byte, and sound. */
export async function prepareSource(context: EngineContext, target: CapturedDatabase): Promise<string> {
  const source = path.join(context.scratchDir, 'target.db');
  await writeTarget(context, target, source);
  const versions = journalVersions(readHeader(source));
  normaliseHeader(source, rollbackVersions);
  const damage = await findDamage(source);
  if (damage !== undefined) {
    throw new PitrError(
      'integrity',
      `The recorded copy of the database "${target.name}" is damaged: ${damage}. Nothing was changed.`,
      {
        hints: ['It was recorded like that. git pitr list shows other snapshots.'],
      },
    );
  }
  normaliseHeader(source, versions);
  return source;
}

/**
 * What the backup API copies from. The journal mode is the live database's to keep: SQLite itself writes "WAL" into
 * a database that is in WAL mode, so the source must say "rollback". An empty file has no page to copy: an empty
 * database stands for it.
 */
async function copyableSource(context: EngineContext, source: string, live: string): Promise<string> {
  if (readHeader(source).length > 0) {
    normaliseHeader(source, rollbackVersions);
    return source;
  }
  return makeEmptyDatabase(path.join(context.scratchDir, 'empty.db'), live);
}

function unrecorded(name: string, live: string): PitrError {
  return new PitrError(
    'refused',
    `There is a file at ${live} that was not recorded as the database "${name}" (it may be damaged): it would be lost. Nothing was changed.`,
    {
      hints: [
        `Move it out of the way, with what SQLite keeps beside it, and run the command again: mv ${live} ${live}.damaged (also ${path.basename(live)}-wal and ${path.basename(live)}-journal).`,
      ],
    },
  );
}

export function vanished(name: string, live: string): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" is gone since it was recorded: ${live}. Nothing was changed.`,
    {
      hints: ['Run the command again: it looks at the new situation.'],
    },
  );
}
