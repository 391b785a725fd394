import { PitrError } from '../errors.ts';
import { readCatalog } from '../timeline/catalog.ts';
import { snapshotAt } from '../timeline/select.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Context, RestoreRequest } from './request.ts';
import { type RecordedState, stateOf } from './target.ts';

/** The snapshot that a request leads to. Error: `noMatch`, with what there is instead. */
export async function resolveTarget(
  context: Context,
  request: RestoreRequest,
): Promise<{ snapshot: Snapshot; target: RecordedState }> {
  const { repository } = context;
  if ('snapshot' in request.target) {
    const { snapshot } = request.target;
    return { snapshot, target: await stateOf(repository, snapshot) };
  }
  const { instant, source } = request.target;
  if (source === 'history') {
    const { historyTarget } = await import('./history.ts');
    return historyTarget(context, instant);
  }
  const snapshots = request.timeline ?? (await readCatalog(repository)).snapshots;
  try {
    const snapshot = snapshotAt(snapshots, instant, wantedDatabases(request));
    return { snapshot, target: await stateOf(repository, snapshot) };
  } catch (error) {
    if (!(error instanceof PitrError) || error.kind !== 'noMatch') throw error;
    const { hintAtHistory } = await import('./history.ts');
    throw await hintAtHistory(context, instant, error);
  }
}

/**
 * Databases alone come from the newest snapshot that holds them. With files in scope the newest snapshot of all
 * decides, and what it has no copy of is left alone: one database that cannot be recorded since Monday must not take
 * everybody's files back to Monday.
 */
function wantedDatabases(request: RestoreRequest) {
  const { names } = request.databases;
  if (request.files || names.length === 0) return undefined;
  return {
    what: `with ${names.length === 1 ? 'the database' : 'the databases'} ${names.join(', ')}`,
    fits: (snapshot: Snapshot) => names.every((name) => mayHold(snapshot, name)),
  };
}

/** Without its note nobody can tell before looking into it. */
function mayHold(snapshot: Snapshot, name: string): boolean {
  return snapshot.fromTrailers === true || snapshot.databases.some((database) => database.name === name);
}
