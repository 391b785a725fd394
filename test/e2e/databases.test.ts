/** Which database comes from which snapshot, under which name, and where its file really is. */
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { OtherProgram, sqlite } from '../support/databases.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Shown {
  snapshot: { id: string; time: string };
  plan: { protected: { path: string; database?: string; reason: string }[]; databases: { name: string }[] };
}

function shop(at = 'shop.db'): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': '1\n', '.gitignore': '*.db*\n' } });
  mkdirSync(path.dirname(repository.resolve(at)), { recursive: true });
  sqlite(repository.resolve(at), 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
  pitr(repository.path, ['init', '--yes']);
  return repository;
}

const rows = (file: string) => sqlite(file, 'SELECT x FROM t');

describe('--at', () => {
  /** 10:00 all; 11:00 without databases; now both have moved on. */
  function twoSnapshots() {
    const repository = shop();
    pitr(repository.path, ['snapshot'], { env: { GIT_COMMITTER_DATE: '2026-11-20T10:00:00.000Z' } });
    repository.write('a.txt', '2\n');
    sqlite(repository.resolve('shop.db'), 'UPDATE t SET x = 2');
    pitr(repository.path, ['snapshot', '--no-databases'], {
      env: { GIT_COMMITTER_DATE: '2026-11-20T11:00:00.000Z' },
    });
    repository.write('a.txt', '3\n');
    sqlite(repository.resolve('shop.db'), 'UPDATE t SET x = 3');
    return repository;
  }

  it('--all takes the newest snapshot of all: files never go further back because of a database; exit 3 says which', () => {
    const repository = twoSnapshots();
    const args = ['restore', '--at', '2026-11-20T12:00:00Z', '--all', '--yes', '--json'];
    const shown = pitr(repository.path, args, { expectCode: 3 }).json<Shown>();
    expect(shown.snapshot.time).toBe('2026-11-20T11:00:00.000Z');
    expect(repository.read('a.txt')).toBe('2\n');
    expect(rows(repository.resolve('shop.db'))).toBe('3');
    const [left] = shown.plan.protected;
    const [, command] = /(git pitr restore --snapshot \S+ --db shop)$/.exec(left?.reason ?? '') ?? [];
    // The command that it names does what it says.
    pitr(repository.path, (command ?? '').split(' ').slice(2));
    expect(rows(repository.resolve('shop.db'))).toBe('1');
  });

  it('--db alone takes the newest snapshot that holds the database', () => {
    const repository = twoSnapshots();
    pitr(repository.path, ['restore', '--at', '2026-11-20T12:00:00Z', '--db', 'shop']);
    expect(rows(repository.resolve('shop.db'))).toBe('1');
    expect(repository.read('a.txt')).toBe('3\n');
  });

  it('one that was registered only later is left alone by --all, and named', () => {
    const repository = twoSnapshots();
    sqlite(repository.resolve('later.db'), 'CREATE TABLE t(x); INSERT INTO t VALUES (9)');
    pitr(repository.path, ['init', '--yes']);
    const args = ['restore', '--at', '2026-11-20T10:30:00Z', '--all', '--yes', '--json'];
    const shown = pitr(repository.path, args, { expectCode: 3 }).json<Shown>();
    expect(shown.plan.protected).toMatchObject([{ database: 'later' }]);
    expect(rows(repository.resolve('shop.db'))).toBe('1');
    expect(rows(repository.resolve('later.db'))).toBe('9');
  });
});

it('a snapshot whose note is lost gives its files and its databases back all the same', () => {
  const repository = shop();
  const before = hashTree(repository.path).filter((line) => !line.startsWith('shop.db'));
  pitr(repository.path, ['snapshot', '-m', 'good']);
  repository.git('update-ref', '-d', 'refs/notes/pitr');
  repository.write('a.txt', 'changed\n');
  sqlite(repository.resolve('shop.db'), 'DELETE FROM t');
  expect(pitr(repository.path, ['show']).stdout).toContain('note');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
  expect(hashTree(repository.path).filter((line) => !line.startsWith('shop.db'))).toEqual(before);
  expect(rows(repository.resolve('shop.db'))).toBe('1');
  pitr(repository.path, ['undo', '--yes']);
  expect(rows(repository.resolve('shop.db'))).toBe('');
});

