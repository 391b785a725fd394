import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Repository } from '../git/repository.ts';
import { readFileIfThere } from '../system/files.ts';

/**
 * Where branches are checked out: the full name -> the worktrees' git directories. A branch that is being rebased or
 * bisected counts, as it does for git: it is moved, or gone back to, at the end.
 */
export function checkedOutBranches({ commonDir }: Pick<Repository, 'commonDir'>): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const gitDir of [commonDir, ...linkedWorktrees(commonDir)]) {
    const read = (name: string) => readFileIfThere(path.join(gitDir, name))?.trim() ?? '';
    const bisected = read('BISECT_START');
    const names = [
      /^ref: (.*)$/.exec(read('HEAD'))?.[1] ?? '',
      read('rebase-merge/head-name'),
      read('rebase-apply/head-name'),
      bisected === '' ? '' : `refs/heads/${bisected}`,
    ];
    for (const name of new Set(names.filter((candidate) => candidate.startsWith('refs/heads/'))))
      found.set(name, [...(found.get(name) ?? []), placeOf(gitDir, commonDir)]);
  }
  return found;
}

function linkedWorktrees(commonDir: string): string[] {
  const folder = path.join(commonDir, 'worktrees');
  try {
    return readdirSync(folder).map((name) => path.join(folder, name));
  } catch {
    return []; // there is none
  }
}

/** The working tree's own folder, for the message. */
function placeOf(gitDir: string, commonDir: string): string {
  if (gitDir === commonDir) return path.basename(commonDir) === '.git' ? path.dirname(commonDir) : commonDir;
  const pointer = readFileIfThere(path.join(gitDir, 'gitdir'))?.trim();
  return pointer === undefined ? gitDir : path.dirname(pointer);
}
