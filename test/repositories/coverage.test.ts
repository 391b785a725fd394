/** Which files a snapshot covers: tracked ones also when ignored, pitr.include, pitr.exclude, and rules that change. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';
import { recordedFiles, recordedState, restore, roundTrip, snapshot } from './support/round-trip.ts';

function names(repository: TestRepository): string[] {
  const { snapshot: taken } = snapshot(repository.path);
  return [...recordedFiles(repository.path, taken.commit).keys()].toSorted();
}

test('tracked files that are ignored are recorded, changed, deleted and restored like any others', () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.log\nbuild/\n', 'a.txt': 'a\n' } });
  for (const file of ['kept.log', 'build/kept.bin', 'build/deep/kept.txt'])
    repository.write(file, `${file}\n`);
  repository.git('add', '--force', '.');
  repository.git('commit', '--quiet', '-m', 'first');
  repository.write('other.log', 'ignored\n');
  repository.write('build/other.bin', 'ignored\n');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    repository.write('kept.log', 'changed\n');
    repository.remove('build/kept.bin');
    repository.remove('build/deep');
  });
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual([
    '.gitignore',
    'a.txt',
    'build/deep/kept.txt',
    'build/kept.bin',
    'kept.log',
  ]);
  expect(repository.read('build/other.bin')).toBe('ignored\n');
});

test('a file that is tracked no more and ignored leaves the snapshot, and no restore deletes it', () => {
  const repository = scratchRepository({ files: { 'settings.ini': 'mine\n', 'a.txt': 'a\n' }, commit: true });
  const { snapshot: before } = snapshot(repository.path);
  repository.git('rm', '--quiet', '--cached', 'settings.ini');
  repository.write('.gitignore', 'settings.ini\n');
  expect(names(repository)).toEqual(['.gitignore', 'a.txt']);
  repository.write('settings.ini', 'edited since\n');
  // The target holds it: what is in its place, recorded nowhere else, is recorded first.
  restore(repository.path, ['--snapshot', before.id]);
  expect(repository.read('settings.ini')).toBe('mine\n');
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.read('settings.ini')).toBe('edited since\n');
});

test.each([
  ['a name', '.env*', ['.env', '.env.local', 'deep/.env']],
  ['a path', 'deep/.env', ['deep/.env']],
  ['a path from the top', '/.env', ['.env']],
  ['a folder', 'secrets/', ['secrets/key.pem', 'secrets/sub/other.pem']],
  ['a path into an ignored folder', 'node_modules/patched/index.js', ['node_modules/patched/index.js']],
  ['a pattern into an ignored folder', 'node_modules/**/keep.js', ['node_modules/lib/keep.js']],
])('pitr.include brings in ignored files by %s', (_, pattern, expected) => {
  const repository = scratchRepository({
    files: { '.gitignore': '.env*\nsecrets/\nnode_modules/\n', 'a.txt': 'a\n' },
    commit: true,
  });
  const ignored = [
    '.env',
    '.env.local',
    'deep/.env',
    'secrets/key.pem',
    'secrets/sub/other.pem',
    'node_modules/patched/index.js',
    'node_modules/patched/other.js',
    'node_modules/lib/keep.js',
    'node_modules/lib/other.js',
  ];
  for (const file of ignored) repository.write(file, `${file}\n`, 0o600);
  repository.git('config', 'pitr.include', pattern);
  const { snapshot: taken } = roundTrip(repository.path, () => {
    for (const file of expected) repository.remove(file);
    repository.write('a.txt', 'changed\n');
  });
  const found = [...recordedFiles(repository.path, taken.commit).keys()];
  expect(found.filter((file) => ignored.includes(file)).toSorted()).toEqual(expected.toSorted());
  for (const file of expected) expect(statSync(repository.resolve(file)).mode & 0o777).toBe(0o600);
  expect(recordedState(repository.path, taken.commit, 'permissions').split('\n')).toHaveLength(
    expected.length,
  );
});

test('pitr.exclude leaves out files, tracked ones too, and a restore never touches them', () => {
  const repository = scratchRepository({
    files: { 'a.txt': 'a\n', 'data/tracked.bin': 'tracked\n', 'keep.bin': 'keep\n' },
    commit: true,
  });
  const { snapshot: before } = snapshot(repository.path);
  repository.git('config', 'pitr.exclude', 'data/');
  repository.git('config', '--add', 'pitr.exclude', '*.tmp');
  repository.write('x.tmp', 'tmp\n');
  repository.write('data/new.bin', 'new\n');
  expect(names(repository)).toEqual(['a.txt', 'keep.bin']);
  repository.write('a.txt', 'changed\n');
  const after = hashTree(repository.path).filter((line) => /data|tmp/.test(line));
  restore(repository.path);
  expect(hashTree(repository.path).filter((line) => /data|tmp/.test(line))).toEqual(after);
  restore(repository.path, ['--snapshot', before.id, '--keep-new']);
  expect(repository.read('x.tmp')).toBe('tmp\n');
  expect(repository.read('data/new.bin')).toBe('new\n');
});

