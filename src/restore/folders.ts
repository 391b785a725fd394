import { lstatSync, readdirSync } from 'node:fs';
import { type BytePath, onDisk, parentOf, parentsOf } from '../git/paths.ts';
import type { FilePlan } from './plan.ts';

/**
 * Folders, as they are on disk: two states only say which ones held nothing that is recorded. What a plan lists is what
 * it then makes and removes, so that its undo can make again just what it removed.
 */
export function settleFolders(root: string, plan: FilePlan): FilePlan {
  const folders = new Folders(root);
  const makes = new Set(plan.entries.filter(({ action }) => action === 'create').map(({ path }) => path));
  const wanted = [...new Set([...plan.createDirs, ...plan.keepDirs])];
  const keepDirs = wanted.filter((folder) => folders.has(folder));
  const kept = new Set(keepDirs);
  const createDirs = wanted.filter((folder) => !kept.has(folder));
  const needed = new Set([...makes, ...wanted.map((folder) => `${folder}/`)].flatMap(parentsOf));
  // In the place of a new file there may be folders in folders, which no state knows if they are ignored.
  const replaced = [...makes].flatMap((path) => (folders.has(path) ? innermost(root, path) : []));
  const removeDirs = [...new Set([...plan.removeDirs, ...replaced])].filter(
    (folder) => !needed.has(folder) && folders.has(folder) && isEmpty(root, folder),
  );
  return { ...plan, createDirs, keepDirs, removeDirs: removeDirs.toSorted() };
}

/**
 * The folders in which a plan makes something and which are there already: taking it back must leave them, even those
 * that hold nothing else.
 */
export function foldersInUse(root: string, plan: FilePlan): BytePath[] {
  const made = plan.entries.filter(({ action }) => action === 'create').map(({ path }) => path);
  const folders = new Folders(root);
  const deepest = [...made, ...plan.createDirs].map((path) =>
    parentsOf(path).findLast((folder) => folders.has(folder)),
  );
  return [...new Set(deepest.filter((folder) => folder !== undefined))].toSorted();
}

/** Which paths are folders; of each it asks once. */
class Folders {
  readonly #root: string;
  readonly #known = new Map<BytePath, boolean>([['', true]]);

  constructor(root: string) {
    this.#root = root;
  }

  /** True for a real folder, all the way: what is behind a symbolic link is not of this tree. */
  has(path: BytePath): boolean {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const found =
      this.has(parentOf(path)) &&
      lstatSync(onDisk(this.#root, path), { throwIfNoEntry: false })?.isDirectory() === true;
    this.#known.set(path, found);
    return found;
  }
}

function isEmpty(root: string, path: BytePath): boolean {
  return readdirSync(onDisk(root, path)).length === 0;
}

/** The folders at or below one that hold nothing at all. */
function innermost(root: string, folder: BytePath): BytePath[] {
  const entries = readdirSync(onDisk(root, folder), { withFileTypes: true, encoding: 'latin1' });
  if (entries.length === 0) return [folder];
  return entries.flatMap((entry) => (entry.isDirectory() ? innermost(root, `${folder}/${entry.name}`) : []));
}
