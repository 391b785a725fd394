/** Repositories inside the worktree that are no submodules: recorded as files, their `.git` never written. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import {
  frozen,
  git,
  recordedFiles,
  recordedState,
  restore,
  roundTrip,
  snapshot,
} from './support/round-trip.ts';

/** A folder of the worktree that is a repository of its own, with one committed file unless `empty`. */
function nest(repository: TestRepository, folder: string, empty = false): string {
  const at = repository.resolve(folder);
  mkdirSync(at, { recursive: true });
  git(at, 'init', '--quiet', '--initial-branch=main');
  writeFileSync(path.join(at, 'inner.txt'), `${folder}\n`);
  if (!empty) {
    git(at, 'add', '.');
    git(at, 'commit', '--quiet', '-m', 'inner');
  }
  return at;
}

function outer(): TestRepository {
  return scratchRepository({ files: { 'a.txt': 'a\n', '.gitignore': 'ignored/\n' }, commit: true });
}

test('nested repositories, with a commit and without one, come back and their .git stays as it is', () => {
  const repository = outer();
  const full = nest(repository, 'lib/full');
  const empty = nest(repository, 'lib/empty', true);
  const bare = nest(repository, 'lib/nothing', true);
  rmSync(path.join(bare, 'inner.txt'));
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => {
      repository.write('lib/full/inner.txt', 'changed\n');
      repository.write('lib/full/more/new.txt', 'new\n');
      repository.remove('lib/empty/inner.txt');
      repository.write('lib/nothing/first.txt', 'first\n');
    },
    { foreign: [full, empty, bare].map((folder) => path.join(folder, '.git')) },
  );
  expect(recordedState(repository.path, taken.commit, 'gitlinks').split('\n')).toEqual([
    `${'0'.repeat(40)} lib/empty`,
    `${git(full, 'rev-parse', 'HEAD')} lib/full`,
    `${'0'.repeat(40)} lib/nothing`,
  ]);
  expect(recordedState(repository.path, taken.commit, 'empty-dirs')).toBe('lib/nothing');
  expect(recordedFiles(repository.path, taken.commit).get('lib/empty/inner.txt')).toBe('lib/empty');
});

test('a nested repository has its own ignored files: they are neither recorded nor touched', () => {
  const repository = outer();
  const inner = nest(repository, 'inner');
  writeFileSync(path.join(inner, '.gitignore'), 'build/\n*.o\n');
  writeFileSync(path.join(inner, '.git/info/exclude'), 'local.txt\n');
  for (const file of ['build/out', 'x.o', 'local.txt']) repository.write(`inner/${file}`, 'ignored\n');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => {
      repository.write('inner/inner.txt', 'changed\n');
      repository.write('inner/x.o', 'rebuilt\n');
      repository.write('inner/build/out', 'rebuilt\n');
    },
    {
      foreign: [path.join(inner, '.git')],
      expected: (then, now) =>
        then.map((line) => {
          const name = line.split(' ')[0] ?? '';
          const ignored = ['inner/x.o', 'inner/build/out'].includes(name);
          return ignored ? (now.find((other) => other.startsWith(`${name} `)) ?? '') : line;
        }),
    },
  );
  expect([...recordedFiles(repository.path, taken.commit).keys()].toSorted()).toEqual([
    '.gitignore',
    'a.txt',
    'inner/.gitignore',
    'inner/inner.txt',
  ]);
});

test('what a nested repository tracks is recorded although it is ignored there', () => {
  const repository = outer();
  const inner = nest(repository, 'inner');
  writeFileSync(path.join(inner, 'kept.o'), 'object\n');
  git(inner, 'add', '--force', 'kept.o');
  writeFileSync(path.join(inner, '.gitignore'), '*.o\n');
  git(inner, 'add', '.gitignore');
  git(inner, 'commit', '--quiet', '-m', 'kept');
  const { snapshot: taken } = roundTrip(repository.path, () => repository.remove('inner/kept.o'));
  expect(recordedFiles(repository.path, taken.commit).get('inner/kept.o')).toBe('object');
});

