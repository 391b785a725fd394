import { existsSync } from 'node:fs';
import path from 'node:path';
import { readFileIfThere } from '../system/files.ts';

/** A merge, rebase or the like that was begun and not finished. Its files in the git directory are only read. */
export interface UnfinishedOperation {
  name: 'merge' | 'rebase' | 'am' | 'cherry-pick' | 'revert' | 'bisect';
  /** What it is about, as git keeps it: `MERGE_HEAD <oid>`, `onto <oid>`; the first line of each file. */
  facts: string[];
}

/** What is under way in a worktree; undefined when nothing is. Order: the inner one first (a pick within a rebase). */
export function unfinishedOperation(gitDir: string): UnfinishedOperation | undefined {
  const there = (name: string) => existsSync(path.join(gitDir, name));
  const operation = (name: UnfinishedOperation['name'], ...files: string[]): UnfinishedOperation => ({
    name,
    facts: files.flatMap((file) => {
      const line = readFileIfThere(path.join(gitDir, file))?.split('\n')[0] ?? '';
      return line === '' ? [] : [`${path.posix.basename(file)} ${line}`];
    }),
  });
  const rebase = (dir: string) => ['head-name', 'onto', 'orig-head'].map((file) => `${dir}/${file}`);
  if (there('rebase-apply/applying')) return operation('am', 'rebase-apply/next', 'rebase-apply/last');
  if (there('rebase-merge')) return operation('rebase', ...rebase('rebase-merge'));
  if (there('rebase-apply')) return operation('rebase', ...rebase('rebase-apply'));
  if (there('MERGE_HEAD')) return operation('merge', 'MERGE_HEAD');
  if (there('CHERRY_PICK_HEAD')) return operation('cherry-pick', 'CHERRY_PICK_HEAD');
  if (there('REVERT_HEAD')) return operation('revert', 'REVERT_HEAD');
  // Between two picks of a series there is no head, only the list.
  const todo = readFileIfThere(path.join(gitDir, 'sequencer', 'todo'));
  if (todo !== undefined)
    return operation(todo.startsWith('revert') ? 'revert' : 'cherry-pick', 'sequencer/head');
  return there('BISECT_START') ? operation('bisect', 'BISECT_START') : undefined;
}
