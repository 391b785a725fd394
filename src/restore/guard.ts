import { lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type IndexEntry, readIndexFile } from '../git/indexFile.ts';
import { type BytePath, onDisk, parentsOf } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { git, splitNul } from '../git/run.ts';
import type { FilePlan, PlanEntry } from './plan.ts';

/** What stands between a plan and the user's unsaved work. */

/**
 * The paths with uncommitted changes that a plan overwrites or deletes: git alone could not bring them back.
 * A file that HEAD does not have as it is (changed, staged, untracked, ignored) counts.
 */
export async function uncommittedPaths(repository: Repository, plan: FilePlan): Promise<Set<BytePath>> {
  const lost = plan.entries
    .filter(({ action }) => action === 'overwrite' || action === 'delete')
    .map(({ path }) => path);
  if (lost.length === 0) return new Set();
  const flags = ['--no-renames', '--untracked-files=all', '--ignore-submodules=all'];
  const [status, known] = await Promise.all([
    git(['status', '--porcelain', '-z', ...flags], { cwd: repository.worktree }),
    trackedPaths(repository, 'plainly'),
  ]);
  const changed = new Set(splitNul(status.stdout).map((record) => record.slice(3)));
  return new Set(lost.filter((path) => changed.has(path) || !known.has(path)));
}

/**
 * What the user's index tracks; `plainly`: without conflicts and without paths with assume-unchanged or skip-worktree,
 * of which `git status` says nothing.
 */
export async function trackedPaths(
  repository: Repository,
  how: 'plainly' | 'at all' = 'at all',
): Promise<Set<BytePath>> {
  const index = readIndexFile(path.join(repository.gitDir, 'index'), repository);
  if (index !== undefined) {
    const isPlain = (entry: IndexEntry) => entry.stage === 0 && !entry.assumeUnchanged && !entry.skipWorktree;
    const entries = how === 'plainly' ? index.entries.filter(isPlain) : index.entries;
    return new Set(entries.map((entry) => entry.path));
  }
  const { stdout } = await git(['ls-files', '-z', '-v'], { cwd: repository.worktree });
  const records = splitNul(stdout).filter((record) => how === 'at all' || record.startsWith('H '));
  return new Set(records.map((record) => record.slice(2)));
}

/** A file that is in the way of the plan and that the present snapshot does not hold. */
export interface Obstacle {
  path: BytePath;
  /** `file` can be recorded first; a folder with unrecorded content cannot, nor can a socket or a device. */
  kind: 'file' | 'folder' | 'special';
  /** The planned path it is in the way of. */
  of: BytePath;
}

/** Looks for what is on disk where the plan is to create something: ignored files, files in the place of folders. */
export function findObstacles(root: string, entries: readonly PlanEntry[]): Obstacle[] {
  const obstacles: Obstacle[] = [];
  const goes = new Set(entries.filter(({ action }) => action === 'delete').map(({ path }) => path));
  const holders = new Set([...goes].flatMap(parentsOf));
  const clear = new Set<BytePath>();
  for (const { path, action } of entries) {
    if (action !== 'create') continue;
    const inTheWay = obstructingParent(root, path, goes, clear);
    if (inTheWay !== undefined) {
      obstacles.push({ ...inTheWay, of: path });
      continue;
    }
    // Below a file or link that the plan takes away there is nothing yet; a look would go through the link.
    if (parentsOf(path).some((parent) => goes.has(parent))) continue;
    // What is "below" a link that goes is not in its place, but somewhere else.
    if (parentsOf(path).some((parent) => goes.has(parent))) continue;
    const kind = kindAt(root, path);
    // A folder that the plan itself empties is no obstacle; one that keeps something else fails in `apply`, harmlessly.
    if (kind === undefined || (kind === 'folder' && (holders.has(path) || holdsNoFile(root, path)))) continue;
    obstacles.push({ path, kind, of: path });
  }
  return obstacles;
}

function obstructingParent(
  root: string,
  path: BytePath,
  goes: ReadonlySet<BytePath>,
  clear: Set<BytePath>,
): Omit<Obstacle, 'of'> | undefined {
  for (const parent of parentsOf(path)) {
    if (clear.has(parent)) continue;
    const kind = goes.has(parent) ? undefined : kindAt(root, parent);
    if (kind === 'file' || kind === 'special') return { path: parent, kind };
    clear.add(parent);
  }
  return undefined;
}

function kindAt(root: string, path: BytePath): Obstacle['kind'] | undefined {
  try {
    const stat = lstatSync(onDisk(root, path));
    if (stat.isDirectory()) return 'folder';
    return stat.isFile() || stat.isSymbolicLink() ? 'file' : 'special';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** True when there are only folders below: those are recorded as empty ones. */
function holdsNoFile(root: string, path: BytePath): boolean {
  const entries = readdirSync(onDisk(root, path), {
    withFileTypes: true,
    encoding: 'latin1',
  });
  return entries.every((entry) => entry.isDirectory() && holdsNoFile(root, `${path}/${entry.name}`));
}
