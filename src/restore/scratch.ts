import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type BytePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { git, type GitOptions } from '../git/run.ts';
import { ensurePrivateDir } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';

/** A git directory with an empty working tree, far from the user's: for questions that git answers only of a checkout. */
export interface Scratch {
  gitDir: string;
  /** The working tree. */
  cwd: string;
  /** What makes git work there. */
  options: GitOptions;
}

/** Gives `use` a scratch repository (SHA-1) and removes it afterwards. */
export async function inScratch<Answer>(
  repository: Repository,
  use: (scratch: Scratch) => Promise<Answer>,
): Promise<Answer> {
  const dir = path.join(repository.lineDir, 'scratch', ownedName());
  const [gitDir, cwd] = [path.join(dir, 'git'), path.join(dir, 'files')];
  ensurePrivateDir(gitDir);
  try {
    for (const name of [cwd, ...['objects', 'refs', 'info'].map((name) => path.join(gitDir, name))])
      mkdirSync(name);
    writeFileSync(path.join(gitDir, 'HEAD'), 'ref: refs/heads/none\n');
    return await use({ gitDir, cwd, options: { cwd, env: { GIT_DIR: gitDir, GIT_WORK_TREE: cwd } } });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Makes an index that has these paths, each with the same content. `blob` need not be there. */
export async function indexPaths(
  options: GitOptions,
  paths: Iterable<BytePath>,
  blob = '1'.repeat(40),
): Promise<void> {
  const input = [...paths].map((file) => `100644 ${blob} 0\t${file}\0`).join('');
  await git(['update-index', '-z', '--index-info'], { ...options, input: Buffer.from(input, 'latin1') });
}
