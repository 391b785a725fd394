import type { Config } from '../config/config.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
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

/** Which databases a restore touches. Error: `noMatch` for a database that the snapshot does not hold. */
export function planDatabases(
  config: Config,
  scope: DatabaseScope,
  now: readonly CapturedDatabase[],
  target: readonly CapturedDatabase[],
): PlannedDatabases {
  const planned: PlannedDatabases = { plan: [], left: [] };
  const names = scope.all ? config.databases.map(({ name }) => name) : scope.names;
  for (const name of names) {
    const database = config.databases.find((candidate) => candidate.name === name);
    const copy = target.find((candidate) => candidate.name === name);
    if (database === undefined || copy === undefined) {
      planned.left.push({ name, reason: 'the snapshot holds no copy of it' });
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
