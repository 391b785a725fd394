/** A restore in a process of its own, to be killed: argv is one JSON document. */
import { mkdirSync } from 'node:fs';
import { readConfig } from '../../../src/config/config.ts';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { mariadbEngine } from '../../../src/databases/mariadb/engine.ts';
import { findRepository } from '../../../src/git/repository.ts';

interface Work {
  worktree: string;
  url: string;
  scratchDir: string;
  target: CapturedDatabase;
  now: CapturedDatabase;
}

const work = JSON.parse(process.argv[2] ?? '') as Work;
const repository = await findRepository(work.worktree);
const config = { ...(await readConfig(repository)), lockTimeout: 20_000 };
mkdirSync(work.scratchDir, { recursive: true });
const database = { name: 'app', engine: 'mariadb', url: work.url, format: 'sql' as const, excludeTable: [] };
console.log('restoring');
try {
  await mariadbEngine.restore(
    { repository, config, database, scratchDir: work.scratchDir },
    work.target,
    work.now,
  );
  console.log('restored');
} catch (error) {
  // A server that is killed is what some of the tests are about.
  console.log(`failed: ${String(error)}`);
}
