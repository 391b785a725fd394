import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { readCatalog } from '../timeline/catalog.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { copiesIn } from '../timeline/take.ts';
import type { CapturedDatabase, DatabaseEngine, EngineContext } from './engine.ts';
import { requireDatabase, withEngine } from './registry.ts';
import type { Row } from './rows.ts';

/** One value of a row, in one or more snapshots that follow each other. */
export interface RowVersion {
  /** Undefined while there was no such row. */
  row: Row | undefined;
  /** The first and the last snapshot that hold it. */
  first: Snapshot;
  last: Snapshot;
}

/**
 * The versions of a row, oldest first; times before the first are left out. A snapshot whose copy is the one before
 * is not looked into. Errors: `noMatch` when no snapshot has such a table, or the key does not fit.
 */
export async function rowHistory(
  repository: Repository,
  config: Config,
  name: string,
  table: string,
  key: readonly string[],
): Promise<RowVersion[]> {
  const database = requireDatabase(config, name);
  const copies = await copiesOf(repository, name);
  if (copies.length === 0)
    throw new PitrError('noMatch', `No snapshot holds the database "${name}".`, {
      hints: ['git pitr list shows which snapshots hold which databases.'],
    });
  return withEngine(repository, config, database, async (engine, context) => {
    const versions: RowVersion[] = [];
    const problems: PitrError[] = [];
    let looked = 0;
    let tree = '';
    for (const { snapshot, copy } of copies) {
      const last = versions.at(-1);
      if (copy.tree !== tree) {
        tree = copy.tree;
        looked++;
        const row = await rowIn(engine, context, copy, table, key, problems);
        if (last === undefined ? row !== undefined : !sameRow(last.row, row))
          versions.push({ row, first: snapshot, last: snapshot });
      }
      const current = versions.at(-1);
      if (current !== undefined) current.last = snapshot;
    }
    const problem = problems.at(-1);
    if (problem !== undefined && problems.length === looked) throw problem;
    return versions;
  });
}

/** A time at which the table was not there, or had another key, has no such row. */
async function rowIn(
  engine: DatabaseEngine,
  context: EngineContext,
  copy: CapturedDatabase,
  table: string,
  key: readonly string[],
  problems: PitrError[],
): Promise<Row | undefined> {
  if (engine.row === undefined)
    throw new PitrError('failed', `Single rows cannot be read from copies of ${engine.name} databases.`);
  try {
    return await engine.row(context, copy, table, key);
  } catch (error) {
    if (!(error instanceof PitrError) || error.kind !== 'noMatch') throw error;
    problems.push(error);
    return undefined;
  }
}

function sameRow(a: Row | undefined, b: Row | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const [x, y] = [a[name], b[name]];
      return x instanceof Uint8Array && y instanceof Uint8Array ? Buffer.compare(x, y) === 0 : x === y;
    })
  );
}

/** The copies of a database in all snapshots, oldest first: one process, however many there are. */
async function copiesOf(
  repository: Repository,
  name: string,
): Promise<{ snapshot: Snapshot; copy: CapturedDatabase }[]> {
  const { snapshots } = await readCatalog(repository);
  const timeline = snapshots.toReversed();
  const trees = await objectReader(repository).info(
    timeline.map(({ commit }) => `${commit}:databases/${name}`),
  );
  const found: { snapshot: Snapshot; copy: CapturedDatabase }[] = [];
  for (const [at, snapshot] of timeline.entries()) {
    const tree = trees[at];
    if (tree === undefined) continue;
    const copies =
      snapshot.fromTrailers === true
        ? await copiesIn(repository, snapshot)
        : snapshot.databases.map((database) => ({ ...database, tree: tree.oid }));
    const copy = copies.find((candidate) => candidate.name === name);
    if (copy !== undefined) found.push({ snapshot, copy });
  }
  return found;
}
