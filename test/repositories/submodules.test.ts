/** Submodules: their files come back like any others; their git directories and the commits they stand on are theirs. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { git, recordedFiles, recordedState, restore, roundTrip, snapshot } from './support/round-trip.ts';

const local = ['-c', 'protocol.file.allow=always'] as const;

/** A repository with the submodule `sub`, and a submodule `deep` in that. */
function withSubmodules(): { repository: TestRepository; sub: string; deep: string } {
  const innermost = scratchRepository({ files: { 'deep.txt': 'deep\n' }, commit: true });
  const inner = scratchRepository({
    files: { 'sub.txt': 'sub\n', 'dir/x': 'x\n', '.gitignore': '*.log\n' },
    commit: true,
  });
  inner.git(...local, 'submodule', '--quiet', 'add', innermost.path, 'deep');
  inner.commit('deep');
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.git(...local, 'submodule', '--quiet', 'add', inner.path, 'sub');
  repository.git(...local, 'submodule', '--quiet', 'update', '--init', '--recursive');
  repository.commit('sub');
  return { repository, sub: repository.resolve('sub'), deep: repository.resolve('sub/deep') };
}

function modulesOf(repository: TestRepository): string[] {
  return [repository.resolve('.git/modules')];
}

test('files of submodules two deep come back byte for byte, and nothing in their git directories moves', () => {
  const { repository, sub, deep } = withSubmodules();
  repository.write('sub/untracked.txt', 'mine\n');
  repository.write('sub/deep/mode.sh', '#!/bin/sh\n', 0o755);
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => {
      repository.write('sub/sub.txt', 'changed\n');
      repository.write('sub/deep/deep.txt', 'changed deep\n');
      repository.write('sub/deep/new.txt', 'new\n');
      repository.remove('sub/dir');
      repository.remove('sub/untracked.txt');
      repository.write('a.txt', 'changed too\n');
    },
    { foreign: modulesOf(repository) },
  );
  const files = recordedFiles(repository.path, taken.commit);
  expect(files.get('sub/untracked.txt')).toBe('mine');
  expect(files.get('sub/deep/deep.txt')).toBe('deep');
  expect([...files.keys()].filter((name) => /(^|\/)\.git(\/|$)/.test(name))).toEqual([]);
  expect(recordedState(repository.path, taken.commit, 'gitlinks').split('\n')).toEqual([
    `${git(sub, 'rev-parse', 'HEAD')} sub`,
    `${git(deep, 'rev-parse', 'HEAD')} sub/deep`,
  ]);
});

test('a submodule that stands on another commit gets its files back, its HEAD stays, and the plan says so', () => {
  const { repository, sub } = withSubmodules();
  const { plan } = roundTrip(
    repository.path,
    () => {
      writeFileSync(path.join(sub, 'sub.txt'), 'second\n');
      git(sub, 'checkout', '--quiet', '-b', 'topic');
      git(sub, 'commit', '--quiet', '-am', 'second');
    },
    { foreign: modulesOf(repository) },
  );
  expect(git(sub, 'symbolic-ref', 'HEAD')).toBe('refs/heads/topic');
  expect(git(sub, 'status', '--porcelain')).toBe(' M sub.txt');
  expect(plan.protected).toEqual([{ path: 'sub', reason: expect.stringContaining('commit') as string }]);
});

test('an uninitialised submodule is an empty folder and stays one', () => {
  const { repository } = withSubmodules();
  const clone = path.join(scratchFolder(), 'clone');
  git(repository.path, 'clone', '--quiet', repository.path, clone);
  const { snapshot: taken } = roundTrip(clone, () => {
    writeFileSync(path.join(clone, 'a.txt'), 'changed\n');
    rmSync(path.join(clone, 'sub'), { recursive: true });
  });
  expect(recordedState(clone, taken.commit, 'empty-dirs')).toBe('sub');
  expect(git(clone, 'status', '--porcelain')).toBe('');
});

test('a submodule initialised after the snapshot is left alone whole, and the plan says so', () => {
  const { repository } = withSubmodules();
  const clone = path.join(scratchFolder(), 'clone');
  git(repository.path, 'clone', '--quiet', repository.path, clone);
  snapshot(clone);
  git(clone, ...local, 'submodule', '--quiet', 'update', '--init', '--recursive');
  const now = hashTree(clone);
  const { plan } = restore(clone);
  expect(plan.protected).toEqual([{ path: 'sub', reason: expect.stringContaining('newer') as string }]);
  expect(hashTree(clone)).toEqual(now);
  expect(git(path.join(clone, 'sub'), 'status', '--porcelain')).toBe('');
});

test('a submodule that was removed comes back as files, and undo takes them away again', () => {
  const { repository } = withSubmodules();
  const { plan } = roundTrip(repository.path, () => {
    repository.git('submodule', '--quiet', 'deinit', '--force', 'sub');
    repository.git('rm', '--quiet', '-f', 'sub');
  });
  expect(plan.create.map((entry) => entry.path)).toContain('sub/deep/deep.txt');
});

