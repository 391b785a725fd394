import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Config, type DatabaseConfig, unknownEngine } from '../config/config.ts';
import { messageOf, PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { ensurePrivateDir, followLinks } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';
import { connectionText } from './secrets.ts';
import type { CapturedDatabase, DatabaseEngine, EngineContext, FailedDatabase } from './engine.ts';

/** The registered databases of a repository, whatever their engines. */

/** Engines load only when a database needs them: start-up is part of every hook. */
const engines: Record<string, () => Promise<DatabaseEngine>> = {
  mariadb: async () => (await import('./mariadb/engine.ts')).mariadbEngine,
  mysql: async () => (await import('./mariadb/engine.ts')).mariadbEngine,
  postgres: async () => (await import('./postgres/engine.ts')).postgresEngine,
  sqlite: async () => (await import('./sqlite/engine.ts')).sqliteEngine,
};

/** True for the name of an engine that git-pitr has. */
export function isEngine(name: string): boolean {
  return Object.hasOwn(engines, name);
}

async function engineOf(database: DatabaseConfig): Promise<DatabaseEngine> {
  if (database.engine === unknownEngine) connectionText(database); // tells what is missing
  const load = isEngine(database.engine) ? engines[database.engine] : undefined;
  if (load === undefined) {
    throw new PitrError(
      'usage',
      `The database "${database.name}" is registered with the engine "${database.engine}", which git-pitr does not have.`,
      {
        hints: [
          `Engines: ${Object.keys(engines).join(', ')}.`,
          `git config pitr.database.${database.name}.engine sqlite`,
        ],
      },
    );
  }
  return load();
}

/** The registered database of a name. Error: `noMatch`, listing what is registered. */
export function requireDatabase(config: Config, name: string): DatabaseConfig {
  const found = config.databases.find((database) => database.name === name);
  if (found !== undefined) return found;
  const names = config.databases.map((database) => database.name);
  throw new PitrError('noMatch', `No database is registered as "${name}"; nothing was changed.`, {
    hints: [
      names.length === 0 ? 'None is registered.' : `Registered: ${names.join(', ')}.`,
      `Register one: git config pitr.database.${name}.path <file>, or let git pitr init find them.`,
    ],
  });
}

/** Runs `work` with an engine's context, whose scratch folder is removed afterwards. */
export async function withEngine<Result>(
  repository: Repository,
  config: Config,
  database: DatabaseConfig,
  work: (engine: DatabaseEngine, context: EngineContext) => Promise<Result>,
): Promise<Result> {
  const scratchDir = path.join(repository.lineDir, 'scratch', ownedName());
  let made = false;
  const context: EngineContext = {
    repository,
    config,
    database,
    disconnect: config.disconnect === true,
    // Made when it is asked for: comparing rows needs none, and is over in a few milliseconds.
    get scratchDir() {
      if (made) return scratchDir;
      ensurePrivateDir(path.dirname(scratchDir));
      mkdirSync(scratchDir, { mode: 0o700 });
      made = true;
      return scratchDir;
    },
  };
  try {
    return await work(await engineOf(database), context);
  } finally {
    if (made) rmSync(scratchDir, { recursive: true, force: true });
  }
}

export interface DatabaseCaptures {
  captured: CapturedDatabase[];
  failed: FailedDatabase[];
}

/** Captures every registered database. One that fails is reported and never stops the others. */
export async function captureDatabases(
  repository: Repository,
  config: Config,
  previous: ReadonlyMap<string, CapturedDatabase>,
): Promise<DatabaseCaptures> {
  const result: DatabaseCaptures = { captured: [], failed: [] };
  for (const database of config.databases) {
    try {
      const captured = await withEngine(repository, config, database, (engine, context) =>
        engine.capture(context, previous.get(database.name)),
      );
      result.captured.push({ ...captured, ...placeOf(repository, database) });
    } catch (error) {
      result.failed.push({
        name: database.name,
        engine: database.engine,
        reason: messageOf(error),
        kind: failureOf(error),
        hints: error instanceof PitrError ? error.hints : [],
      });
    }
  }
  return result;
}

/** Where its file is: a restore to this snapshot must know it for a database, even when it is no longer registered. */
function placeOf(repository: Repository, { path: file }: DatabaseConfig): { path?: string } {
  const place = file === undefined ? '' : path.relative(repository.worktree, followLinks(file));
  return place === '' || place === '..' || place.startsWith('../') ? {} : { path: place };
}

function failureOf(error: unknown): FailedDatabase['kind'] {
  if (!(error instanceof PitrError)) return 'failed';
  return error.details['missing'] === true ? 'missing' : error.kind;
}
