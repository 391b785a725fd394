import { rmSync } from 'node:fs';
import path from 'node:path';
import type { BytePath } from '../git/paths.ts';
import { nullOid } from '../git/repository.ts';
import { type GitOptions, splitNul } from '../git/run.ts';
import { ensurePrivateDir, writeCache } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';
import { type ShadowPlace, shadowGit } from './context.ts';

/**
 * Of these paths, the ones that ignore files, or patterns on top of them, leave out; tracked ones too. Whether one is a
 * folder git sees on disk: with a slash at the end it would call `logs/` ignored by a rule `logs/*` (2.39).
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
  const exclude = patterns.filter((pattern) => pattern !== '-x' && !pattern.startsWith('!'));
  const ignored = [...new Set(await ignoredOf(place, exclude, folders))];
  const mayBeTakenIn = patterns.some((pattern) => pattern.startsWith('!')) && ignored.length > 0;
  return mayBeTakenIn ? withoutTakenIn(place, patterns, ignored) : ignored;
}

/** Asked only of ignored folders: of a rule `logs/*` the stand-in is ignored, and the folder is not. */
async function withoutTakenIn(
  place: ShadowPlace,
  patterns: readonly string[],
  folders: readonly BytePath[],
): Promise<BytePath[]> {
  // Nowhere else: an early look may be asking while the shadow is prepared, which takes every lock out of it.
  const apart = path.join(place.repository.lineDir, 'scratch', ownedName());
  const env = { GIT_INDEX_FILE: path.join(apart, 'index') };
  ensurePrivateDir(apart);
  try {
    const oid = '1'.repeat(nullOid(place.repository).length); // need not be there
    const entries = folders.map((folder) => `100644 ${oid} 0\t${folder}/${standIn}\0`).join('');
    const input = Buffer.from(entries, 'latin1');
    await shadowGit(place, ['update-index', '-z', '--index-info'], { env, input });
    const args = ['ls-files', '-z', '--cached', '--ignored', '--exclude-standard', ...patterns];
    const { stdout } = await shadowGit(place, args, { env });
    return splitNul(stdout).map((file) => file.slice(0, -standIn.length - 1));
  } finally {
    rmSync(apart, { recursive: true, force: true });
  }
}

/** No name that a pattern is likely to be about. */
const standIn = 'git-pitr: in place of what the folder may hold';