test('a folder of recorded files that becomes a submodule is recorded as one from then on', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  const inner = scratchRepository({ files: { 'sub.txt': 'sub\n' }, commit: true });
  repository.write('sub/old.txt', 'old\n');
  const { snapshot: then } = snapshot(repository.path);
  repository.remove('sub');
  repository.git(...local, 'submodule', '--quiet', 'add', inner.path, 'sub');
  const { snapshot: taken } = snapshot(repository.path);
  expect(recordedState(repository.path, taken.commit, 'gitlinks')).toBe(
    `${git(repository.resolve('sub'), 'rev-parse', 'HEAD')} sub`,
  );
  restore(repository.path, ['--snapshot', then.id]);
  expect(repository.read('sub/old.txt')).toBe('old\n');
  pitr(repository.path, ['undo', '--yes']);
  expect(git(repository.resolve('sub'), 'status', '--porcelain')).toBe('');
});

test('a submodule with its git directory inside (not absorbed) is recorded the same way', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  const inner = scratchRepository({ files: { 'sub.txt': 'sub\n' }, commit: true });
  git(repository.path, 'clone', '--quiet', inner.path, 'sub');
  repository.git(...local, 'submodule', '--quiet', 'add', inner.path, 'sub');
  repository.commit('sub');
  const { snapshot: before } = snapshot(repository.path);
  repository.git('submodule', '--quiet', 'absorbgitdirs');
  expect(snapshot(repository.path)).toMatchObject({ created: false, snapshot: { id: before.id } });
  roundTrip(repository.path, () => repository.write('sub/sub.txt', 'changed\n'), {
    foreign: modulesOf(repository),
  });
});

test('a submodule in an ignored folder is recorded all the same, since the index tracks it', () => {
  const repository = scratchRepository({ files: { '.gitignore': 'vendor/\n' }, commit: true });
  const inner = scratchRepository({ files: { 'sub.txt': 'sub\n' }, commit: true });
  repository.git(...local, 'submodule', '--quiet', 'add', '--force', inner.path, 'vendor/sub');
  repository.commit('sub');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => repository.write('vendor/sub/sub.txt', 'changed\n'),
    { foreign: modulesOf(repository) },
  );
  expect(recordedFiles(repository.path, taken.commit).get('vendor/sub/sub.txt')).toBe('sub');
});

test("a submodule's own ignore rules hold in it: .gitignore, info/exclude", () => {
  const { repository } = withSubmodules();
  const info = repository.resolve('.git/modules/sub/info');
  mkdirSync(info, { recursive: true });
  writeFileSync(path.join(info, 'exclude'), 'secret.txt\n');
  repository.write('sub/build.log', 'log\n');
  repository.write('sub/secret.txt', 'secret\n');
  repository.write('secret.txt', 'not ignored out here\n');
  const { snapshot: taken } = snapshot(repository.path);
  const names = [...recordedFiles(repository.path, taken.commit).keys()];
  expect(names).toContain('secret.txt');
  expect(names.filter((name) => /build\.log|sub\/secret/.test(name))).toEqual([]);
  // A rule that changes later changes what is covered.
  writeFileSync(path.join(info, 'exclude'), '');
  const again = snapshot(repository.path).snapshot;
  expect([...recordedFiles(repository.path, again.commit).keys()]).toContain('sub/secret.txt');
});

test('from within, a submodule is a repository with a timeline of its own', () => {
  const { repository, sub } = withSubmodules();
  const { snapshot: taken } = roundTrip(sub, () => writeFileSync(path.join(sub, 'sub.txt'), 'changed\n'));
  expect([...recordedFiles(sub, taken.commit).keys()].toSorted()).toEqual([
    '.gitignore',
    '.gitmodules',
    'deep/deep.txt',
    'dir/x',
    'sub.txt',
  ]);
  expect(repository.git('for-each-ref', 'refs/pitr')).toBe('');
});

test('a submodule in the middle of a merge, and one with staged changes, is recorded as it is on disk', () => {
  const { repository, sub } = withSubmodules();
  git(sub, 'checkout', '--quiet', '-b', 'one');
  writeFileSync(path.join(sub, 'sub.txt'), 'one\n');
  git(sub, 'commit', '--quiet', '-am', 'one');
  git(sub, 'checkout', '--quiet', '-b', 'two', 'HEAD~1');
  writeFileSync(path.join(sub, 'sub.txt'), 'two\n');
  git(sub, 'commit', '--quiet', '-am', 'two');
  expect(() => git(sub, 'merge', 'one')).toThrow(/CONFLICT|Command failed/);
  roundTrip(repository.path, () => writeFileSync(path.join(sub, 'sub.txt'), 'resolved\n'), {
    foreign: modulesOf(repository),
  });
  expect(git(sub, 'ls-files', '-u').split('\n')).toHaveLength(3);
});
