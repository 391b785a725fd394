import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { isPartialClone } from '../git/partialClone.ts';
import { type BytePath, displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { git, GitFailure } from '../git/run.ts';
import { checkObjects } from '../git/trees.ts';
import type { PlanEntry } from './plan.ts';
import { ensurePrivateDir, randomId } from '../system/files.ts';

/**
 * New content is written beside the files first, complete, and then renamed into place: a restore that is killed
 * never leaves half a file. The staging folder is on the file system of the files, so that a rename is possible.
 */
export interface Stage {
  dir: string;
  /** Where the new content of a path waits; each path has a file of its own. */
  pathOf(path: BytePath): string;
  remove(): void;
}

/**
 * Writes the content of entries, raw, into a staging folder for `root`. Names there are numbers, never names from the
 * snapshot. Costs two git processes whatever the number of files.
 */
export async function stageFiles(
  repository: Repository,
  root: string,
  entries: readonly PlanEntry[],
): Promise<Stage> {
  const dir = stagingDir(repository, root);
  mkdirSync(path.join(dir, 'files'), { recursive: true, mode: 0o700 });
  const wanted = entries.filter(({ action }) => action === 'create' || action === 'overwrite');
  const names = new Map(wanted.map((entry, index) => [entry.path, nameOf(index)]));
  const stage: Stage = {
    dir,
    pathOf: (file) => path.join(dir, 'files', names.get(file) ?? 'missing'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
  try {
    const lines = wanted.map(
      ({ path: file, after }) => `${after?.mode ?? ''} ${after?.oid ?? ''} 0\t${names.get(file) ?? ''}\0`,
    );
    if (lines.length > 0) await checkOut(repository, dir, lines);
    return stage;
  } catch (error) {
    stage.remove();
    throw await missingContent(repository, wanted, error);
  }
}

/** Names the files whose content is not there: in a partial clone it may never have been fetched. */
async function missingContent(
  repository: Repository,
  entries: readonly PlanEntry[],
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof GitFailure) || !/(cannot|unable to) read/.test(error.stderr)) return error;
  const objects = await checkObjects(
    repository,
    entries.map(({ after }) => after?.oid ?? ''),
  );
  const missing = entries.filter((_, index) => objects[index] === undefined);
  const [first] = missing;
  if (first === undefined) return error;
  const names = missing.slice(0, 10).map((entry) => displayPath(entry.path));
  const shown =
    names.join(', ') + (missing.length > names.length ? ` and ${missing.length - names.length} more` : '');
  if (await isPartialClone(repository)) {
    return new PitrError(
      'failed',
      `${shown}: this partial clone never fetched the content, and git-pitr fetches nothing. Nothing was changed.`,
      {
        hints: [
          'Name the paths you want, and only they are restored.',
          `git cat-file -p ${first.after?.oid ?? ''} fetches one, while the remote can be reached.`,
        ],
        cause: error,
      },
    );
  }
  return new PitrError(
    'integrity',
    `${shown}: the content is not in the object store. Nothing was changed.`,
    {
      hints: ['git fsck tells what else is missing.'],
      cause: error,
    },
  );
}

/** Folders of 1,000: a flat folder of 100,000 names is slow on some file systems. */
function nameOf(index: number): string {
  return `${Math.floor(index / 1000)}/${index}`;
}

/** In the private folder; beside the files where that is another file system (a linked worktree elsewhere). */
function stagingDir(repository: Repository, root: string): string {
  ensurePrivateDir(repository.lineDir);
  const sameDevice = statSync(repository.lineDir).dev === statSync(root).dev;
  return sameDevice
    ? path.join(repository.lineDir, 'stage', randomId())
    : path.join(root, `.git-pitr-${randomId()}`);
}

async function checkOut(repository: Repository, dir: string, lines: readonly string[]): Promise<void> {
  const env = {
    GIT_DIR: path.join(repository.lineDir, 'shadow'),
    GIT_OBJECT_DIRECTORY: repository.objectDir,
    GIT_WORK_TREE: path.join(dir, 'files'),
    GIT_INDEX_FILE: path.join(dir, 'index'),
  };
  const cwd = path.join(dir, 'files');
  await git(['update-index', '-z', '--index-info'], { cwd, env, input: lines.join('') });
  // fsync of the whole file system happens once, after the last rename (see apply.ts).
  await git(['checkout-index', '--all', '--force', '--quiet'], {
    cwd,
    env,
    config: [['checkout.workers', '0']],
  });
}
