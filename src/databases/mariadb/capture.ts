import { progressOf } from '../../system/progress.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { writeText } from '../text/writer.ts';
import { type Address, addressOf } from './address.ts';
import { RecordedCopy } from './copies.ts';
import { recover } from './recover.ts';
import { scriptParts, type Source, type Tally } from './script.ts';
import { withSnapshot } from './snapshot.ts';

/** Records a live database: the contract is in `../engine.ts`. */
export async function captureMariadb(
  context: EngineContext,
  previous: CapturedDatabase | undefined,
): Promise<CapturedDatabase> {
  const address = addressOf(context.database);
  await recover(context, address);
  return copyDatabase(context, address, await knownTables(context, previous));
}

/** Tables of an earlier copy; none when it cannot be read. */
async function knownTables(
  { repository }: EngineContext,
  previous: CapturedDatabase | undefined,
): Promise<string[]> {
  try {
    return (await RecordedCopy.read(repository, previous?.tree ?? '')).tables;
  } catch {
    return []; // it only helps to look twice
  }
}

/** Copies the database at an address, whatever it is called there. */
export async function copyDatabase(
  context: EngineContext,
  address: Address,
  known: readonly string[] = [],
): Promise<CapturedDatabase> {
  progressOf(context.repository)?.begin(`recording the database ${context.database.name}`);
  return withSnapshot(context, address, known, async (held) => {
    const { captured } = await writeCopy(context, held);
    return { ...captured, time: new Date(held.instant).toISOString() };
  });
}

/** Writes what stays as it is meanwhile. Nothing refers to it yet. */
export async function writeCopy(
  context: EngineContext,
  source: Source,
): Promise<{ captured: CapturedDatabase; tally: Tally }> {
  const { name, engine } = context.database;
  const tally: Tally = { rows: {}, hashes: {} };
  const written = await writeText(context.repository, scriptParts(source, tally), { about: { engine } });
  const captured: CapturedDatabase = {
    name,
    engine,
    bytes: written.bytes,
    sha256: written.sha256,
    tree: written.tree,
    version: source.server.version,
    tables: tally.rows,
  };
  return { captured, tally };
}
