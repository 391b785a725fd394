import path from 'node:path';
import type { BytePath } from '../git/paths.ts';
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
