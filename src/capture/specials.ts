import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { type BytePath, isWithin, onDisk, parentsOf } from '../git/paths.ts';
import { listTree } from '../git/trees.ts';
import type { CaptureContext } from './context.ts';
import { ignoredOf } from './ignored.ts';
import type { Skipped } from './update.ts';

/**
 * Sockets, named pipes and devices. git never mentions them, so that a snapshot has to look for itself to be able to
 * say that it left them out. A look at every folder takes 100 ms for 100,000 files: it is taken at the first snapshot
 * and before a restore; otherwise at the folders in which something changed, and at what was found before.
 */
export async function findSpecials(
  context: CaptureContext,
  look: {
    known: readonly BytePath[];
    folders: ReadonlySet<BytePath>;
    tree: string;
    nested: readonly BytePath[];
  },
): Promise<Skipped[]> {
  const folders = new Set(['', ...look.folders]);
  if (look.tree !== '')
    for await (const entry of listTree(context.repository, look.tree, { folders: true, sizes: false }))
      folders.add(entry.path);
  const found = new Map<BytePath, string>();
  for (const file of look.known) {
    const kind = kindAt(context, file);
    if (kind !== undefined) found.set(file, kind);
  }
  for (const folder of folders) {
    if (look.nested.some((nested) => isWithin(folder, nested))) continue;
    for (const [file, kind] of specialsIn(context, folder)) found.set(file, kind);
  }
  // What the user ignores need not be mentioned.
  for (const file of await ignoredOf(context, context.config.exclude, [...found.keys()])) found.delete(file);
  return [...found].map(([file, kind]) => ({ path: file, reason: `it is ${kind}` }));
}

/** The folders above paths. */
export function foldersOf(paths: Iterable<BytePath>): Set<BytePath> {
  const folders = new Set<BytePath>();
  for (const file of paths) for (const parent of parentsOf(file)) folders.add(parent);
  return folders;
}

/** Reads a folder at once: one entry at a time takes twice as long. */
function specialsIn(context: CaptureContext, folder: BytePath): [BytePath, string][] {
  const absolute = folder === '' ? context.worktree : onDisk(context.worktree, folder);
  try {
    return readdirSync(absolute, { encoding: 'latin1', withFileTypes: true }).flatMap(
      (entry): [BytePath, string][] => {
        const kind = entry.isFile() ? undefined : kindOf(entry);
        return kind === undefined ? [] : [[folder === '' ? entry.name : `${folder}/${entry.name}`, kind]];
      },
    );
  } catch (error) {
    // Gone, no folder, or one that cannot be read: that is told by those who look for files.
    if (!['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    return [];
  }
}

function kindAt(context: CaptureContext, file: BytePath): string | undefined {
  try {
    return kindOf(lstatSync(onDisk(context.worktree, file)));
  } catch {
    return undefined; // gone, or out of sight
  }
}

/** What is neither a file, a folder nor a link. */
export function kindOf(
  entry: Pick<Stats, 'isSocket' | 'isFIFO' | 'isBlockDevice' | 'isCharacterDevice'>,
): string | undefined {
  if (entry.isSocket()) return 'a socket';
  if (entry.isFIFO()) return 'a named pipe';
  return entry.isBlockDevice() || entry.isCharacterDevice() ? 'a device' : undefined;
}
