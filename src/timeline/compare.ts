import { displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { diffTrees, type TreeChange } from '../git/trees.ts';
import type { SnapshotDatabase } from './snapshot.ts';

/** How two states differ, as `diff --json` shows it. */
export interface Comparison {
  files: { path: string; status: FileStatus }[];
  databases: { name: string; status: 'added' | 'removed' | 'changed' | 'unchanged' }[];
}

/** git's letters: added, deleted, modified, type changed. */
export type FileStatus = 'A' | 'D' | 'M' | 'T';

export async function compareFiles(
  repository: Repository,
  from: string,
  to: string,
  pathspecs: readonly string[],
  cwd: string,
): Promise<Comparison['files']> {
  const files: Comparison['files'] = [];
  for await (const change of diffTrees(repository, from, to, { pathspecs, cwd }))
    files.push({ path: displayPath(change.path), status: statusOf(change) });
  return files;
}

function statusOf({ before, after }: TreeChange): FileStatus {
  if (before === undefined) return 'A';
  if (after === undefined) return 'D';
  return before.mode.slice(0, 3) === after.mode.slice(0, 3) ? 'M' : 'T';
}

export function compareDatabases(
  from: readonly SnapshotDatabase[],
  to: readonly SnapshotDatabase[],
): Comparison['databases'] {
  const names = [...new Set([...from, ...to].map(({ name }) => name))].toSorted();
  return names.map((name) => {
    const before = from.find((database) => database.name === name);
    const after = to.find((database) => database.name === name);
    if (before === undefined) return { name, status: 'added' };
    if (after === undefined) return { name, status: 'removed' };
    return { name, status: before.sha256 === after.sha256 ? 'unchanged' : 'changed' };
  });
}
