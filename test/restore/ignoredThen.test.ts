/**
 * Ignore rules that differ between then and now, in both directions. Then ignored: the snapshot says nothing of a file,
 * so it is not deleted. Now ignored: what is there is recorded nowhere else, so it is recorded before anything comes in
 * its place.
 */
import { expect, test } from 'vitest';
import { scratchRepository } from '../support/scratch.ts';
import { recordedFiles, restore, roundTrip, snapshot } from '../repositories/support/round-trip.ts';
import { pitr } from '../support/cli.ts';

const leftAlone = 'it was ignored then: the snapshot says nothing of it';

test('what was ignored then and is recorded now is not deleted, and not overwritten', () => {
  const repository = scratchRepository({
    files: { '.gitignore': 'secret.txt\nbuild/\n', 'a.txt': 'a\n' },
    commit: true,
  });
  repository.write('secret.txt', 'the only copy\n');
  repository.write('build/out.js', 'built\n');
  const { plan } = roundTrip(
    repository.path,
    () => {
      repository.write('.gitignore', '');
      repository.write('secret.txt', 'edited since\n');
      repository.write('new.txt', 'new\n');
    },
    {
      expected: (then, now) =>
        [
          ...then.filter((line) => !line.startsWith('secret.txt ')),
          ...now.filter((line) => line.startsWith('secret.txt ')),
        ].toSorted(),
    },
  );
  expect(plan.delete.map(({ path }) => path)).toEqual(['new.txt']);
  expect(plan.protected).toEqual([
    { path: 'build/out.js', reason: leftAlone },
    { path: 'secret.txt', reason: leftAlone },
  ]);
});

test('a file that was ignored then and has been added by force since is not deleted', () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.key\n', 'a.txt': 'a\n' }, commit: true });
  repository.write('deep/my.key', 'the only copy\n');
  snapshot(repository.path);
  repository.git('add', '--force', 'deep/my.key');
  const { plan } = restore(repository.path);
  expect(plan.delete).toEqual([]);
  expect(repository.read('deep/my.key')).toBe('the only copy\n');
});

test('a file that was tracked, ignored and deleted then is deleted again', () => {
  const repository = scratchRepository({ files: { 'kept.log': 'tracked\n', 'a.txt': 'a\n' }, commit: true });
  repository.write('.gitignore', '*.log\n');
  repository.remove('kept.log');
  snapshot(repository.path);
  repository.write('kept.log', 'back\n');
  const { plan } = restore(repository.path);
  expect(plan.delete.map(({ path }) => path)).toEqual(['kept.log']);
});

test('what cannot have been there then is deleted: below a file, or in the place of a folder', () => {
  const repository = scratchRepository({
    files: { '.gitignore': '*.log\n', a: 'a file\n', 'b.log/x': 'x\n' },
  });
  repository.git('add', '--force', '.');
  repository.git('commit', '--quiet', '-m', 'first');
  roundTrip(repository.path, () => {
    repository.write('.gitignore', '');
    repository.remove('a');
    repository.write('a/x.log', 'x\n');
    repository.remove('b.log');
    repository.write('b.log', 'a file now\n');
  });
});

test('rules in a folder, info/exclude and a nested repository count as they do for git', () => {
  const repository = scratchRepository({
    files: { 'a.txt': 'a\n', 'lib/.gitignore': '*\n!.gitignore\n' },
    commit: true,
  });
  repository.write('.git/info/exclude', '*.private\n');
  repository.git('init', '--quiet', 'nested');
  repository.write('nested/.gitignore', '*.o\n');
  repository.write('nested/x.c', 'c\n');
  snapshot(repository.path);
  for (const file of ['lib/made.c', 'nested/x.o', 'x.o']) repository.write(file, `${file}\n`);
  repository.write('lib/.gitignore', '');
  repository.write('nested/.gitignore', '');
  repository.write('x.private', 'mine\n');
  repository.git('add', '--force', 'x.private');
  const { plan } = restore(repository.path);
  // The rules of the nested repository are not those of the one around it.
  expect(plan.delete.map(({ path }) => path)).toEqual(['x.o']);
  expect(plan.protected.filter(({ reason }) => reason === leftAlone).map(({ path }) => path)).toEqual([
    'lib/made.c',
    'nested/x.o',
    'x.private',
  ]);
});

test('what is ignored now and was recorded then: recorded on its own, overwritten, and back with undo', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('secret.txt', 'then\n');
  repository.write('place/x', 'then\n');
  roundTrip(repository.path, () => {
    repository.write('.gitignore', 'secret.txt\nplace\n');
    repository.write('secret.txt', 'the only copy\n', 0o600);
    repository.remove('place');
    repository.write('place', 'the only copy\n', 0o400);
  });
});

test('what a restore recorded on its own is covered no longer than that', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'b.txt': 'b\n' }, commit: true });
  snapshot(repository.path);
  repository.remove('b.txt');
  repository.write('b.txt', 'mine, and ignored\n');
  repository.git('rm', '--quiet', '--cached', 'b.txt');
  repository.write('.git/info/exclude', 'b.txt\n');
  restore(repository.path);
  pitr(repository.path, ['undo', '--yes']);
  repository.write('a.txt', 'changed\n');
  const { snapshot: taken } = snapshot(repository.path);
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['a.txt']);
  expect(repository.read('b.txt')).toBe('mine, and ignored\n');
});

test("permissions that a restore brought to a file which is tracked only since then are nobody's change", () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('mine.txt', 'then\n', 0o600);
  snapshot(repository.path);
  repository.write('mine.txt', 'changed\n');
  repository.git('add', '.');
  restore(repository.path);
  pitr(repository.path, ['undo']);
  expect(repository.read('mine.txt')).toBe('changed\n');
});
