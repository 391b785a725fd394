/** Restores from a repository in which objects are missing, damaged, or were taken by a gc. */
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

function worked(): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  return repository;
}

function change(repository: TestRepository): void {
  repository.write('a.txt', 'changed\n');
  repository.write('dir/new.txt', 'new\n');
  repository.write('dir/b.txt', 'staged\n');
  repository.git('add', 'dir/b.txt');
  repository.write('dir/b.txt', 'changed again\n');
}

describe('a gc between two commands', () => {
  const looks: Record<string, string[]> = {
    diff: ['diff', '--stat'],
    'a dry run': ['restore', '--snapshot', 'latest', '--staged', '--dry-run'],
    'a refused restore': ['restore', '--snapshot', 'latest'],
  };
  const cases = Object.keys(looks).flatMap((look) =>
    ['snapshot', 'diff', 'restore'].map((next) => [look, next] as const),
  );

  test.each(cases)('after %s takes what no snapshot holds, and %s works all the same', (look, next) => {
    const repository = worked();
    change(repository);
    const before = repository.hashTree();
    pitr(repository.path, looks[look] ?? [], { expectCode: 'any' });
    repository.git('gc', '--quiet', '--prune=now');
    const nexts: Record<string, string[]> = {
      snapshot: ['snapshot'],
      diff: ['diff', '--name-only'],
      restore: ['restore', '--snapshot', 'latest', '--staged', '--yes'],
    };
    pitr(repository.path, nexts[next] ?? []);
    if (next === 'restore') {
      expect(repository.git('status', '--porcelain')).toBe('');
      pitr(repository.path, ['undo', '--yes']);
    }
    expect(repository.hashTree()).toEqual(before);
    repository.git('fsck', '--strict');
  });
});

describe('content of the snapshot', () => {
  /** The loose object of a file's content in the latest snapshot. */
  function objectOf(repository: TestRepository, file: string): string {
    const oid = repository.git('rev-parse', `refs/pitr/main:files/${file}`);
    return repository.resolve(`.git/objects/${oid.slice(0, 2)}/${oid.slice(2)}`);
  }

  function unreferenced(): TestRepository {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
    repository.write('a.txt', 'recorded\n');
    repository.write('b.txt', 'recorded too\n');
    pitr(repository.path, ['snapshot']);
    repository.write('a.txt', 'now\n');
    repository.remove('b.txt');
    return repository;
  }

  test('that is missing: exit 7 with the names, and nothing changed', () => {
    const repository = unreferenced();
    for (const file of ['a.txt', 'b.txt']) rmSync(objectOf(repository, file));
    const before = repository.hashTree();
    const { stderr } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes'], { expectCode: 7 });
    expect(stderr).toContain('a.txt, b.txt: the content is not in the object store');
    expect(repository.hashTree()).toEqual(before);
    expect(existsSync(repository.resolve('.git/pitr/lines/main/journal.json'))).toBe(false);
  });

  test('that reads as something else (a flipped bit, a bad disk): exit 7, and nothing changed', () => {
    const repository = unreferenced();
    const object = objectOf(repository, 'b.txt');
    chmodSync(object, 0o644);
    writeFileSync(object, deflateSync(Buffer.from('blob 13\0recorded tao\n')));
    const before = repository.hashTree();
    const { stderr } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes'], { expectCode: 7 });
    expect(stderr).toContain('b.txt is damaged');
    expect(repository.hashTree()).toEqual(before);
    pitr(repository.path, ['restore', '--snapshot', 'latest~1', '--yes', '--', 'a.txt']);
    expect(repository.read('a.txt')).toBe('recorded\n');
  });
});
