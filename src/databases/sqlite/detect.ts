import { closeSync, openSync, readSync } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isSqliteHeader } from './header.ts';

export interface DetectOptions {
  /** Folders below the worktree to go down. Default 8. */
  maxDepth?: number;
  /** Directory entries to look at before giving up. Default 200,000 (about a second on a cold disk). */
  maxEntries?: number;
  /** Absolute paths that are not to be proposed: what is registered already. */
  exclude?: readonly string[];
}

export interface FoundDatabase {
  /** Relative to the worktree, with `/`. */
  path: string;
  bytes: number;
  /** A valid name for `pitr.database.<name>`, unique among those found. */
  proposedName: string;
}

/** Other people's files, or ones that can be made again: no database of the user's own work is in them. */
const foreignFolders = new Set([
  '.git',
  '.hg',
  '.svn',
  '.jj',
  'node_modules',
  'bower_components',
  'jspm_packages',
  '.pnpm-store',
  '.yarn',
  '.npm',
  '.venv',
  'venv',
  '.tox',
  '.nox',
  'site-packages',
  '__pycache__',
  '.mypy_cache',
  '.pytest_cache',
  '.ruff_cache',
  '.eggs',
  'vendor',
  'target',
  'dist',
  'build',
  'out',
  '.cache',
  '.next',
  '.nuxt',
  '.svelte-kit',
  '.turbo',
  '.parcel-cache',
  '.gradle',
  '.m2',
  '.terraform',
  '.bundle',
  'Pods',
  'DerivedData',
  '.idea',
  '.vs',
  '.vscode',
  'coverage',
]);

/** A file smaller than this is no SQLite database: the smallest has one page of 512 bytes. */
const smallest = 512;

/** What never is a database is not opened: in a tree of 100,000 sources, opening each would take a second. */
const otherKinds =
  /\.(?:[cm]?[jt]sx?|json|map|md|txt|html?|s?css|less|svg|png|jpe?g|gif|webp|ico|pdf|woff2?|ttf|py|pyc|rb|rs|go|java|class|jar|kt|c|h|cc|cpp|hpp|cs|php|sh|ya?ml|toml|xml|lock|log|gz|zip|tar|so|o|a|dll|exe|mp[34]|wasm|csv|sql)$|-(?:wal|shm|journal)$/i;

/**
 * Finds SQLite databases in a working tree by the first 16 bytes of each file, ignored files too, but not in folders
 * of dependencies or build results. Symbolic links are not followed. Breadth first: what is near the top is found
 * even when a limit ends the search. Sorted by path. Unreadable folders and files are passed over.
 */
export async function findSqliteFiles(
  worktree: string,
  options: DetectOptions = {},
): Promise<FoundDatabase[]> {
  const { maxDepth = 8, maxEntries = 200_000 } = options;
  const excluded = new Set(options.exclude ?? []);
  const found: { path: string; bytes: number }[] = [];
  let folders = [''];
  let entries = 0;
  for (let depth = 0; depth <= maxDepth && folders.length > 0 && entries < maxEntries; depth++) {
    const deeper: string[] = [];
    for (const folder of folders) {
      if (entries >= maxEntries) break;
      for (const entry of await list(path.join(worktree, folder))) {
        if (++entries > maxEntries) break;
        const relative = folder === '' ? entry.name : `${folder}/${entry.name}`;
        const file = path.join(worktree, relative);
        if (entry.folder) {
          if (!foreignFolders.has(entry.name)) deeper.push(relative);
        } else if (!otherKinds.test(entry.name) && !excluded.has(file)) {
          const bytes = await sqliteSize(file);
          if (bytes !== undefined) found.push({ path: relative, bytes });
        }
      }
    }
    folders = deeper;
  }
  return nameAll(found.toSorted((a, b) => (a.path < b.path ? -1 : 1)));
}

async function list(folder: string): Promise<{ name: string; folder: boolean }[]> {
  const entries: { name: string; folder: boolean }[] = [];
  try {
    for await (const entry of await opendir(folder, { bufferSize: 256 })) {
      if (entry.isDirectory() || entry.isFile())
        entries.push({ name: entry.name, folder: entry.isDirectory() });
    }
  } catch {
    // Not ours to read, or gone meanwhile.
  }
  return entries;
}

/** The size of a SQLite database; undefined for any other file. */
async function sqliteSize(file: string): Promise<number | undefined> {
  try {
    const { size } = await stat(file);
    if (size < smallest) return undefined;
    const start = Buffer.alloc(16);
    const handle = openSync(file, 'r');
    try {
      if (readSync(handle, start, 0, 16, 0) < 16) return undefined;
    } finally {
      closeSync(handle);
    }
    return isSqliteHeader(start) ? size : undefined;
  } catch {
    return undefined;
  }
}

/** `data/app.db` becomes `app`; where two would be `app`, the folder tells them apart: `data-app`, then numbers. */
function nameAll(found: readonly { path: string; bytes: number }[]): FoundDatabase[] {
  const short = found.map((file) => nameOf(path.posix.basename(file.path)));
  const taken = new Set<string>();
  return found.map((file, index) => {
    const own = short[index] ?? 'database';
    const clash = short.filter((other) => other.toLowerCase() === own.toLowerCase()).length > 1;
    const folder = path.posix.dirname(file.path);
    const base = clash && folder !== '.' ? clean(`${folder.replaceAll('/', '-')}-${own}`) : own;
    let name = base;
    for (let number = 2; taken.has(name.toLowerCase()); number++) name = `${base.slice(0, 59)}-${number}`;
    taken.add(name.toLowerCase());
    return { ...file, proposedName: name };
  });
}

function nameOf(base: string): string {
  return clean(base.replace(/\.(?:db3?|sqlite3?|s3db|sl3)$/i, ''));
}

/** Letters, digits, dots, dashes and underscores, as `readConfig` wants them: 64 at most, no dots in a row. */
function clean(text: string): string {
  const name = text
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .slice(-64)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return name === '' ? 'database' : name;
}
