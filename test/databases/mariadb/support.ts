/** The MariaDB engine called directly, on a real repository and a real server. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { type Config, type DatabaseConfig, readConfig } from '../../../src/config/config.ts';
import type { CapturedDatabase, EngineContext } from '../../../src/databases/engine.ts';
import { mariadbEngine } from '../../../src/databases/mariadb/engine.ts';
import { findRepository, type Repository } from '../../../src/git/repository.ts';
import { scratchRepository, type TestRepository } from '../../support/scratch.ts';
import type { MariadbServer } from '../support/mariadbServer.ts';

export interface MariadbPlace {
  git: TestRepository;
  repository: Repository;
  /** A context with a scratch folder of its own. */
  context: (more?: Partial<EngineContext>) => EngineContext;
  capture: (previous?: CapturedDatabase) => Promise<CapturedDatabase>;
  restore: (target: CapturedDatabase, now?: CapturedDatabase, more?: Partial<EngineContext>) => Promise<void>;
}

export async function mariadbPlace(
  server: MariadbServer,
  database: string,
  { lockTimeout = 5000, url = server.url(database), excludeTable = [] as string[] } = {},
): Promise<MariadbPlace> {
  const git = scratchRepository();
  const repository = await findRepository(git.path);
  const registered: DatabaseConfig = { name: 'app', engine: 'mariadb', url, format: 'sql', excludeTable };
  const config: Config = { ...(await readConfig(repository)), lockTimeout, databases: [registered] };
  const context = (more: Partial<EngineContext> = {}): EngineContext => {
    mkdirSync(repository.lineDir, { recursive: true });
    const scratchDir = mkdtempSync(path.join(repository.lineDir, 'scratch-'));
    return { repository, config, database: registered, scratchDir, ...more };
  };
  return {
    git,
    repository,
    context,
    capture: (previous) => mariadbEngine.capture(context(), previous),
    restore: (target, now, more) => mariadbEngine.restore(context(more), target, now),
  };
}
