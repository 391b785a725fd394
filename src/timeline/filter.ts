import { PitrError } from '../errors.ts';
import type { BytePath } from '../git/paths.ts';
import { type Repository, timelineRef } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { isSnapshotType, type Snapshot, snapshotTypes } from './snapshot.ts';

/** What `list` can be narrowed to. */
export interface SnapshotFilter {
  sinceMs?: number;
  untilMs?: number;
  type?: string;
  trigger?: string;
  /** A path from the top of the worktree; '' for all of it. */
  path?: BytePath;
  text?: string;
  limit?: number;
}

/** The snapshots that fit, in their order. Error: `usage` for a type that is none. */
export async function filterSnapshots(
  repository: Repository,
  snapshots: readonly Snapshot[],
  filter: SnapshotFilter,
): Promise<Snapshot[]> {
  const { type, trigger, text } = filter;
  if (type !== undefined && !isSnapshotType(type)) {
    throw new PitrError('usage', `"${type}" is not a type of snapshot.`, {
      hints: [`Types: ${snapshotTypes.join(', ')}.`],
    });
  }
  const changing = filter.path === undefined ? undefined : await snapshotsChanging(repository, filter.path);
  const found = snapshots.filter((snapshot) => {
    const time = Date.parse(snapshot.time);
    if (filter.sinceMs !== undefined && time < filter.sinceMs) return false;
    if (filter.untilMs !== undefined && time > filter.untilMs) return false;
    if (type !== undefined && snapshot.type !== type) return false;
    if (trigger !== undefined && snapshot.trigger !== trigger && !snapshot.trigger.startsWith(`${trigger}:`))
      return false;
    if (text !== undefined && !snapshot.message.toLowerCase().includes(text.toLowerCase())) return false;
    return changing === undefined || changing.has(snapshot.commit);
  });
  return filter.limit === undefined ? found : found.slice(0, filter.limit);
}

async function snapshotsChanging(repository: Repository, path: BytePath): Promise<Set<string>> {
  const args = [
    'log',
    '--first-parent',
    '--no-show-signature',
    '--no-follow',
    '--format=%H',
    '--end-of-options',
    timelineRef(repository),
    '--',
    `:(top,literal)files/${Buffer.from(path, 'latin1').toString('utf8')}`,
  ];
  const { stdout } = await git(args, { cwd: repository.worktree, okCodes: [0, 128] });
  return new Set(stdout.toString('latin1').split('\n'));
}
