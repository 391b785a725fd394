import type { Capture } from '../capture/capture.ts';
import { PitrError } from '../errors.ts';
import { isWithin, unquotePath } from '../git/paths.ts';
import { hasMagic, placeOf } from '../git/pathspecs.ts';
import { objectStore } from '../git/objectStore.ts';
import { git } from '../git/run.ts';
import { emptyTree } from '../git/trees.ts';
import { followLinks } from '../system/files.ts';
import type { Scope } from './plan.ts';
import { presentState } from './present.ts';
import type { Context, RestoreRequest } from './request.ts';
import type { RecordedState } from './target.ts';

/** What the paths of a request mean. */

export function scopeOf(context: Context, request: RestoreRequest): Scope {
  if (request.pathspecs.length === 0) return {};
  const plainFolders = request.pathspecs
    .filter((pathspec) => !hasMagic(pathspec))
    .flatMap((pathspec) => placeOf(context.repository, pathspec) ?? []);
  return { pathspecs: request.pathspecs, cwd: request.cwd, plainFolders };
}

/** Error: `noMatch` for a path that is a registered database's: it is none of the files. */
export function refuseDatabasePaths({ repository, config }: Context, request: RestoreRequest): void {
  for (const pathspec of request.pathspecs.filter((candidate) => !hasMagic(candidate))) {
    const place = placeOf(repository, pathspec);
    const database = config.databases.find(
      ({ path: file }) =>
        file !== undefined && place === placeOf({ ...repository, prefix: '' }, followLinks(file)),
    );
    if (place === undefined || database === undefined) continue;
    throw new PitrError(
      'noMatch',
      `"${pathspec}" is the registered database "${database.name}", which is not restored as a file; nothing was changed.`,
      {
        hints: [
          `Restore it as a database: --db ${database.name}`,
          'What snapshots from before it was registered hold as a file: --into <folder>',
        ],
      },
    );
  }
}

/** Error: `noMatch` for a pathspec that fits nothing, neither now nor then. */
export async function requireMatches(
  context: Context,
  request: RestoreRequest,
  capture: Capture,
  target: RecordedState,
): Promise<void> {
  const { repository } = context;
  const none = emptyTree(repository);
  for (const pathspec of request.pathspecs) {
    const matches = async (tree: string) => {
      if (tree === '') return false;
      const args = ['diff-tree', '-r', '--quiet', '--end-of-options', none, tree, '--', pathspec];
      const options = { cwd: request.cwd, env: objectStore(repository), okCodes: [0, 1] };
      return (await git(args, options)).code === 1;
    };
    if (
      /^:[!^]|^:\(.*exclude/.test(pathspec) ||
      (await matches(target.files)) ||
      (await matches(capture.files))
    )
      continue;
    const plain = scopeOf(context, { ...request, pathspecs: [pathspec] }).plainFolders?.[0];
    const folders = [...presentState(capture).emptyDirs, ...target.emptyDirs];
    if (plain !== undefined && folders.some((dir) => isWithin(dir, plain))) continue;
    const skipped = [...target.skipped, ...capture.skipped.map(({ path }) => path)].map(unquotePath);
    if (plain !== undefined && skipped.includes(plain)) {
      throw new PitrError('noMatch', `"${pathspec}" was left out of the snapshot; nothing was changed.`, {
        hints: ['git pitr show names the reason.'],
      });
    }
    throw new PitrError(
      'noMatch',
      `"${pathspec}" matches no file, neither now nor in that snapshot; nothing was changed.`,
      {
        hints: [
          'Paths are relative to the current folder.',
          'git pitr list --path <path> shows the snapshots that changed a path.',
        ],
      },
    );
  }
}
