/** Sparse checkouts: what is outside the cone is carried as the index has it, neither deleted nor ever written. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

/** `in/`, `out/` and `deep/in/`, `deep/out/`, with a sparse checkout that leaves the two `out` away. */
function sparse(...kind: readonly string[]): TestRepository {
  const repository = scratchRepository({
    files: {
      'top.txt': 'top\n',
      'in/a.txt': 'a\n',
      'out/b.txt': 'b\n',
      'out/sub/c.txt': 'c\n',
      'deep/in/d.txt': 'd\n',
      'deep/out/e.txt': 'e\n',
    },
    commit: true,
  });
  repository.git('sparse-checkout', 'set', ...kind, ...patterns(kind, ['in', 'deep/in']));
  expect(existsSync(repository.resolve('out'))).toBe(false);
  return repository;
}

function patterns(kind: readonly string[], folders: readonly string[]): string[] {
  return kind.includes('--no-cone')
    ? ['/*', '!/*/', ...folders.map((folder) => `/${folder}/`)]
    : [...folders];
}

const kinds: [string, string[]][] = [
  ['cone', ['--cone']],
  ['non-cone', ['--no-cone']],
  ['cone with a sparse index', ['--cone', '--sparse-index']],
];

const all = ['deep/in/d.txt', 'deep/out/e.txt', 'in/a.txt', 'out/b.txt', 'out/sub/c.txt', 'top.txt'];

test.each(kinds)('%s: what is left out is carried, and neither deleted nor written', (_, kind) => {
  const repository = sparse(...kind);
  const { snapshot: taken, plan } = roundTrip(repository.path, () => {
    repository.write('in/a.txt', 'changed\n');
    repository.write('in/new.txt', 'new\n');
    repository.remove('deep/in/d.txt');
  });
  const files = recordedFiles(repository.path, taken.commit);
  expect([...files.keys()].toSorted()).toEqual(all);
  expect(files.get('out/b.txt')).toBe('b');
  expect(plan.protected).toEqual([]);
  expect(existsSync(repository.resolve('out'))).toBe(false);
});

test.each(kinds)('%s: a cone that is another one at the restore is respected', (_, kind) => {
  const repository = sparse(...kind);
  repository.write('in/a.txt', 'mine\n');
  const { snapshot: then } = snapshot(repository.path);
  repository.git('commit', '--quiet', '-am', 'mine');
  repository.git('sparse-checkout', 'set', ...kind, ...patterns(kind, ['out']));
  expect(existsSync(repository.resolve('in'))).toBe(false);
  // What the cone brought in is committed content that the snapshot carries: nothing to do.
  const nothing = restore(repository.path, ['--snapshot', then.id]);
  expect([...nothing.plan.create, ...nothing.plan.delete, ...nothing.plan.overwrite]).toEqual([]);
  repository.write('out/b.txt', 'changed\n');
  repository.write('out/new.txt', 'new\n');
  restore(repository.path, ['--snapshot', then.id]);
  expect(repository.read('out/b.txt')).toBe('b\n');
  expect(existsSync(repository.resolve('out/new.txt'))).toBe(false);
  expect(existsSync(repository.resolve('in'))).toBe(false);
});

test.each(kinds)(
  '%s: a version that differs outside the cone is protected, and the plan says why',
  (_, kind) => {
    const repository = sparse(...kind);
    const { snapshot: then } = snapshot(repository.path);
    repository.git('sparse-checkout', 'disable');
    repository.write('out/b.txt', 'second\n');
    repository.remove('out/sub/c.txt');
    repository.commit('second');
    repository.git('sparse-checkout', 'set', ...kind, ...patterns(kind, ['in', 'deep/in']));
    const { plan } = restore(repository.path, ['--snapshot', then.id]);
    expect(existsSync(repository.resolve('out/b.txt'))).toBe(false);
    expect(existsSync(repository.resolve('out/sub/c.txt'))).toBe(false);
    const reason = expect.stringContaining('outside the sparse checkout') as string;
    expect(plan.protected).toEqual([
      { path: 'out/b.txt', reason },
      { path: 'out/sub/c.txt', reason },
    ]);
    expect(repository.git('status', '--porcelain')).toBe('');
  },
);

test.each(kinds)('%s: an untracked file outside the cone is recorded and comes back', (_, kind) => {
  const repository = sparse(...kind);
  repository.write('out/mine.txt', 'mine\n');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    repository.write('out/mine.txt', 'changed\n');
    repository.write('out/other.txt', 'other\n');
  });
  expect(recordedFiles(repository.path, taken.commit).get('out/mine.txt')).toBe('mine');
  repository.remove('out/mine.txt');
  restore(repository.path, ['--snapshot', taken.id]);
  expect(repository.read('out/mine.txt')).toBe('mine\n');
  expect(existsSync(repository.resolve('out/b.txt'))).toBe(false);
});

