import type { Config } from '../config/config.ts';
import type { CapturedDatabase, FailedDatabase } from '../databases/engine.ts';
import { withEngine } from '../databases/registry.ts';
import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';

/** What a restore does to one database. */
export interface DatabasePlan {
  name: string;
  engine: string;
  /** Where it is: a path, or '' for a server's. */
  path: string;
  action: 'restore' | 'unchanged';
  target: CapturedDatabase;
}

export interface DatabaseScope {
  /** Names asked for with `--db`. */
  names: readonly string[];
  /** Every registered database. */
  all: boolean;
}

export interface PlannedDatabases {
  plan: DatabasePlan[];
  /** Databases in scope that are left alone, and why. */
  left: { name: string; reason: string }[];
}

/**
 * Which databases a restore touches.
 * @param elsewhere tells where else a copy of a database is, as the end of a sentence
 * Error: `noMatch` for a database that the snapshot does not hold.
 */
export function planDatabases(
  config: Config,
  scope: DatabaseScope,
  now: readonly CapturedDatabase[],
  target: readonly CapturedDatabase[],
  elsewhere: (name: string) => string,
): PlannedDatabases {
  const planned: PlannedDatabases = { plan: [], left: [] };
  const names = scope.all ? config.databases.map(({ name }) => name) : scope.names;
  for (const name of names) {
    const database = config.databases.find((candidate) => candidate.name === name);
    const copy = target.find((candidate) => candidate.name === name);
    if (database === undefined || copy === undefined) {
      planned.left.push({ name, reason: `the snapshot holds no copy of it${elsewhere(name)}` });
      continue;
    }
    if (copy.engine !== database.engine) {
      planned.left.push({
        name,
        reason: `it is registered as ${database.engine}, and the snapshot holds a copy from ${copy.engine}`,
      });
      continue;
    }
    const present = now.find((candidate) => candidate.name === name);
    const action = present?.tree === copy.tree ? 'unchanged' : 'restore';
    planned.plan.push({ name, engine: database.engine, path: database.path ?? '', action, target: copy });
  }
  if (scope.all)
    for (const { name } of target)
      if (!names.includes(name))
        planned.left.push({ name, reason: 'it is in the snapshot, but no longer registered' });
  const missing = scope.all ? undefined : planned.left[0];
  if (missing !== undefined) {
    throw new PitrError(
      'noMatch',
      `The database "${missing.name}" cannot be restored: ${missing.reason}. Nothing was changed.`,
      {
        hints: ['git pitr list shows which snapshots hold which databases.'],
      },
    );
  }
  return planned;
}

/**
 * A database whose present state could not be recorded is not overwritten: it may be damaged, and still all there is.
 * One that is not there is not overwritten. Error: `busy` or `refused`, naming the first.
 */
export function requireRecorded(databases: readonly DatabasePlan[], failed: readonly FailedDatabase[]): void {
  for (const { name, path, action } of databases) {
    const failure = failed.find((candidate) => candidate.name === name);
    if (action === 'unchanged' || failure === undefined || failure.kind === 'missing') continue;
    if (failure.kind === 'busy') {
      throw new PitrError('busy', `${failure.reason} Nothing else was changed either.`, {
        hints: [
          'Let the other program finish its transaction, or stop it, and run the command again.',
          'git config pitr.lockTimeout 2m waits longer.',
        ],
      });
    }
    throw new PitrError(
      'refused',
      `The present state of the database "${name}" cannot be recorded (${failure.reason}), so it is not overwritten; nothing was changed.`,
      {
        hints: [
          path === ''
            ? 'Move it out of the way yourself, keep it, and run the restore again.'
            : `Move it out of the way, with what is kept beside it, and run the restore again: mv ${path} ${path}.damaged`,
        ],
      },
    );
  }
}

/** Waits until the databases of a plan can be restored. Error: `busy`; nothing was changed. */
export async function requireFree(
  { repository, config }: { repository: Repository; config: Config },
  databases: readonly DatabasePlan[],
): Promise<void> {
  const planned = new Set(databases.filter(({ action }) => action === 'restore').map(({ name }) => name));
  for (const database of config.databases.filter(({ name }) => planned.has(name))) {
    try {
      await withEngine(repository, config, database, (engine, context) => engine.requireFree(context));
    } catch (error) {
      if (!(error instanceof PitrError) || error.kind !== 'busy') throw error;
      const message = `${error.message} Nothing else was changed either.`;
      throw new PitrError('busy', message, { hints: error.hints, details: error.details, cause: error });
    }
  }
}

/** Restores one database to its copy. Errors: those of the engine. */
export async function restoreDatabase(
  repository: Repository,
  config: Config,
  target: CapturedDatabase,
  now: CapturedDatabase | undefined,
): Promise<void> {
  const database = config.databases.find(({ name }) => name === target.name);
  if (database === undefined)
    throw new PitrError('failed', `The database "${target.name}" is no longer registered.`);
  await withEngine(repository, config, database, (engine, context) => engine.restore(context, target, now));
}