test('pitr.exclude is stronger than pitr.include, and an empty value clears what came before', () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.env\n' }, commit: true });
  for (const file of ['a.env', 'b.env']) repository.write(file, `${file}\n`);
  repository.git('config', 'pitr.include', '*.env');
  repository.git('config', 'pitr.exclude', 'b.env');
  expect(names(repository)).toEqual(['.gitignore', 'a.env']);
  repository.git('config', '--add', 'pitr.exclude', '');
  expect(names(repository)).toEqual(['.gitignore', 'a.env', 'b.env']);
});

test('.pitrconfig sets patterns for everybody who has the repository', () => {
  const repository = scratchRepository({
    files: { '.gitignore': '*.env\n', '.pitrconfig': '[pitr]\n\tinclude = *.env\n\texclude = *.iso\n' },
    commit: true,
  });
  repository.write('a.env', 'env\n');
  repository.write('big.iso', 'iso\n');
  expect(names(repository)).toEqual(['.gitignore', '.pitrconfig', 'a.env']);
});

test('an ignore rule that comes or goes changes what the next snapshot covers, and loses nothing', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('dist/out.js', 'built\n');
  repository.write('notes.md', 'notes\n');
  expect(names(repository)).toEqual(['a.txt', 'dist/out.js', 'notes.md']);
  repository.write('.gitignore', 'dist/\n');
  expect(names(repository)).toEqual(['.gitignore', 'a.txt', 'notes.md']);
  repository.remove('.gitignore');
  expect(names(repository)).toEqual(['a.txt', 'dist/out.js', 'notes.md']);
});

test('ignore files in folders, negations, and rules that begin with a dash hold as in git', () => {
  const repository = scratchRepository({
    files: {
      '.gitignore': '*.o\n!keep.o\n/top-only\n-x\n\\#hash\n',
      'lib/.gitignore': '*\n!.gitignore\n!*.c\n',
      'a.txt': 'a\n',
    },
    commit: true,
  });
  for (const file of ['x.o', 'keep.o', 'top-only', 'deep/top-only', '-x', '#hash', 'lib/x.c', 'lib/x.h'])
    repository.write(file, `${file}\n`);
  expect(names(repository)).toEqual(
    ['.gitignore', 'a.txt', 'deep/top-only', 'keep.o', 'lib/.gitignore', 'lib/x.c'].toSorted(),
  );
});

test('a file that is tracked and ignored, and comes back after it was gone, is recorded again', () => {
  const repository = scratchRepository({ files: { 'kept.log': 'then\n', 'a.txt': 'a\n' }, commit: true });
  repository.write('.gitignore', '*.log\n');
  repository.remove('kept.log');
  expect(names(repository)).toEqual(['.gitignore', 'a.txt']);
  repository.write('kept.log', 'back\n');
  expect(names(repository)).toEqual(['.gitignore', 'a.txt', 'kept.log']);
});

test('a file that has changed and is ignored since the last snapshot leaves the next one', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('x.log', 'then\n', 0o600);
  expect(names(repository)).toEqual(['a.txt', 'x.log']);
  repository.write('x.log', 'changed, and longer\n');
  repository.write('.gitignore', '*.log\n');
  const { snapshot: taken } = snapshot(repository.path);
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['.gitignore', 'a.txt']);
  expect(recordedState(repository.path, taken.commit, 'permissions')).toBe('');
});

test('a folder is not called empty when its only file is tracked and in an ignored folder', () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.log\n' }, commit: true });
  snapshot(repository.path);
  repository.write('folder/some.log/a', 'a\n');
  repository.git('add', '--force', '.');
  const { snapshot: taken } = snapshot(repository.path);
  expect(recordedState(repository.path, taken.commit, 'empty-dirs')).toBe('');
});

test('an empty folder inside an ignored one that pitr.include brings in comes back, and goes', () => {
  const repository = scratchRepository({ files: { '.gitignore': 'data/\n' }, commit: true });
  repository.git('config', 'pitr.include', 'data/');
  mkdirSync(repository.resolve('data/uploads'), { recursive: true });
  pitr(repository.path, ['snapshot']);
  repository.remove('data');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  expect(existsSync(repository.resolve('data/uploads'))).toBe(true);
  pitr(repository.path, ['undo', '--yes']);
  expect(existsSync(repository.resolve('data'))).toBe(false);
});
