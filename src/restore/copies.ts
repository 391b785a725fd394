import type { DatabaseCaptures } from '../databases/registry.ts';
import { readCatalog } from '../timeline/catalog.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Context, RestoreRequest } from './request.ts';
import type { RecordedState } from './target.ts';

/** The databases in scope as they are now. */
export async function currentCopies(context: Context, request: RestoreRequest): Promise<DatabaseCaptures> {
  const { repository, config } = context;
  const names = request.databases.all ? config.databases.map(({ name }) => name) : request.databases.names;
  if (names.length === 0) return { captured: [], failed: [] };
  const { captureNow } = await import('../databases/present.ts');
  return captureNow(repository, {
    ...config,
    databases: config.databases.filter(({ name }) => names.includes(name)),
  });
}

/** Says where a copy of a database can be had that `snapshot` does not hold. */
export async function copiesElsewhere(
  { repository, config }: Context,
  { databases: scope }: RestoreRequest,
  snapshot: Snapshot,
  target: RecordedState,
): Promise<(name: string) => string> {
  const wanted = scope.all ? config.databases.map(({ name }) => name) : scope.names;
  const isThere = (name: string) => target.databases.some((copy) => copy.name === name);
  if (wanted.every(isThere)) return () => '';
  const { snapshots } = await readCatalog(repository);
  return (name) => {
    const older = snapshots.find(
      ({ time, databases }) => time <= snapshot.time && databases.some((database) => database.name === name),
    );
    return older === undefined
      ? ''
      : `; the newest that does until then: git pitr restore --snapshot ${older.id} --db ${name}`;
  };
}
