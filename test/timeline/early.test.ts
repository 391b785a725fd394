import { readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';

const filesOf = (repository: ReturnType<typeof scratchRepository>) =>
  repository.git('ls-tree', '-r', '--name-only', 'refs/pitr/main:files').split('\n');

test('a worktree that was moved by core.worktree since the last snapshot is read where it is now', () => {
  const repository = scratchRepository({ files: { 'old.txt': '1', 'sub/new.txt': '2' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.git('config', 'core.worktree', '../sub');
  pitr(repository.resolve('sub'), ['snapshot']);
  expect(filesOf(repository)).toEqual(['new.txt']);
});

test('a repository that has become bare since the last snapshot is refused, and nothing is recorded', () => {
  const repository = scratchRepository({ files: { 'a.txt': '1' }, commit: true });
  pitr(repository.path, ['snapshot']);
  const before = repository.git('rev-parse', 'refs/pitr/main');
  repository.git('config', 'core.bare', 'true');
  repository.write('a.txt', '2');
  const { stderr } = pitr(repository.path, ['snapshot'], { expectCode: 1 });
  expect(stderr).toContain('bare');
  repository.git('config', 'core.bare', 'false');
  expect(repository.git('rev-parse', 'refs/pitr/main')).toBe(before);
  pitr(repository.path, ['snapshot']);
  expect(repository.git('show', 'refs/pitr/main:files/a.txt')).toBe('2');
});

test('patterns that were configured since the last snapshot hold for the very next one', () => {
  const repository = scratchRepository({
    files: { '.gitignore': '*.secret\n', 'a.txt': '1', 'b.log': '1' },
    commit: true,
  });
  repository.write('k.secret', 's');
  pitr(repository.path, ['snapshot']);
  repository.git('config', 'pitr.exclude', '*.log');
  repository.git('config', 'pitr.include', '*.secret');
  pitr(repository.path, ['snapshot']);
  expect(filesOf(repository)).toEqual(['.gitignore', 'a.txt', 'k.secret']);
  repository.git('config', '--unset', 'pitr.exclude');
  repository.git('config', '--unset', 'pitr.include');
  pitr(repository.path, ['snapshot']);
  expect(filesOf(repository)).toEqual(['.gitignore', 'a.txt', 'b.log']);
});

test('a snapshot that fails half-way leaves no waiting process, no lock and no crash report behind', () => {
  const repository = scratchRepository({ files: { 'a.txt': '1' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.git('config', 'pitr.maxSnapshotSize', '10');
  repository.write('a.txt', 'x'.repeat(100));
  pitr(repository.path, ['snapshot'], { expectCode: 4 });
  const gitDir = repository.resolve('.git');
  expect(readdirSync(gitDir).filter((name) => name.startsWith('fast_import_crash'))).toEqual([]);
  expect(readdirSync(path.join(gitDir, 'pitr/lines/main'))).not.toContain('lock');
});

test('a snapshot from a folder that was replaced by another repository is recorded there', () => {
  const repository = scratchRepository({ files: { 'a.txt': '1' }, commit: true });
  pitr(repository.path, ['snapshot']);
  const inner = scratchRepository({ files: { 'inner.txt': '1' }, commit: true });
  pitr(inner.path, ['snapshot']);
  renameSync(repository.resolve('.git'), repository.resolve('.git-before'));
  renameSync(inner.resolve('.git'), repository.resolve('.git'));
  repository.write('a.txt', '3');
  pitr(repository.path, ['snapshot']);
  expect(filesOf(repository)).toContain('a.txt');
  expect(repository.git('rev-list', '--count', 'refs/pitr/main')).toBe('2');
});
