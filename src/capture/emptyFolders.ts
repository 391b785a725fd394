import { type Dirent, opendirSync } from 'node:fs';
import { type BytePath, onDisk } from '../git/paths.ts';
import type { ShadowPlace } from './context.ts';
import { ignoredFolders } from './ignored.ts';
import { isNestedRepository } from './nested.ts';
import { listOthers } from './others.ts';

/**
 * Folders that hold nothing recorded: a tree has no place for them. The innermost ones are named, those above come
 * with them.
 */

/** All of them, by a look of its own: asked again after an update that emptied or filled some. */
export async function scanEmptyFolders(place: ShadowPlace, patterns: readonly string[]): Promise<BytePath[]> {
  const others = await listOthers(place, patterns, ['--directory'], []);
  const folders = others.filter((path) => path.endsWith('/')).map((path) => path.slice(0, -1));
  return (await emptyFolders(place, patterns, folders)).toSorted();
}

/** True when there is a file, or a repository, somewhere below a folder. */
export function holdsFile(place: ShadowPlace, folder: BytePath): boolean {
  const inside = look(place, folder, 'up to the first file');
  if (inside === 'gone') return false;
  if (inside === 'not ours' || inside.holdsFile) return true;
  return inside.folders.some((child) => holdsFile(place, child));
}

/** So many folders are looked at before git is asked about them: a process costs as much as 100 of them. */
const ahead = 500;

/**
 * The innermost folders at or below some that hold nothing recorded. One that is ignored is none of them, and is not
 * entered far: it may be a node_modules.
 */
export async function emptyFolders(
  place: ShadowPlace,
  patterns: readonly string[],
  folders: readonly BytePath[],
): Promise<BytePath[]> {
  const found: BytePath[] = [];
  for (let known = [...folders]; known.length > 0; ) {
    const inside = new Map<BytePath, BytePath[] | undefined>();
    const queue = [...known];
    for (let at = 0; at < queue.length && at < Math.max(ahead, known.length); at++) {
      const folder = queue[at] as BytePath;
      const children = look(place, folder);
      inside.set(folder, typeof children === 'string' ? undefined : children.folders);
      if (typeof children !== 'string') queue.push(...children.folders);
    }
    const ignored = new Set(await ignoredFolders(place, patterns, queue.slice(known.length)));
    const reached = known;
    known = [];
    for (const folder of reached) {
      const children = inside.get(folder);
      const ours = children?.filter((child) => !ignored.has(child)) ?? [];
      if (children !== undefined && ours.length === 0) found.push(folder);
      for (const child of ours) (inside.has(child) ? reached : known).push(child);
    }
  }
  return found;
}

type Inside = 'gone' | 'not ours' | { holdsFile: boolean; folders: BytePath[] };

/**
 * What is directly in a folder. A nested repository is none of our folders. A `.git` that is no repository counts as a
 * file: no snapshot holds such a name. So does what a folder holds that cannot be read.
 */
function look(place: ShadowPlace, folder: BytePath, how?: 'up to the first file'): Inside {
  if (isNestedRepository(onDisk(place.worktree, folder))) return 'not ours';
  const folders: BytePath[] = [];
  let holdsFile = false;
  try {
    const handle = opendirSync(onDisk(place.worktree, folder), {
      encoding: 'latin1' as BufferEncoding,
    });
    try {
      for (let entry: Dirent | null = handle.readSync(); entry !== null; entry = handle.readSync()) {
        if (entry.isDirectory() && entry.name.toLowerCase() !== '.git')
          folders.push(`${folder}/${entry.name}`);
        else holdsFile = true;
        if (holdsFile && how !== undefined) break;
      }
    } finally {
      handle.closeSync();
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) return 'gone';
    if (code === 'EACCES') return { holdsFile: true, folders: [] };
    throw error;
  }
  return { holdsFile, folders };
}
