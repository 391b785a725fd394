/** A restore in a process of its own, to be killed: argv is one JSON document. */
import { mkdirSync } from 'node:fs';
import { readConfig } from '../../../src/config/config.ts';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { findRepository } from '../../../src/git/repository.ts';

interface Work {
  worktree: string;
  live: string;
  scratchDir: string;
  target: CapturedDatabase;
  now: CapturedDatabase | null;
}

const work = JSON.parse(process.argv[2] ?? '') as Work;
const repository = await findRepository(work.worktree);
const config = await readConfig(repository);
mkdirSync(work.scratchDir, { recursive: true });
const database = {
  name: 'app',
  engine: 'sqlite',
  path: work.live,
  format: 'image' as const,
  excludeTable: [],
};
console.log('restoring');
await sqliteEngine.restore(
  { repository, config, database, scratchDir: work.scratchDir },
  work.target,
  work.now ?? undefined,
);
console.log('restored');
