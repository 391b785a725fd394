import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { worktreeContext } from '../capture/capture.ts';
import { shadowGit } from '../capture/context.ts';
import { isSparse } from '../capture/sparse.ts';
import { type BytePath, isWithin, onDisk } from '../git/paths.ts';
import { git, type GitOptions, gitText, splitNul } from '../git/run.ts';
import { diffTrees, resolveTree } from '../git/trees.ts';
import { readFileIfThere } from '../system/files.ts';
import type { FileAction, FilePlan } from './plan.ts';
import type { Context } from './request.ts';
import { inScratch, indexPaths } from './scratch.ts';
import type { RecordedState } from './target.ts';

export const outsideReason = 'it is outside the sparse checkout';

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
    for (const file of paths.outside) outside.add(file);
    for (const file of paths.tracked) tracked.add(file);
  }
  return (file, action) => {
    if (outside.has(file)) return outsideReason;
    // A snapshot does not say which files of a nested repository were left out then.
    return action === 'delete' && folders.some((folder) => isWithin(file, folder)) && tracked.has(file)
      ? 'it is tracked by a nested repository with a sparse checkout'
      : undefined;
  };
}

async function sparsePaths({ repository, config }: Context): Promise<Set<BytePath>> {
  if (!isSparse({ config })) return new Set();
  const { stdout } = await shadowGit(worktreeContext(repository, config), ['ls-files', '-z', '-t']);
  return new Set(flaggedIn(stdout));
}

/**
 * Of the paths that a plan would create, those that a checkout of the target would have left out: outside the sparse
 * checkout as it is now, and in the target as its index had them. An untracked or changed file that lay out there is
 * the user's own and comes back.
 */
export async function leftOut(
  context: Context,
  plan: FilePlan,
  target: RecordedState,
): Promise<Set<BytePath>> {
  const created = plan.entries.filter(({ action }) => action === 'create').map((entry) => entry.path);
  if (created.length === 0 || !isSparse(context)) return new Set();
  const outside = await outsidePatterns(context, created);
  if (outside.size === 0) return outside;
  const { repository } = context;
  // A HEAD that is no longer there says nothing: then everything comes back.
  const index =
    target.staged || (target.head === '' ? '' : await resolveTree(repository, `${target.head}^{tree}`));
  for await (const change of diffTrees(repository, index, target.files)) outside.delete(change.path);
  return outside;
}

/**
 * Which paths the patterns of the sparse checkout leave out. git 2.39 has no command that tells (check-rules came with
 * 2.41), and its matching has two modes: so it checks out a tree of empty files with these names, far from the user's.
 */
async function outsidePatterns(
  { repository, config }: Context,
  paths: readonly BytePath[],
): Promise<Set<BytePath>> {
  const patterns = readFileIfThere(path.join(repository.gitDir, 'info', 'sparse-checkout'));
  if (patterns === undefined) return new Set();
  return inScratch(repository, async ({ gitDir, options: plain }) => {
    writeFileSync(path.join(gitDir, 'info', 'sparse-checkout'), patterns);
    const cone = config.git.get('core.sparsecheckoutcone') ?? 'true';
    const options: GitOptions = {
      ...plain,
      config: [
        ['core.sparseCheckout', 'true'],
        ['core.sparseCheckoutCone', cone === '' ? 'true' : cone],
      ],
    };
    const blob = await gitText(['hash-object', '-w', '--stdin'], { ...options, input: '' });
    await indexPaths(options, paths, blob);
    const tree = await gitText(['write-tree'], options);
    await git(['read-tree', '--empty'], options);
    await git(['read-tree', '-m', '-u', tree], options);
    return new Set(flaggedIn((await git(['ls-files', '-z', '-t'], options)).stdout));
  });
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
  const { stdout } = await git(['ls-files', '-z', '-t'], { cwd });
  const below = (file: BytePath) => `${folder}/${file}`;
  return {
    tracked: splitNul(stdout).map((record) => below(record.slice(2))),
    outside: flaggedIn(stdout)
      .map(below)
      .filter((file) => !existsSync(onDisk(repository.worktree, file))),
  };
}

/** The paths with the skip-worktree flag in the output of `ls-files -z -t`. */
function flaggedIn(listing: Buffer): BytePath[] {
  return splitNul(listing)
    .filter((record) => record.startsWith('S '))
    .map((record) => record.slice(2));
}
