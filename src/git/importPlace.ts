import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readFileIfThere } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';
import type { Repository } from './repository.ts';

/**
 * Where objects are written by programs that want refs to write them with: a git directory for one process, with the
 * real object store. In the user's own one fast-import leaves a `fast_import_crash_<pid>` behind when it dies, locks
 * packed-refs to drop its scratch branches, and fails when two of them want the same name at once.
 */
export interface ImportPlace {
  env: Readonly<Record<string, string>>;
  remove(): void;
}

export function makeImportPlace(repository: Repository): ImportPlace {
  const gitDir = path.join(importDir(repository), ownedName());
  mkdirSync(path.join(gitDir, 'refs'), { recursive: true, mode: 0o700 });
  writeFileSync(path.join(gitDir, 'config'), settings(repository));
  writeFileSync(path.join(gitDir, 'HEAD'), 'ref: refs/heads/none\n');
  return {
    env: { GIT_DIR: gitDir, GIT_OBJECT_DIRECTORY: repository.objectDir },
    remove: () => rmSync(gitDir, { recursive: true, force: true }),
  };
}

/** Holds one folder a process; the folder of a dead one may go. */
export function importDir(repository: Repository): string {
  return path.join(repository.privateDir, 'import');
}

/**
 * The settings that the shadow mirrors from the user's (capture/context.ts): new packs and folders of objects need the
 * modes of core.sharedRepository, or other members of the group cannot write beside them any more.
 */
function settings(repository: Repository): string {
  const mirrored = readFileIfThere(path.join(repository.lineDir, 'shadow', 'config')) ?? '';
  if (mirrored !== '') return mirrored;
  const extensions = repository.objectFormat === 'sha256' ? '[extensions]\n\tobjectformat = sha256\n' : '';
  return `[core]\n\trepositoryformatversion = 1\n\tbare = false\n${extensions}`;
}
