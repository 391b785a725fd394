import { rmSync } from 'node:fs';
import path from 'node:path';
import type { BytePath } from '../git/paths.ts';
import { nullOid } from '../git/repository.ts';
import { type GitOptions, splitNul } from '../git/run.ts';
import { writeCache } from '../system/files.ts';
import { type ShadowPlace, shadowGit } from './context.ts';

/**
 * Of these paths, the ones that ignore files, or patterns on top of them, leave out; tracked ones too. A slash at the end
 * says that a path is a folder.
 */
export async function ignoredOf(
  place: ShadowPlace,
  exclude: readonly string[],
  paths: readonly BytePath[],
): Promise<BytePath[]> {
  if (paths.length === 0) return [];
  // Without the dot git would take a path that begins with a colon for more than a path.
  const input = Buffer.from(paths.map((file) => `./${file}\0`).join(''), 'latin1');
  const ask = async (config: GitOptions['config'] = []) => {
    const args = ['check-ignore', '-z', '--stdin', '--no-index'];
    const { stdout } = await shadowGit(place, args, { input, config, okCodes: [0, 1] });
    return splitNul(stdout).map((file) => file.slice('./'.length));
  };
  if (exclude.length === 0) return ask();
  const patterns = path.join(place.shadowDir, 'excluded');
  writeCache(patterns, exclude.map((pattern) => `${pattern}\n`).join(''));
  return [...(await ask()), ...(await ask([['core.excludesFile', patterns]]))];
}

/**
 * Of these folders, the ones that are not covered. Where `pitr.include` takes ignored ones in again only `ls-files`
 * knows, and it knows of files: one that an index of our own has in each folder stands for it.
 * @param patterns those of `coveragePatterns`
 */
export async function ignoredFolders(
  place: ShadowPlace,
  patterns: readonly string[],
  folders: readonly BytePath[],
): Promise<BytePath[]> {
  if (folders.length === 0) return [];
  if (!patterns.some((pattern) => pattern.startsWith('!'))) {
    const exclude = patterns.filter((pattern) => pattern !== '-x');
    const paths = folders.map((folder) => `${folder}/`);
    return (await ignoredOf(place, exclude, paths)).map((folder) => folder.slice(0, -1));
  }
  const index = path.join(place.shadowDir, 'folders.index');
  const env = { GIT_INDEX_FILE: index };
  rmSync(index, { force: true });
  try {
    const oid = '1'.repeat(nullOid(place.repository).length); // need not be there
    const entries = folders.map((folder) => `100644 ${oid} 0\t${folder}/${standIn}\0`).join('');
    const input = Buffer.from(entries, 'latin1');
    await shadowGit(place, ['update-index', '-z', '--index-info'], { env, input });
    const args = ['ls-files', '-z', '--cached', '--ignored', '--exclude-standard', ...patterns];
    const { stdout } = await shadowGit(place, args, { env });
    return splitNul(stdout).map((file) => file.slice(0, -standIn.length - 1));
  } finally {
    rmSync(index, { force: true });
  }
}

/** No name that a pattern is likely to be about. */
const standIn = 'git-pitr: in place of what the folder may hold';
