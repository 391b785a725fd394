/**
 * The last commits of a real repository, this project's own, played into a working copy as somebody would have worked
 * through them. Each instant, restored, is what `git archive` says that commit was.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { removeFolder } from '../support/repository.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

const wanted = 50;
const project = path.resolve(import.meta.dirname, '../..');

function git(...args: readonly string[]): Buffer {
  const options = { cwd: project, env: cleanEnvironment(), maxBuffer: 256 * 1024 * 1024 };
  return execFileSync('git', ['-c', 'tar.umask=0022', ...args], options);
}

/** The newest commits, oldest first. */
function lastCommits(): string[] {
  return git('rev-list', `--max-count=${wanted}`, '--reverse', 'HEAD').toString().trim().split('\n');
}

function extract(commit: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', '--format=tar', commit) });
}

/** Makes the worktree that of a commit, whatever was there. */
function play(commit: string, repository: TestRepository): void {
  for (const name of readdirSync(repository.path)) if (name !== '.git') repository.remove(name);
  extract(commit, repository.path);
}

/** One commit an hour. */
const instant = (at: number) => new Date(Date.UTC(2026, 0, 1, at)).toISOString();

test(`each of the last ${wanted} commits of this project comes back as git archive has it`, {
  timeout: 600_000,
}, () => {
  const commits = lastCommits();
  const isShallow = git('rev-parse', '--is-shallow-repository').toString().trim() === 'true';
  if (!isShallow) expect(commits).toHaveLength(wanted);
  const repository = scratchRepository();
  for (const [at, commit] of commits.entries()) {
    play(commit, repository);
    pitr(repository.path, ['snapshot'], { env: { GIT_COMMITTER_DATE: instant(at) } });
  }

  const archives = scratchFolder();
  const lost: string[] = [];
  // Newest first, and then the newest again, from the oldest.
  for (const at of [...commits.keys()].toReversed().concat(commits.length - 1)) {
    const commit = commits[at] as string;
    const args = ['restore', '--at', instant(at), '--all', '--yes'];
    pitr(repository.path, args, { env: { GIT_COMMITTER_DATE: instant(commits.length) } });
    const archive = path.join(archives, commit);
    extract(commit, archive);
    const isSame = hashTree(repository.path).join('\n') === hashTree(archive).join('\n');
    if (!isSame) lost.push(commit);
    removeFolder(archive);
  }
  console.log(
    `instants restored: ${commits.length}${isShallow ? ' (a shallow clone)' : ''}, lost: ${lost.length}`,
  );
  expect(lost).toEqual([]);
});
