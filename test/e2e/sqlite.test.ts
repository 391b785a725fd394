import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { OtherProgram, sqlite } from '../support/databases.ts';
import { allFiles, everything, sha256sums } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Shop {
  repository: TestRepository;
  /** The live database. */
  file: string;
  other: OtherProgram;
}

const all = 'SELECT * FROM orders ORDER BY id';

/** A repository with a database that another program has open, in the journal mode asked for. */
async function shop(mode: 'wal' | 'delete'): Promise<Shop> {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
  repository.write('.gitignore', '*.db*\n');
  repository.git('config', 'pitr.lockTimeout', '300ms');
  const file = repository.resolve('shop.db');
  const other = new OtherProgram(file);
  await other.rows(`PRAGMA journal_mode = ${mode}`);
  await other.exec(`CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT);
    INSERT INTO orders(what) VALUES ('tea'), ('milk'), (NULL), (x'00ff')`);
  pitr(repository.path, ['init', '--yes']);
  return { repository, file, other };
}

/** Files only: the bytes of a live database depend on when its WAL was written back; its rows are what counts. */
function files(repository: TestRepository): string[] {
  return sha256sums(repository.path, ['.git/*', 'shop.db*']);
}

describe.each(['wal', 'delete'] as const)(
  'a database in journal mode %s that another program has open',
  (mode) => {
    it('comes back with the files, row by row, and undo brings the later rows and files back', async () => {
      const { repository, file, other } = await shop(mode);
      const before = { rows: await other.rows(all), files: files(repository) };
      pitr(repository.path, ['snapshot']);
      await other.exec("UPDATE orders SET what = 'coffee' WHERE id = 1; DELETE FROM orders WHERE id = 2");
      await other.exec(
        "CREATE TABLE added(x); INSERT INTO added VALUES (1); INSERT INTO orders(what) VALUES ('new')",
      );
      repository.write('a.txt', 'changed\n');
      repository.write('new.txt', 'new\n');
      repository.remove('dir/b.txt');
      const after = {
        rows: await other.rows(all),
        files: files(repository),
        git: repository.git('status', '--short'),
      };
      const head = repository.git('rev-parse', 'HEAD');

      pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
      expect(await other.rows(all)).toEqual(before.rows);
      expect(await other.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")).toEqual([['orders']]);
      expect(files(repository)).toEqual(before.files);
      expect(repository.git('rev-parse', 'HEAD')).toBe(head);
      expect(sqlite(file, 'PRAGMA integrity_check')).toBe('ok');

      pitr(repository.path, ['undo', '--yes']);
      expect(await other.rows(all)).toEqual(after.rows);
      expect(await other.rows('SELECT * FROM added')).toEqual([[1]]);
      expect(files(repository)).toEqual(after.files);
      expect(repository.git('status', '--short')).toBe(after.git);

      pitr(repository.path, ['undo', '--yes']);
      expect(await other.rows(all)).toEqual(before.rows);
      expect(files(repository)).toEqual(before.files);
      expect(sqlite(file, 'PRAGMA journal_mode')).toBe(mode);
    });

    it('takes the next commit of the other program after a restore, and keeps it', async () => {
      const { repository, file, other } = await shop(mode);
      pitr(repository.path, ['snapshot']);
      await other.exec('DELETE FROM orders');
      pitr(repository.path, ['restore', '--snapshot', 'latest', '--db', 'shop']);
      await other.exec("INSERT INTO orders VALUES (100, 'after the restore')");
      await other.kill();
      expect(sqlite(file, 'SELECT id FROM orders').split('\n')).toEqual(['1', '2', '3', '4', '100']);
      expect(sqlite(file, 'PRAGMA integrity_check')).toBe('ok');
    });

    it.each(['BEGIN IMMEDIATE', 'BEGIN EXCLUSIVE'])(
      'is left alone while the other program holds a lock (%s): exit 6, and no file, row or ref is changed',
      async (begin) => {
        const { repository, other } = await shop(mode);
        pitr(repository.path, ['snapshot', '-m', 'good']);
        await other.exec("UPDATE orders SET what = 'coffee'");
        repository.write('a.txt', 'changed\n');
        const changed = repository.git('log', '-1', '--format=%H', 'refs/pitr/main');
        await other.exec(`${begin}; INSERT INTO orders(what) VALUES ('not committed yet')`);
        const before = allFiles(repository.path);
        const stat = () => lstatSync(repository.resolve('a.txt'), { bigint: true });
        const seen = stat();
        for (const scope of [['--all'], ['--db', 'shop']]) {
          const refused = pitr(
            repository.path,
            ['restore', '--snapshot', 'latest', '--yes', '--json', ...scope],
            {
              expectCode: 6,
            },
          );
          expect(refused.json()).toMatchObject({ error: { kind: 'busy' } });
          expect(refused.stderr).toContain('shop');
          expect(refused.stderr).not.toContain('mv ');
        }
        expect(allFiles(repository.path)).toEqual(before);
        // Not even for a moment: a program that watches files would have seen half a restore.
        expect(stat()).toMatchObject({ ino: seen.ino, ctimeNs: seen.ctimeNs });
        expect(repository.git('log', '-1', '--format=%H', 'refs/pitr/main')).toBe(changed);
        await other.exec('COMMIT');
        expect(await other.rows('SELECT count(*) FROM orders')).toEqual([[5]]);
        // Nothing is left over that would stop the next try.
        pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
        expect(await other.rows('SELECT what FROM orders WHERE id = 1')).toEqual([['tea']]);
        expect(repository.read('a.txt')).toBe('a\n');
      },
    );

    it('is recorded as of one instant while the other program commits without a pause', async () => {
      const { repository, file, other } = await shop(mode);
      await other.exec('CREATE TABLE pairs(a, b)');
      repository.git('config', 'pitr.lockTimeout', '30s');
      const writer = new OtherProgram(file);
      await writer.repeat(
        "BEGIN; INSERT INTO pairs VALUES (1, 1); INSERT INTO orders(what) VALUES ('x'); COMMIT",
      );
      const taken = pitr(repository.path, ['snapshot', '--json']).json<{
        snapshot: { databases: { tables: Record<string, number> }[] };
      }>();
      const commits = await writer.stop();
      const { pairs = 0, orders } = taken.snapshot.databases[0]?.tables ?? {};
      expect(pairs).toBeGreaterThan(0);
      expect(pairs).toBeLessThan(commits);
      expect(orders).toBe(pairs + 4);
    });
  },
);

describe('all or nothing', () => {
  it('a damaged database is refused before any file is touched, by the dry run too; moved away, it comes back', async () => {
    const { repository, file, other } = await shop('delete');
    const rows = await other.rows(all);
    pitr(repository.path, ['snapshot', '-m', 'good']);
    await other.kill();
    repository.write('a.txt', 'changed\n');
    // The page that holds the rows: the header stays good, only reading it all tells.
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4096, 8192);
    writeFileSync(file, bytes);
    const before = everything(repository.path);
    for (const last of ['--dry-run', '--yes']) {
      const refused = pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', last], {
        expectCode: 4,
      });
      expect(refused.stderr).toContain(`mv ${file} ${file}.damaged`);
      expect(everything(repository.path)).toEqual(before);
    }
    renameSync(file, `${file}.damaged`);
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    expect(await new OtherProgram(file).rows(all)).toEqual(rows);
    expect(repository.read('a.txt')).toBe('a\n');
    expect(readFileSync(`${file}.damaged`)).toEqual(bytes);
  });

  it('files go back when the copy of the database cannot be read', async () => {
    const { repository, other } = await shop('delete');
    await other.exec(`CREATE TABLE blobs(x); INSERT INTO blobs VALUES (randomblob(200000))`);
    pitr(repository.path, ['snapshot']);
    const chunk = repository.git('rev-parse', 'refs/pitr/main:databases/shop/image/0000/0001');
    await other.exec('DELETE FROM blobs; VACUUM');
    repository.write('a.txt', 'changed\n');
    repository.write('new.txt', 'new\n');
    repository.remove('dir/b.txt');
    rmSync(repository.resolve(`.git/objects/${chunk.slice(0, 2)}/${chunk.slice(2)}`));
    const before = { files: files(repository), rows: await other.rows(all) };
    const failed = pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes'], {
      expectCode: 7,
    });
    expect(failed.stderr).toContain('taken back');
    expect({ files: files(repository), rows: await other.rows(all) }).toEqual(before);
    expect(pitr(repository.path, ['undo'], { expectCode: 5 }).stderr).toContain('nothing to undo');
  });

  it('two databases: when the second is locked, the first is left alone too', async () => {
    const { repository, other } = await shop('wal');
    const second = new OtherProgram(repository.resolve('zz.db'));
    await second.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    await other.exec('DELETE FROM orders');
    await second.exec('UPDATE t SET x = 2; BEGIN IMMEDIATE');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes'], { expectCode: 6 });
    expect(await other.rows('SELECT count(*) FROM orders')).toEqual([[0]]);
    await second.exec('COMMIT');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    expect(await other.rows('SELECT count(*) FROM orders')).toEqual([[4]]);
    expect(await second.rows('SELECT x FROM t')).toEqual([[1]]);
  });
});

