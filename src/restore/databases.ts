import type { Config } from '../config/config.ts';
import type { CapturedDatabase, FailedDatabase } from '../databases/engine.ts';
import { type DatabaseCaptures, withEngine } from '../databases/registry.ts';
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
  /** Only these tables of it. */
  tables?: readonly string[];
}

export interface DatabaseScope {
  /** Names asked for with `--db`. */
  names: readonly string[];
  /** Of which only these tables are meant. */
  tables?: ReadonlyMap<string, readonly string[]>;
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
    const tables = scope.tables?.get(name);
    planned.plan.push({
      name,
      engine: database.engine,
      path: database.path ?? '',
      action,
      target: copy,
      ...(tables === undefined ? {} : { tables }),
    });
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
 * Looks whether the tables that were asked for differ at all, now that there is something to compare them with.
 * Errors: `noMatch` for a table that is neither there now nor was then; `refused` when there is no database to put it into.
 */
export async function settleTables(
  { repository, config }: { repository: Repository; config: Config },
  plan: readonly DatabasePlan[],
  now: DatabaseCaptures,
): Promise<DatabasePlan[]> {
  const settled: DatabasePlan[] = [];
  for (const one of plan) {
    const { name, tables, target } = one;
    const present = now.captured.find((copy) => copy.name === name);
    const unread = now.failed.find((failure) => failure.name === name && failure.kind !== 'missing');
    if (tables === undefined || unread !== undefined) settled.push(one);
    else if (present === undefined)
      throw new PitrError(
        'refused',
        `The database "${name}" is not there, so no table can be restored into it. Nothing was changed.`,
        { hints: [`Restore all of it: --db ${name}`] },
      );
    else {
      const { anyDifference } = await import('../databases/rowDiff.ts');
      const differs = await anyDifference(repository, config, { name, from: present, to: target, tables });
      settled.push({ ...one, action: differs ? 'restore' : 'unchanged' });
    }
  }
  return settled;
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

/** Restores one database, or tables of it, to its copy. Errors: those of the engine. */
export async function restoreDatabase(
  repository: Repository,
  config: Config,
  target: CapturedDatabase,
  now: CapturedDatabase | undefined,
  tables?: readonly string[],
): Promise<void> {
  const database = config.databases.find(({ name }) => name === target.name);
  if (database === undefined)
    throw new PitrError('failed', `The database "${target.name}" is no longer registered.`);
  await withEngine(repository, config, database, async (engine, context) => {
    if (tables === undefined) return engine.restore(context, target, now);
    if (engine.restoreTables === undefined)
      throw new PitrError(
        'failed',
        `Single tables of ${engine.name} databases cannot be restored; "${target.name}" was not changed.`,
        { hints: [`Restore all of it: --db ${target.name}`] },
      );
    if (now === undefined)
      throw new PitrError('refused', `The database "${target.name}" is not there; nothing was changed.`);
    return engine.restoreTables(context, target, now, tables);
  });
}
