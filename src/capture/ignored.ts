import { rmSync } from 'node:fs';
import path from 'node:path';
import { type BytePath, parentsOf } from '../git/paths.ts';
import { splitNul } from '../git/run.ts';
import { type ShadowPlace, shadowGit } from './context.ts';

/** An index holds a path and one below it only in different stages, and has three. */
export const levels = 3;

/**
 * Of these paths, the ones that ignore files and patterns leave out; tracked ones too. A path that ends in a slash is a
 * folder; at most `levels` of them may lie in each other. The caller holds the line's lock.
 *
 * `check-ignore` knows nothing of patterns that are stronger than ignore files. `ls-files --ignored` does, and says of
 * what an index holds whether it is ignored: in an index of its own, files are files and folders are gitlinks. (git 2.39
 * takes a gitlink for a folder only where there is one on disk: these are.)
 * @param patterns those of `coveragePatterns`
 */
export async function ignoredOf(
  place: ShadowPlace,
  patterns: readonly string[],
  paths: readonly BytePath[],
): Promise<Set<BytePath>> {
  if (paths.length === 0) return new Set();
  const asked = new Map(paths.map((asked) => [asked.replace(/\/$/, ''), asked]));
  const index = path.join(place.shadowDir, 'asked-index');
  const env = { GIT_INDEX_FILE: index };
  rmSync(index, { force: true });
  try {
    const oid = '1'.repeat(place.repository.objectFormat === 'sha256' ? 64 : 40);
    const lines = [...asked].map(([file, as]) => {
      const stage = 1 + parentsOf(file).filter((parent) => asked.has(parent)).length;
      return `${as.endsWith('/') ? '160000' : '100644'} ${oid} ${stage}\t${file}\0`;
    });
    const input = Buffer.from(lines.join(''), 'latin1');
    await shadowGit(place, ['update-index', '-z', '--index-info'], { env, input });
    const args = ['ls-files', '-z', '--cached', '--ignored', '--exclude-standard', ...patterns];
    const { stdout } = await shadowGit(place, args, { env });
    return new Set(splitNul(stdout).flatMap((file) => asked.get(file) ?? []));
  } finally {
    rmSync(index, { force: true });
  }
}