test('hooks and worktrees of a nested repository are not run and not recorded', () => {
  const repository = outer();
  const inner = nest(repository, 'inner');
  const proof = path.join(scratchFolder(), 'a-hook-ran');
  for (const hook of ['post-checkout', 'post-index-change', 'reference-transaction', 'pre-commit']) {
    const file = path.join(inner, '.git/hooks', hook);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\necho ${hook} >>'${proof}'\n`);
    chmodSync(file, 0o755);
  }
  git(inner, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '--quiet', '--detach', 'linked');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => repository.write('inner/inner.txt', 'changed\n'),
    {
      foreign: [path.join(inner, '.git')],
    },
  );
  expect(existsSync(proof)).toBe(false);
  // A linked worktree of a nested repository is a folder of files like any other.
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toContain('inner/linked/inner.txt');
});

test('a folder that becomes a repository keeps its history of snapshots, and its files still come back', () => {
  const repository = outer();
  repository.write('folder/x.txt', 'x\n');
  const { plan } = roundTrip(repository.path, () => {
    git(repository.resolve('folder'), 'init', '--quiet');
    repository.write('folder/x.txt', 'changed\n');
    repository.write('folder/y.txt', 'new\n');
  });
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['folder/x.txt']);
  expect(plan.delete.map((entry) => entry.path)).toEqual(['folder/y.txt']);
  // From now on its own rules hold in it.
  repository.write('folder/.git/info/exclude', 'z.txt\n');
  repository.write('folder/z.txt', 'ignored there\n');
  const { snapshot: taken } = snapshot(repository.path);
  expect(recordedState(repository.path, taken.commit, 'gitlinks')).toBe(`${'0'.repeat(40)} folder`);
  expect([...recordedFiles(repository.path, taken.commit).keys()]).not.toContain('folder/z.txt');
});

test('a folder of tracked files that becomes a repository stays a folder, as it does for git', () => {
  const repository = scratchRepository({
    files: { 'folder/x.txt': 'x\n', 'folder/.gitignore': '*.txt\n' },
    commit: true,
  });
  repository.git('add', '--force', 'folder/x.txt');
  repository.commit('tracked and ignored');
  snapshot(repository.path);
  git(repository.resolve('folder'), 'init', '--quiet');
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('folder/x.txt', 'changed\n'));
  expect(recordedFiles(repository.path, taken.commit).get('folder/x.txt')).toBe('x');
});

test('a repository cloned after the snapshot is left alone whole, ignored files and all', () => {
  const repository = outer();
  snapshot(repository.path);
  repository.write('a.txt', 'changed\n');
  const inner = nest(repository, 'clone');
  const before = [hashTree(inner), frozen(path.join(inner, '.git'))];
  const { plan } = restore(repository.path);
  expect([hashTree(inner), frozen(path.join(inner, '.git'))]).toEqual(before);
  expect(plan.delete).toEqual([]);
  expect(plan.protected).toEqual([{ path: 'clone', reason: expect.stringContaining('newer') as string }]);
  expect(repository.read('a.txt')).toBe('a\n');
});

test('a nested repository that moved is recorded at its new place', () => {
  const repository = outer();
  const inner = nest(repository, 'one');
  roundTrip(
    repository.path,
    () => {
      writeFileSync(path.join(inner, 'inner.txt'), 'changed\n');
    },
    { foreign: [path.join(inner, '.git')] },
  );
  renameSync(inner, repository.resolve('two'));
  const { snapshot: moved } = snapshot(repository.path);
  expect([...recordedFiles(repository.path, moved.commit).keys()]).toContain('two/inner.txt');
  expect([...recordedFiles(repository.path, moved.commit).keys()]).not.toContain('one/inner.txt');
});

test('a nested repository that git cannot read is left out with the reason, and a restore protects it', () => {
  const repository = outer();
  const inner = nest(repository, 'inner');
  snapshot(repository.path);
  writeFileSync(path.join(inner, '.git/config'), '[core]\n\trepositoryformatversion = 99\n');
  repository.write('a.txt', 'changed\n');
  repository.write('inner/inner.txt', 'changed\n');
  const taken = snapshot(repository.path);
  expect(taken.snapshot.skipped).toEqual([
    { path: 'inner', reason: expect.stringContaining('cannot be read') as string },
  ]);
  const { plan } = restore(repository.path, ['--snapshot', 'latest~1'], { expectCode: 3 });
  expect(repository.read('inner/inner.txt')).toBe('changed\n');
  expect(repository.read('a.txt')).toBe('a\n');
  expect(plan.protected.map((entry) => entry.path)).toEqual(['inner/inner.txt', 'inner']);
});

test('a nested repository of another object format is recorded in the format of the outer one', () => {
  const repository = outer();
  const inner = repository.resolve('inner');
  mkdirSync(inner);
  git(inner, 'init', '--quiet', '--object-format=sha256');
  writeFileSync(path.join(inner, 'inner.txt'), 'sha256\n');
  git(inner, 'add', '.');
  git(inner, 'commit', '--quiet', '-m', 'inner');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => repository.write('inner/inner.txt', 'changed\n'),
    { foreign: [path.join(inner, '.git')] },
  );
  expect(recordedState(repository.path, taken.commit, 'gitlinks')).toBe(
    `${git(inner, 'rev-parse', 'HEAD')} inner`,
  );
});

test('a nested repository with a sparse checkout of its own is recorded as far as it is on disk', () => {
  const repository = outer();
  const inner = nest(repository, 'inner');
  for (const folder of ['in', 'out']) repository.write(`inner/${folder}/file.txt`, `${folder}\n`);
  git(inner, 'add', '.');
  git(inner, 'commit', '--quiet', '-m', 'folders');
  git(inner, 'sparse-checkout', 'set', 'in');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => repository.write('inner/in/file.txt', 'changed\n'),
    { foreign: [path.join(inner, '.git')] },
  );
  git(inner, 'status');
  git(inner, 'sparse-checkout', 'set', 'out');
  const other = hashTree(inner);
  const { plan } = restore(repository.path, ['--snapshot', taken.id]);
  expect(hashTree(inner)).toEqual(other);
  expect([...plan.create, ...plan.delete]).toEqual([]);
});

test('symbolic links to repositories are links, and a repository in an ignored folder is not covered', () => {
  const repository = outer();
  nest(repository, 'ignored/inner');
  const elsewhere = scratchRepository({ files: { 'x.txt': 'x\n' }, commit: true });
  symlinkSync(elsewhere.path, repository.resolve('link'));
  const { snapshot: taken } = roundTrip(repository.path, () => repository.remove('link'));
  expect([...recordedFiles(repository.path, taken.commit).keys()].toSorted()).toEqual([
    '.gitignore',
    'a.txt',
    'link',
  ]);
});

test('a nested repository whose folder has no UTF-8 name is left out with the reason, never lost', () => {
  const repository = outer();
  const folder = Buffer.concat([Buffer.from(`${repository.path}/`), Buffer.from([0x62, 0xff, 0x62])]);
  mkdirSync(folder);
  const inner = nest(repository, 'inner');
  renameSync(path.join(inner, '.git'), Buffer.concat([folder, Buffer.from('/.git')]));
  writeFileSync(Buffer.concat([folder, Buffer.from('/x')]), 'x\n');
  const taken = snapshot(repository.path);
  expect(taken.snapshot.skipped.map((entry) => entry.path)).toEqual(['"b\\377b"']);
  const before = hashTree(repository.path);
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  expect(hashTree(repository.path)).toEqual(before);
});

test('a nested repository in the place of what was a file then is left alone as a whole', () => {
  const repository = outer();
  repository.write('lib', 'a file then\n');
  snapshot(repository.path);
  repository.remove('lib');
  const inner = nest(repository, 'lib/inner');
  const before = frozen(inner);
  const { plan } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json'], {
    expectCode: 3,
  }).json<ReturnType<typeof restore>>();
  expect(frozen(inner)).toEqual(before);
  expect(plan.delete).toEqual([]);
  expect(plan.protected.map((entry) => entry.path)).toEqual(['lib/inner', 'lib']);
});

test('a nested repository without files is not listed as a folder to remove', () => {
  const repository = outer();
  snapshot(repository.path);
  const bare = nest(repository, 'lib/nothing', true);
  rmSync(path.join(bare, 'inner.txt'));
  const { plan } = restore(repository.path);
  expect(plan.directories.remove).toEqual([]);
  expect(existsSync(path.join(bare, '.git'))).toBe(true);
});
