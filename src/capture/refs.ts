import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Repository } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';

/** Where HEAD is. `branch` is null when detached, `commit` null before the first commit. */
export interface Head {
  branch: string | null;
  commit: string | null;
}

export interface RefState {
  head: Head;
  /** `state/refs`: as `git ls-remote --symref` prints refs: HEAD, branches, tags, the stash. */
  text: string;
}

/** Reads HEAD, branches, tags and the stash. */
export async function readRefs(repository: Repository): Promise<RefState> {
  const format = '%(objectname)\t%(refname)';
  const { stdout } = await git(
    ['for-each-ref', `--format=${format}`, 'refs/heads', 'refs/tags', 'refs/stash'],
    { cwd: repository.worktree },
  );
  const refs = stdout.toString('utf8');
  const head = readFileSync(path.join(repository.gitDir, 'HEAD'), 'utf8').trim();
  const branch = /^ref: (.*)$/.exec(head)?.[1] ?? null;
  const commit = branch === null ? head : await commitOf(repository, branch, refs);
  const lines = branch === null ? `${head}\tHEAD\n` : `ref: ${branch}\tHEAD\n`;
  return { head: { branch: branch?.replace(/^refs\/heads\//, '') ?? null, commit }, text: lines + refs };
}

async function commitOf(repository: Repository, branch: string, refs: string): Promise<string | null> {
  const line = refs.split('\n').find((candidate) => candidate.endsWith(`\t${branch}`));
  if (line !== undefined) return line.split('\t')[0] ?? null;
  // HEAD on a ref outside refs/heads (some tools do that), or a branch not born yet.
  const oid = await gitText(['rev-parse', '-q', '--verify', 'HEAD'], {
    cwd: repository.worktree,
    okCodes: [0, 1, 128],
  });
  return oid === '' ? null : oid;
}
