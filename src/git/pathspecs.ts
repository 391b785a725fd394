import path from 'node:path';
import { PitrError } from '../errors.ts';
import { type BytePath, bytePath } from './paths.ts';
import type { Repository } from './repository.ts';
import { git } from './run.ts';
import { emptyTree } from './trees.ts';

/** Paths as people name them: relative to the current folder, absolute, or with git's pathspec magic. */

/** Error: `usage` for a path outside of the working tree, and for pathspec magic that git does not know. */
export async function requirePathspecs(
  repository: Repository,
  pathspecs: readonly string[],
  cwd: string,
): Promise<void> {
  if (pathspecs.length === 0) return;
  // Compares nothing with nothing: git reads the pathspecs first.
  const none = emptyTree(repository);
  const args = ['diff-tree', '--quiet', '--end-of-options', none, none, '--', ...pathspecs];
  const { code, stderr } = await git(args, { cwd, okCodes: [0, 128] });
  if (code === 0) return;
  const outside = /^fatal: (.+): '.*' is outside repository/.exec(stderr)?.[1];
  throw new PitrError(
    'usage',
    outside === undefined
      ? `git does not understand the paths: ${stderr.trim().replace(/^fatal: /, '')}`
      : `"${outside}" is outside of the working tree ${repository.worktree}; nothing was changed.`,
    { hints: ['Paths are relative to the current folder. A name with : or * in it: ":(literal)<name>".'] },
  );
}

/** The place of a path without magic below the top of the worktree; undefined for one outside, '' for the top. */
export function placeOf(repository: Repository, given: string): BytePath | undefined {
  const absolute = path.resolve(repository.worktree, repository.prefix, given);
  const place = path.relative(repository.worktree, absolute);
  return place === '..' || place.startsWith('../') ? undefined : bytePath(place);
}

/** True for a path that git takes for a pattern or for magic, not for a name. */
export function hasMagic(pathspec: string): boolean {
  return /^:|[*?[\\]/.test(pathspec);
}
