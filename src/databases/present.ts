import type { Config } from '../config/config.ts';
import type { Repository } from '../git/repository.ts';
import { readCatalog } from '../timeline/catalog.ts';
import { copiesIn } from '../timeline/take.ts';
import type { DatabaseCaptures } from './registry.ts';

/** The databases as they are now, in the object store but in no snapshot. */
export async function captureNow(repository: Repository, config: Config): Promise<DatabaseCaptures> {
  if (config.databases.length === 0) return { captured: [], failed: [] };
  const { captureDatabases } = await import('./registry.ts');
  const { snapshots } = await readCatalog(repository, { limit: 1 });
  const newest = snapshots[0] === undefined ? [] : await copiesIn(repository, snapshots[0]);
  return captureDatabases(repository, config, new Map(newest.map((copy) => [copy.name, copy])));
}
