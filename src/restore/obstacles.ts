import { lstatSync, readdirSync } from 'node:fs';
import { type BytePath, onDisk, parentsOf } from '../git/paths.ts';
import type { FilePlan } from './plan.ts';

/** What is on disk where a plan is to make something, and is in no snapshot: ignored files, files in the place of folders. */

interface Obstacle {
  path: BytePath;
  /** `file` can be recorded first; a folder with unrecorded content cannot, nor can a socket or a device. */
  kind: 'file' | 'folder' | 'special';
  /** The planned path it is in the way of. */
  of: BytePath;
}

/** The files in the way: once they are recorded, a plan may take them away. */
export function obstaclesToRecord(root: string, plan: FilePlan): BytePath[] {
  const files = findObstacles(root, plan).filter(({ kind }) => kind === 'file');
  return [...new Set(files.map(({ path }) => path))];
}

/**
 * What is in the way and cannot be recorded stays, and so does what was to come in its place.
 * @param also the files that were recorded because they are in the way; none before that was tried
 */
export function protectObstacles(root: string, plan: FilePlan, also: readonly BytePath[]): FilePlan {
  const blocked = new Map<BytePath, string>();
  for (const { path, kind, of } of findObstacles(root, plan)) {
    if (kind === 'file' && also.length === 0) continue; // recorded before the next look
    const file = also.includes(path) ? 'a file that is left alone' : 'a file that could not be recorded';
    const what = {
      file,
      folder: 'a folder that holds unrecorded files',
      special: 'a socket, pipe or device',
    };
    blocked.set(of, `${what[kind]} is in its place`);
  }
  if (blocked.size === 0) return plan;
  return {
    ...plan,
    entries: plan.entries.filter(({ path }) => !blocked.has(path)),
    createDirs: plan.createDirs.filter((path) => !blocked.has(path)),
    protected: [...plan.protected, ...[...blocked].map(([path, reason]) => ({ path, reason, missed: true }))],
  };
}

function findObstacles(root: string, { entries, createDirs }: FilePlan): Obstacle[] {
  const obstacles: Obstacle[] = [];
  const goes = new Set(entries.filter(({ action }) => action === 'delete').map(({ path }) => path));
  const clear = new Set<BytePath>();
  for (const { path, action } of entries) {
    if (action !== 'create') continue;
    const parents = parentsOf(path);
    const inTheWay = firstFile(root, parents, goes, clear);
    if (inTheWay !== undefined) {
      obstacles.push({ ...inTheWay, of: path });
      continue;
    }
    // Below a file or link that the plan takes away there is nothing yet; a look would go through the link.
    if (parents.some((parent) => goes.has(parent))) continue;
    const kind = kindAt(root, path);
    // A folder that the plan itself empties is no obstacle.
    if (kind === undefined || (kind === 'folder' && !keepsSomething(root, path, goes))) continue;
    obstacles.push({ path, kind, of: path });
  }
  for (const path of createDirs) {
    const inTheWay = firstFile(root, [...parentsOf(path), path], goes, clear);
    if (inTheWay !== undefined) obstacles.push({ ...inTheWay, of: path });
  }
  return obstacles;
}

/** The first of some folders, outermost first, that is none and stays none. */
function firstFile(
  root: string,
  folders: readonly BytePath[],
  goes: ReadonlySet<BytePath>,
  clear: Set<BytePath>,
): Omit<Obstacle, 'of'> | undefined {
  for (const folder of folders) {
    if (clear.has(folder)) continue;
    if (goes.has(folder)) return undefined;
    const kind = kindAt(root, folder);
    if (kind === 'file' || kind === 'special') return { path: folder, kind };
    clear.add(folder);
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

/** True when a folder holds something that stays. Empty folders are no reason to keep one: see `settleFolders`. */
function keepsSomething(root: string, folder: BytePath, goes: ReadonlySet<BytePath>): boolean {
  const entries = readdirSync(onDisk(root, folder), { withFileTypes: true, encoding: 'latin1' });
  return entries.some((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? keepsSomething(root, path, goes) : !goes.has(path);
  });
}
