import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ensurePrivateDir, readFileIfThere, writeFileWhole } from '../system/files.ts';
import type { Repository } from './repository.ts';

/**
 * The environment for looking at objects by their ids, without the repository around them.
 *
 * In a partial clone git fetches an object it does not have, even when it is only asked whether it is there, and dies
 * where it cannot (GIT_NO_LAZY_FETCH came with 2.45 and 2.39.4, and makes it die too). A git directory of our own has
 * the same object store, and no remote to fetch from: there an absent object is just that.
 */
export function objectStore(repository: Repository): Record<string, string> {
  const gitDir = path.join(repository.privateDir, 'reader');
  if (!sound.has(gitDir)) {
    if (readFileIfThere(path.join(gitDir, 'HEAD')) !== head) create(gitDir, repository);
    sound.add(gitDir);
  }
  return {
    GIT_DIR: gitDir,
    GIT_WORK_TREE: repository.worktree,
    GIT_OBJECT_DIRECTORY: repository.objectDir,
  };
}

const head = 'ref: refs/heads/none\n';

/** Looked at once a process: a loss of power may have left empty files. */
const sound = new Set<string>();

function create(gitDir: string, repository: Repository): void {
  ensurePrivateDir(gitDir);
  for (const dir of ['refs', 'objects']) mkdirSync(path.join(gitDir, dir), { recursive: true });
  const extensions = repository.objectFormat === 'sha256' ? '[extensions]\n\tobjectformat = sha256\n' : '';
  writeFileWhole(
    path.join(gitDir, 'config'),
    `[core]\n\trepositoryformatversion = 1\n\tbare = false\n${extensions}`,
  );
  // Last: its presence says that the rest is complete.
  writeFileWhole(path.join(gitDir, 'HEAD'), head);
}
