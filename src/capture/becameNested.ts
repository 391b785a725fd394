import { type BytePath, isWithin, onDisk, parentsOf } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import { type CaptureContext, shadowGit } from './context.ts';
import { isNestedRepository, openNested } from './nested.ts';
import { isFolder, type Scan } from './scan.ts';
import type { CaptureState } from './state.ts';
import { forget } from './update.ts';

/**
 * Folders that were recorded as folders and have become repositories since (`git init`, `git clone`, `git worktree
 * add` in a place that held files). git lists what is in them as ordinary files while its index knows a path in there.
 * From now on they are captured as nested repositories, by their own rules; a linked worktree not at all.
 *
 * One exception: a folder of which the user's own index tracks files stays a folder, as it does for git.
 */
export async function separateNested(
  context: CaptureContext,
  state: CaptureState,
  looks: Scan,
): Promise<void> {
  for (const folder of candidates(context, looks)) {
    if (looks.nested.some((nested) => isWithin(folder, nested))) continue;
    if ((await isTracked(context, folder)) && !(await isOtherWorktree(context, folder))) continue;
    const listed = await shadowGit(context, ['ls-files', '-z', '--', text(folder)], literally);
    await forget(context, splitNul(listed.stdout));
    state.tree = ''; // written anew
    state.permissions = Object.fromEntries(
      Object.entries(state.permissions).filter(([path]) => !isWithin(path, folder)),
    );
    for (const paths of [looks.changed, looks.gone])
      for (const path of paths) if (isWithin(path, folder)) paths.delete(path);
    looks.nested = [...looks.nested.filter((nested) => !isWithin(nested, folder)), folder];
  }
}

/**
 * The folders above what changed that are repositories, outermost first. A folder that has become a link to a repository
 * is a link.
 */
function candidates(context: CaptureContext, looks: Scan): BytePath[] {
  const folders = new Set<BytePath>();
  for (const path of looks.changed) for (const parent of parentsOf(path)) folders.add(parent);
  return [...folders]
    .filter((folder) => isFolder(context, folder) && isNestedRepository(onDisk(context.worktree, folder)))
    .toSorted((a, b) => a.length - b.length);
}

async function isTracked(context: CaptureContext, folder: BytePath): Promise<boolean> {
  const listed = await git(['ls-files', '-z', '-s', '--', `${text(folder)}/`], {
    ...literally,
    cwd: context.worktree,
  });
  return splitNul(listed.stdout).some((entry) => !entry.startsWith('160000 '));
}

/** Errors are not ours to tell: the capture of the nested repository meets them again and names them. */
async function isOtherWorktree(context: CaptureContext, folder: BytePath): Promise<boolean> {
  return openNested(context, folder).then(
    ({ line }) => line !== undefined,
    () => false,
  );
}

const literally = { env: { GIT_LITERAL_PATHSPECS: '1' } };

/** A repository whose folder has no UTF-8 name cannot be opened, and is left out with that reason. */
function text(folder: BytePath): string {
  return Buffer.from(folder, 'latin1').toString('utf8');
}
