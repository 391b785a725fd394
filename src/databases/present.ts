import type { Config } from '../config/config.ts';
import type { Repository } from '../git/repository.ts';
import { readCatalog } from '../timeline/catalog.ts';
import { copiesIn } from '../timeline/take.ts';
import type { CapturedDatabase } from './engine.ts';

/** The databases as they are now, in the object store but in no snapshot; those that cannot be read are not in it. */
export async function captureNow(repository: Repository, config: Config): Promise<CapturedDatabase[]> {
  if (config.databases.length === 0) return [];
  const { captureDatabases } = await import('./registry.ts');
  const { snapshots } = await readCatalog(repository, { limit: 1 });
  const newest = snapshots[0] === undefined ? [] : await copiesIn(repository, snapshots[0]);
  return (await captureDatabases(repository, config, new Map(newest.map((copy) => [copy.name, copy]))))
    .captured;
}
