import { existsSync } from 'node:fs';
import { worktreeContext } from '../capture/capture.ts';
import { shadowGit } from '../capture/context.ts';
import { type BytePath, isWithin, onDisk } from '../git/paths.ts';
import { git, gitText, splitNul } from '../git/run.ts';
import type { FileAction } from './plan.ts';
import type { Context } from './request.ts';

/**
 * What a sparse checkout keeps out of the working tree: neither deleted nor ever written by a restore.
 * @param nested the repositories in the worktree; each may have a sparse checkout of its own
 * @returns the reason why a path is left alone, `undefined` for none
 */
export async function sparseProtection(
  context: Context,
  nested: Iterable<BytePath>,
): Promise<(path: BytePath, action: FileAction) => string | undefined> {
  const outside = await sparsePaths(context);
  const folders: BytePath[] = [];
  const tracked = new Set<BytePath>();
  for (const folder of nested) {
    const paths = await sparseNested(context, folder);
    if (paths === undefined) continue;
    folders.push(folder);
    for (const path of paths.outside) outside.add(path);
    for (const path of paths.tracked) tracked.add(path);
  }
  return (path, action) => {
    if (outside.has(path)) return 'it is outside the sparse checkout';
    // A snapshot does not say which files of a nested repository were left out then.
    return action === 'delete' && folders.some((folder) => isWithin(path, folder)) && tracked.has(path)
      ? 'it is tracked by a nested repository with a sparse checkout'
      : undefined;
  };
}

async function sparsePaths({ repository, config }: Context): Promise<Set<BytePath>> {
  if (!/^(true|yes|on|1)$/i.test(config.git.get('core.sparsecheckout') ?? '')) return new Set();
  const { stdout } = await shadowGit(worktreeContext(repository, config), ['ls-files', '-z', '-t']);
  return new Set(
    splitNul(stdout)
      .filter((record) => record.startsWith('S '))
      .map((record) => record.slice(2)),
  );
}

/** The tracked paths of a nested repository with a sparse checkout, and those of them that it leaves out. */
async function sparseNested(
  { repository }: Context,
  folder: BytePath,
): Promise<{ tracked: BytePath[]; outside: BytePath[] } | undefined> {
  const cwd = onDisk(repository.worktree, folder).toString('utf8');
  const patterns = await gitText(
    ['rev-parse', '--path-format=absolute', '--git-path', 'info/sparse-checkout'],
    { cwd },
  );
  if (!existsSync(patterns)) return undefined;
  const records = splitNul((await git(['ls-files', '-z', '-t'], { cwd })).stdout);
  const pathOf = (record: string) => `${folder}/${record.slice(2)}`;
  return {
    tracked: records.map(pathOf),
    outside: records
      .filter((record) => record.startsWith('S '))
      .map(pathOf)
      .filter((path) => !existsSync(onDisk(repository.worktree, path))),
  };
}
