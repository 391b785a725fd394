/** Empty folders, also those that no snapshot speaks of: what a restore takes away its undo makes again. */
import { existsSync, mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';
import { restore, roundTrip, snapshot } from '../repositories/support/round-trip.ts';

function makeFolder(repository: TestRepository, folder: string): void {
  mkdirSync(repository.resolve(folder), { recursive: true });
}

test('a file comes back into a folder that is empty and ignored now: undo leaves the folder', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('build/out.js', 'built\n');
  roundTrip(repository.path, () => {
    repository.remove('build/out.js');
    repository.write('.gitignore', 'build/\n');
  });
});

test('a file comes back in the place of empty and ignored folders: undo makes them again', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('out', 'a file then\n');
  const { plan } = roundTrip(repository.path, () => {
    repository.remove('out');
    makeFolder(repository, 'out/deep/er');
    makeFolder(repository, 'out/side');
    repository.write('.gitignore', 'out/\n');
  });
  expect(plan.directories.remove).toEqual(['out/deep/er', 'out/side']);
});

test('a folder that was empty then, and is there now and ignored, is neither made nor removed', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  makeFolder(repository, 'cache');
  const { plan } = roundTrip(repository.path, () => repository.write('.gitignore', 'cache/\n'));
  expect(plan.directories).toEqual({ create: [], remove: [] });
});

test('an empty folder that was ignored then is left where it is', () => {
  const repository = scratchRepository({ files: { '.gitignore': 'cache/\n', 'a.txt': 'a\n' }, commit: true });
  makeFolder(repository, 'cache');
  makeFolder(repository, 'new');
  snapshot(repository.path);
  repository.write('.gitignore', '');
  const { plan } = restore(repository.path);
  expect(plan.directories.remove).toEqual(
    ['new'].filter((folder) => !existsSync(repository.resolve(folder))),
  );
  expect(existsSync(repository.resolve('cache'))).toBe(true);
});

test('an empty folder beside ignored files comes back', () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.log\n' }, commit: true });
  repository.write('logs/today.log', 'ignored\n');
  repository.write('logs/node.log/x', 'ignored\n');
  makeFolder(repository, 'logs/archive/old');
  roundTrip(repository.path, () => repository.remove('logs/archive'));
});

test('an ignored and empty folder in a new one that goes is left, as an ignored file is', () => {
  const repository = scratchRepository({ files: { '.gitignore': 'keep/\n', 'a.txt': 'a\n' }, commit: true });
  snapshot(repository.path);
  makeFolder(repository, 'new/keep');
  makeFolder(repository, 'new/other');
  restore(repository.path);
  expect(existsSync(repository.resolve('new/keep'))).toBe(true);
  expect(existsSync(repository.resolve('new/other'))).toBe(false);
});

test('an ignored file in the place of a folder that was empty then is recorded first, and comes back with undo', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  makeFolder(repository, 'place/deep');
  roundTrip(repository.path, () => {
    repository.remove('place');
    repository.write('place', 'mine, and ignored\n', 0o600);
    repository.write('.gitignore', 'place\n');
  });
});

test('a folder with recorded and ignored files in the place of a file: left alone, the rest is restored, exit 3', () => {
  const repository = scratchRepository({
    files: { '.gitignore': '*.log\n', a: 'a file then\n' },
    commit: true,
  });
  snapshot(repository.path);
  repository.remove('a');
  repository.write('a/b.txt', 'recorded\n');
  repository.write('a/x.log', 'ignored\n');
  repository.write('.gitignore', '*.log\nmore\n');
  const now = repository.hashTree();
  const { plan } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json'], {
    expectCode: 3,
  }).json<ReturnType<typeof restore>>();
  expect(plan.protected).toEqual([
    { path: 'a', reason: 'a folder that holds unrecorded files is in its place' },
  ]);
  expect(repository.read('a/x.log')).toBe('ignored\n');
  expect(repository.read('.gitignore')).toBe('*.log\n');
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.hashTree()).toEqual(now);
});

test('--keep-changes keeps a file that is in the way of one that was to come back', () => {
  const repository = scratchRepository({ files: { 'place/x.txt': 'then\n', 'b.txt': 'b\n' }, commit: true });
  snapshot(repository.path);
  repository.remove('place');
  repository.write('place', 'mine\n');
  repository.remove('b.txt');
  const { plan } = pitr(
    repository.path,
    ['restore', '--snapshot', 'latest', '--keep-changes', '--yes', '--json'],
    { expectCode: 3 },
  ).json<ReturnType<typeof restore>>();
  expect(plan.protected.map(({ path }) => path)).toEqual(['place', 'place/x.txt']);
  expect(repository.read('place')).toBe('mine\n');
  expect(repository.read('b.txt')).toBe('b\n');
});
