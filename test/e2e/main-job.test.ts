import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository } from '../support/scratch.ts';

interface Plan {
  create: { path: string }[];
  overwrite: { path: string }[];
  delete: { path: string }[];
}

interface Restored {
  plan: Plan;
  applied: boolean;
  safety: { id: string } | null;
}

function worked() {
  const repository = scratchRepository({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n', 'c.txt': 'c\n' },
    commit: true,
  });
  repository.write('untracked.txt', 'mine\n');
  pitr(repository.path, ['snapshot', '-m', 'good']);
  const before = repository.hashTree();
  repository.write('a.txt', 'changed\n');
  repository.write('new.txt', 'new\n');
  repository.remove('dir/b.txt');
  repository.remove('untracked.txt');
  return { repository, before, after: repository.hashTree() };
}

test('a restore brings every file back, and undo brings the later state back, byte for byte', () => {
  const { repository, before, after } = worked();
  const head = repository.git('rev-parse', 'HEAD');
  const restored = pitr(repository.path, [
    'restore',
    '--snapshot',
    'latest',
    '--yes',
    '--json',
  ]).json<Restored>();
  expect(restored.applied).toBe(true);
  expect(repository.hashTree()).toEqual(before);
  expect(repository.git('rev-parse', 'HEAD')).toBe(head);
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.hashTree()).toEqual(after);
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.hashTree()).toEqual(before);
  repository.git('fsck', '--strict');
});

test('a dry run changes nothing and lists exactly what the restore then does', () => {
  const { repository, after } = worked();
  const refs = repository.git('for-each-ref');
  const index = repository.git('ls-files', '--stage');
  const dry = pitr(repository.path, [
    'restore',
    '--snapshot',
    'latest',
    '--dry-run',
    '--json',
  ]).json<Restored>();
  expect(repository.hashTree()).toEqual(after);
  expect(repository.git('for-each-ref')).toBe(refs);
  expect(repository.git('ls-files', '--stage')).toBe(index);
  expect(dry.applied).toBe(false);
  const real = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json']).json<Restored>();
  expect(real.plan).toEqual(dry.plan);
  expect(real.plan.create.map(({ path }) => path)).toEqual(['dir/b.txt', 'untracked.txt']);
  expect(real.plan.delete.map(({ path }) => path)).toEqual(['new.txt']);
});

test('without a terminal, uncommitted changes are refused with exit 4 and nothing is changed', () => {
  const { repository, after } = worked();
  const refused = pitr(repository.path, ['restore', '--snapshot', 'latest', '--json'], { expectCode: 4 });
  expect(refused.json<{ error: { kind: string } }>().error.kind).toBe('refused');
  expect(repository.hashTree()).toEqual(after);
});

test('--keep-changes restores the rest and leaves changed paths alone', () => {
  const { repository } = worked();
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--keep-changes']);
  expect(repository.read('a.txt')).toBe('changed\n');
  expect(repository.read('dir/b.txt')).toBe('b\n');
  expect(repository.read('untracked.txt')).toBe('mine\n');
});

test('a snapshot that equals the newest creates nothing and says so', () => {
  const { repository } = worked();
  pitr(repository.path, ['snapshot']);
  expect(pitr(repository.path, ['snapshot', '--json']).json<{ created: boolean }>().created).toBe(false);
  expect(
    pitr(repository.path, ['snapshot', '--allow-empty', '--json']).json<{ created: boolean }>().created,
  ).toBe(true);
});

test('--into writes the snapshot into an empty folder and refuses one that is not', () => {
  const { repository, after } = worked();
  const folder = scratchFolder();
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--into', `${folder}/out`]);
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--into', `${folder}/out`], { expectCode: 4 });
  expect(repository.hashTree()).toEqual(after);
});

test.each([
  ['outside of a repository', [], ['snapshot'], 1],
  ['an unknown command', ['repo'], ['snapshoot'], 2],
  ['an unknown option', ['repo'], ['restore', '--bogus'], 2],
  ['a time that is none', ['repo'], ['restore', '--at', 'blah'], 2],
  ['a time in the future', ['repo'], ['restore', '--at', '2999-01-01'], 2],
  ['an instant before the first snapshot', ['repo'], ['restore', '--at', '@1000000000'], 5],
  ['an unknown selector', ['repo'], ['show', 'ffffffffff'], 5],
  [
    'a path that exists neither now nor then',
    ['repo'],
    ['restore', '--snapshot', 'latest', '--', 'nowhere.txt'],
    5,
  ],
  ['a database that is not registered', ['repo'], ['restore', '--snapshot', 'latest', '--db', 'shop'], 5],
] as const)('%s gets a clear error and its exit code', (_, [where], args, code) => {
  const path = where === 'repo' ? worked().repository.path : scratchFolder();
  const result = pitr(path, [...args], { expectCode: code });
  expect(result.stderr).toMatch(/^error: /);
});