test.each(kinds)(
  '%s: a tracked file that is on disk although it is outside is recorded as it is',
  (_, kind) => {
    const repository = sparse(...kind);
    repository.write('out/b.txt', 'written by hand\n');
    const { snapshot: taken } = roundTrip(repository.path, () => repository.write('out/b.txt', 'again\n'));
    expect(recordedFiles(repository.path, taken.commit).get('out/b.txt')).toBe('written by hand');
  },
);

test.each(kinds)('%s: a tracked and ignored file outside the cone is carried too', (_, kind) => {
  const repository = scratchRepository({
    files: { '.gitignore': '*.o\n', 'in/a.txt': 'a\n', 'out/kept.o': 'object\n' },
  });
  repository.git('add', '--force', '.');
  repository.git('commit', '--quiet', '-m', 'first');
  repository.git('sparse-checkout', 'set', ...kind, ...patterns(kind, ['in']));
  for (let turn = 0; turn < 3; turn++) {
    repository.write('in/a.txt', `${turn}\n`);
    const { snapshot: taken } = snapshot(repository.path);
    expect(recordedFiles(repository.path, taken.commit).get('out/kept.o')).toBe('object');
  }
  pitr(repository.path, ['restore', '--snapshot', 'latest~2', '--yes']);
  expect(existsSync(repository.resolve('out'))).toBe(false);
  expect(repository.read('in/a.txt')).toBe('0\n');
});

test.each(kinds)('%s: --into writes what was left out too, since the snapshot holds it', (_, kind) => {
  const repository = sparse(...kind);
  snapshot(repository.path);
  const folder = path.join(scratchFolder(), 'into');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--into', folder]);
  expect(readFileSync(path.join(folder, 'out/sub/c.txt'), 'utf8')).toBe('c\n');
  expect(existsSync(repository.resolve('out'))).toBe(false);
});

test('a sparse checkout switched on after the snapshot, and off before the restore, changes nothing', () => {
  const repository = scratchRepository({ files: { 'in/a.txt': 'a\n', 'out/b.txt': 'b\n' }, commit: true });
  const { snapshot: first } = snapshot(repository.path);
  repository.git('sparse-checkout', 'set', 'in');
  expect(snapshot(repository.path)).toMatchObject({ created: false, snapshot: { id: first.id } });
  repository.git('sparse-checkout', 'disable');
  expect(snapshot(repository.path)).toMatchObject({ created: false, snapshot: { id: first.id } });
  roundTrip(repository.path, () => repository.remove('out'));
});

test('skip-worktree without a sparse checkout hides nothing: edits are recorded, a deletion is one', () => {
  const repository = scratchRepository({
    files: { 'config.txt': 'default\n', 'a.txt': 'a\n' },
    commit: true,
  });
  repository.git('update-index', '--skip-worktree', 'config.txt', 'a.txt');
  repository.write('config.txt', 'local\n');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    repository.write('config.txt', 'another\n');
    repository.remove('a.txt');
  });
  expect(recordedFiles(repository.path, taken.commit).get('config.txt')).toBe('local');
  expect(repository.git('ls-files', '-t').split('\n')).toEqual(['S a.txt', 'S config.txt']);
});

test('assume-unchanged hides nothing either', () => {
  const repository = scratchRepository({ files: { 'config.txt': 'default\n' }, commit: true });
  repository.git('update-index', '--assume-unchanged', 'config.txt');
  repository.write('config.txt', 'local\n');
  const { snapshot: taken } = roundTrip(repository.path, () => repository.remove('config.txt'));
  expect(recordedFiles(repository.path, taken.commit).get('config.txt')).toBe('local');
  expect(repository.git('ls-files', '-v')).toBe('h config.txt');
});

test('edits that assume-unchanged and skip-worktree hide from git status do not pass the guard unseen', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'b.txt': 'b\n' }, commit: true });
  snapshot(repository.path);
  repository.git('update-index', '--assume-unchanged', 'a.txt');
  repository.git('update-index', '--skip-worktree', 'b.txt');
  repository.write('a.txt', 'edited\n');
  repository.write('b.txt', 'edited\n');
  const refused = pitr(repository.path, ['restore', '--snapshot', 'latest', '--json'], { expectCode: 4 });
  const { error } = refused.json<{ error: { uncommitted: string[] } }>();
  expect(error.uncommitted).toEqual(['a.txt', 'b.txt']);
  expect(repository.read('a.txt') + repository.read('b.txt')).toBe('edited\nedited\n');
});
