/** Engine functions called directly, on a real repository with a real database. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import type { Config, DatabaseConfig } from '../../../src/config/config.ts';
import { readConfig } from '../../../src/config/config.ts';
import type { EngineContext } from '../../../src/databases/engine.ts';
import { PitrError } from '../../../src/errors.ts';
import { findRepository, type Repository } from '../../../src/git/repository.ts';
import { scratchRepository, type TestRepository } from '../../support/scratch.ts';

export interface Place {
  git: TestRepository;
  repository: Repository;
  config: Config;
  /** The live database file; not there yet. */
  live: string;
  /** A context with a scratch folder of its own. */
  context: () => EngineContext;
}

export interface PlaceOptions {
  file?: string;
  lockTimeout?: number;
  objectFormat?: 'sha1' | 'sha256';
}

export async function place({
  file = 'app.db',
  lockTimeout = 300,
  objectFormat = 'sha1',
}: PlaceOptions = {}): Promise<Place> {
  const git = scratchRepository();
  let root = git.path;
  if (objectFormat === 'sha256') {
    git.git('init', '--quiet', '--object-format=sha256', 'inner');
    root = git.resolve('inner');
  }
  const repository = await findRepository(root);
  const live = path.join(root, file);
  const database: DatabaseConfig = {
    name: 'app',
    engine: 'sqlite',
    path: live,
    format: 'image',
    excludeTable: [],
  };
  const config: Config = { ...(await readConfig(repository)), lockTimeout, databases: [database] };
  const context = (): EngineContext => {
    mkdirSync(repository.lineDir, { recursive: true });
    return {
      repository,
      config,
      database,
      scratchDir: mkdtempSync(path.join(repository.lineDir, 'scratch-')),
    };
  };
  return { git, repository, config, live, context };
}

/** Runs SQL in a connection of its own, which is closed again. */
export function sql(file: string, script: string): void {
  const connection = new Database(file);
  try {
    connection.exec(script);
  } finally {
    connection.close();
  }
}

/** The first column of all rows. */
export function values(file: string, query: string): unknown[] {
  const connection = new Database(file);
  try {
    return connection.prepare(query).pluck().all();
  } finally {
    connection.close();
  }
}

/** The error of a promise that must fail with a PitrError. */
export async function failure(promise: Promise<unknown>): Promise<PitrError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** All objects of the repository, loose and packed. */
export function objectCount(place: Place): number {
  const lines = place.git.git(
    '-C',
    place.repository.worktree,
    'cat-file',
    '--batch-all-objects',
    '--batch-check=%(objectname)',
  );
  return lines === '' ? 0 : lines.split('\n').length;
}