describe('a database that is gone', () => {
  it.each(['wal', 'delete'] as const)(
    'is made again by a restore, in its journal mode (%s)',
    async (mode) => {
      const { repository, file, other } = await shop(mode);
      const rows = await other.rows(all);
      pitr(repository.path, ['snapshot', '-m', 'good']);
      await other.kill();
      for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
      repository.write('a.txt', 'changed\n');
      pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
      expect(await new OtherProgram(file).rows(all)).toEqual(rows);
      expect(sqlite(file, 'PRAGMA journal_mode')).toBe(mode);
      expect(repository.read('a.txt')).toBe('a\n');
    },
  );

  it('is listed by the snapshot that cannot record it, with exit 3, and the rest is recorded', async () => {
    const { repository, file, other } = await shop('delete');
    await other.kill();
    rmSync(file);
    const taken = pitr(repository.path, ['snapshot', '--json'], { expectCode: 3 });
    expect(taken.json()).toMatchObject({
      created: true,
      snapshot: { files: 3, databases: [], failedDatabases: [{ name: 'shop' }] },
    });
    expect(taken.stderr).toContain('does not exist');
  });

  it('stays when the restore that made it is undone, which says so with exit 3; the files go back', async () => {
    const { repository, file, other } = await shop('delete');
    pitr(repository.path, ['snapshot', '-m', 'good']);
    await other.kill();
    rmSync(file);
    repository.write('a.txt', 'changed\n');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    // By now somebody may have it open: without its file, their next commit would go nowhere.
    const owner = new OtherProgram(file);
    await owner.exec("INSERT INTO orders(what) VALUES ('mine')");
    const undone = pitr(repository.path, ['undo', '--yes', '--json'], { expectCode: 3 });
    expect(undone.json()).toMatchObject({ plan: { protected: [{ database: 'shop' }] } });
    expect(repository.read('a.txt')).toBe('changed\n');
    expect(await owner.rows('SELECT count(*) FROM orders')).toEqual([[5]]);
  });
});
