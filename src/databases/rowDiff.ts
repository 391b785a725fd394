import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import type { CapturedDatabase } from './engine.ts';
import { requireDatabase, withEngine } from './registry.ts';
import type { DatabaseChange } from './rows.ts';

/** The rows in which two copies of a database differ, whatever its engine. */

export interface ComparedCopies {
  name: string;
  from: CapturedDatabase | undefined;
  to: CapturedDatabase | undefined;
  tables?: readonly string[] | undefined;
}

/**
 * The copies of databases in a snapshot, as far as comparing rows needs them: found without the snapshot's note, which
 * would take longer than the comparison. Their size and hash are not known.
 */
export async function copiesToCompare(
  repository: Repository,
  config: Config,
  commit: string,
  names: readonly string[],
): Promise<CapturedDatabase[]> {
  const trees = await objectReader(repository).info(names.map((name) => `${commit}:databases/${name}`));
  return names.flatMap((name, at) => {
    const tree = trees[at];
    const { engine } = requireDatabase(config, name);
    return tree === undefined ? [] : [{ name, engine, tree: tree.oid, bytes: Number.NaN, sha256: '' }];
  });
}

/** Gives each change to `take`, which may end it by giving false. Error: `failed` for an engine that cannot tell. */
export async function compareRows(
  repository: Repository,
  config: Config,
  { name, from, to, tables }: ComparedCopies,
  take: (change: DatabaseChange) => boolean | void,
): Promise<void> {
  const database = requireDatabase(config, name);
  await withEngine(repository, config, database, async (engine, context) => {
    if (engine.diff === undefined || (from !== undefined && to !== undefined && from.engine !== to.engine))
      throw new PitrError(
        'failed',
        `The rows of the database "${name}" cannot be compared (${engine.name}).`,
      );
    for await (const change of engine.diff(context, from, to, tables)) if (take(change) === false) return;
  });
}

/** True when at least one row or definition differs. Reads no further than to the first. */
export async function anyDifference(
  repository: Repository,
  config: Config,
  copies: ComparedCopies,
): Promise<boolean> {
  let found = false;
  await compareRows(repository, config, copies, () => {
    found = true;
    return false;
  });
  return found;
}

/** The same, for tables that may be in neither copy: there, nothing differs. */
export async function anyDifferenceOf(
  repository: Repository,
  config: Config,
  copies: ComparedCopies,
  tables: readonly string[],
): Promise<boolean> {
  for (const table of tables) {
    try {
      if (await anyDifference(repository, config, { ...copies, tables: [table] })) return true;
    } catch (error) {
      if (!(error instanceof PitrError) || error.kind !== 'noMatch') throw error;
    }
  }
  return false;
}