describe('a database file', () => {
  it.each([
    [
      'through a link to the file',
      'link.db',
      (repository: TestRepository) => symlinkSync('data/real.db', repository.resolve('link.db')),
    ],
    [
      'through a link to its folder',
      'linked/real.db',
      (repository: TestRepository) => symlinkSync('data', repository.resolve('linked')),
    ],
    ['through a path from outside', undefined, () => {}],
  ])(
    'registered %s is recorded once, as a database, and never replaced as a file',
    async (_, given, make) => {
      const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
      mkdirSync(repository.resolve('data'));
      const other = new OtherProgram(repository.resolve('data/real.db'));
      await other.rows('PRAGMA journal_mode = wal');
      await other.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
      make(repository);
      const outside = `${scratchFolder()}/way-in`;
      symlinkSync(repository.path, outside);
      repository.git('config', 'pitr.database.shop.path', given ?? `${outside}/data/real.db`);
      const { snapshot } = pitr(repository.path, ['snapshot', '--json']).json<Shown>();
      const recorded = repository.git('ls-tree', '-r', '--name-only', 'refs/pitr/main').split('\n');
      expect(recorded.filter((path) => /real\.db/.test(path))).toEqual([]);
      expect(recorded).toContain('databases/shop/image/0000/0000');
      await other.exec('UPDATE t SET x = 2');
      // Files alone: the database stays, with the rows that its WAL holds.
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--yes']);
      expect(await other.rows('SELECT x FROM t')).toEqual([[2]]);
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--all', '--yes']);
      expect(await other.rows('SELECT x FROM t')).toEqual([[1]]);
      await other.exec('INSERT INTO t VALUES (5)');
      expect(sqlite(repository.resolve('data/real.db'), 'SELECT x FROM t')).toBe('1\n5');
    },
  );

  it('outside of the working tree is recorded and restored like any other', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    const file = `${scratchFolder()}/elsewhere.db`;
    sqlite(file, 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    repository.git('config', 'pitr.database.elsewhere.path', file);
    pitr(repository.path, ['snapshot']);
    sqlite(file, 'UPDATE t SET x = 2');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    expect(rows(file)).toBe('1');
  });

  it('that moved is restored to where it is registered now, under its name', () => {
    const repository = shop();
    pitr(repository.path, ['snapshot']);
    mkdirSync(repository.resolve('moved'));
    renameSync(repository.resolve('shop.db'), repository.resolve('moved/other.db'));
    repository.git('config', 'pitr.database.shop.path', 'moved/other.db');
    sqlite(repository.resolve('moved/other.db'), 'UPDATE t SET x = 2');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--db', 'shop']);
    expect(rows(repository.resolve('moved/other.db'))).toBe('1');
  });

  it('whose folder is gone too comes back with it', () => {
    const repository = shop('data/deep/shop.db');
    pitr(repository.path, ['snapshot']);
    repository.remove('data');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    expect(rows(repository.resolve('data/deep/shop.db'))).toBe('1');
  });

  it('that is no longer registered is not deleted by a restore to when it was: it was there', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    const file = repository.resolve('data.sqlite');
    sqlite(file, 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    repository.git('config', '--remove-section', 'pitr.database.data');
    repository.write('a.txt', 'changed\n');
    const args = ['restore', '--snapshot', 'latest', '--yes', '--json'];
    const { plan } = pitr(repository.path, args).json<Shown>();
    expect(plan.protected).toEqual([
      { path: 'data.sqlite', reason: expect.stringContaining('register it again') },
    ]);
    expect(rows(file)).toBe('1');
    expect(repository.read('a.txt')).toBe('a\n');
  });

  it('that an older snapshot holds as a file is left alone, and --into gives that file', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    const file = repository.resolve('data.sqlite');
    sqlite(file, 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    pitr(repository.path, ['snapshot']);
    pitr(repository.path, ['init', '--yes']);
    sqlite(file, 'UPDATE t SET x = 2');
    const { plan } = pitr(repository.path, [
      'restore',
      '--snapshot',
      'latest',
      '--yes',
      '--json',
    ]).json<Shown>();
    expect(plan.protected).toMatchObject([{ path: 'data.sqlite' }]);
    expect(rows(file)).toBe('2');
    const out = `${scratchFolder()}/out`;
    pitr(repository.path, ['restore', '--snapshot', 'latest~1', '--into', out]);
    expect(rows(`${out}/data.sqlite`)).toBe('1');
  });

  it('of which only the WAL is left is not made again under it: refused, with what to do', async () => {
    const repository = scratchRepository({ files: { '.gitignore': '*.db*\n' } });
    const file = repository.resolve('shop.db');
    const other = new OtherProgram(file);
    await other.rows('PRAGMA journal_mode = wal');
    await other.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    await other.kill();
    repository.remove('shop.db');
    const refused = pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes'], {
      expectCode: 4,
    });
    expect(refused.stderr).toContain(`mv ${file}-wal`);
    expect(hashTree(repository.path).map((line) => line.split(' ')[0])).toContain('shop.db-wal');
  });

  it('is written by --into beside the files, under another name where a file has its name', () => {
    const repository = shop('data/shop.db');
    writeFileSync(repository.resolve('shop.db'), 'a file that is called like it\n');
    repository.write('.gitignore', 'data/\n');
    pitr(repository.path, ['snapshot']);
    const out = `${scratchFolder()}/out`;
    const { databases } = pitr(repository.path, [
      'restore',
      '--snapshot',
      'latest',
      '--all',
      '--into',
      out,
      '--json',
    ]).json<{
      databases: { path: string }[];
    }>();
    expect(databases).toMatchObject([{ path: `${out}/shop-2.db` }]);
    expect(rows(`${out}/shop-2.db`)).toBe('1');
    expect(hashTree(out).some((line) => line.startsWith('shop.db file'))).toBe(true);
  });
});
