import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { inOtherProcess } from '../support/child.ts';
import { failure, objectCount, place, type Place, sql, values } from '../support/engine.ts';

const capture = (where: Place, previous?: Awaited<ReturnType<typeof sqliteEngine.capture>>) =>
  sqliteEngine.capture(where.context(), previous);

async function rowsOf(
  where: Place,
  captured: Awaited<ReturnType<typeof capture>>,
  query: string,
): Promise<unknown[]> {
  const { scratchDir } = where.context();
  return values(await sqliteEngine.materialize(where.context(), captured, scratchDir), query);
}

const table = 'CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);';
const some =
  'INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT hex(randomblob(50)) FROM n;';

describe('capture', () => {
  for (const mode of ['delete', 'truncate', 'persist', 'memory', 'off', 'wal']) {
    it(`copies a ${mode} database, beside an open connection, and twice alike`, async () => {
      const where = await place();
      const open = new Database(where.live);
      open.pragma(`journal_mode = ${mode}`);
      open.exec(table + some);
      const first = await capture(where);
      expect(first.tables).toEqual({ t: 500 });
      expect(first.version).toMatch(/^3\.\d+\.\d+$/);
      const second = await capture(where, first);
      expect({ ...second, time: '' }).toEqual({ ...first, time: '' });
      expect((await capture(where)).tree).toBe(first.tree);
      // Commits that change no page leave the same image: nothing in it counts them.
      open.exec('UPDATE t SET v = v; PRAGMA schema_version = 900;');
      expect((await capture(where, first)).sha256).toBe(first.sha256);
      expect(await rowsOf(where, first, 'SELECT count(*) FROM t')).toEqual([500]);
      expect(await rowsOf(where, first, 'PRAGMA journal_mode')).toEqual([mode === 'wal' ? 'wal' : 'delete']);
      open.close();
    });
  }

  it('gives, with git and tar alone, a file with the recorded hash that SQLite opens', async () => {
    const where = await place();
    sql(where.live, `PRAGMA journal_mode = wal; ${table} ${some}`);
    const captured = await capture(where);
    const commit = where.git.git('commit-tree', '-m', 'x', captured.tree);
    const archive = execFileSync('git', ['archive', `${commit}:image`], { cwd: where.git.path });
    const file = path.join(where.context().scratchDir, 'out.db');
    writeFileSync(file, execFileSync('tar', ['-xO'], { input: archive }));
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(captured.sha256);
    expect(statSync(file).size).toBe(captured.bytes);
    expect(values(file, 'PRAGMA integrity_check')).toEqual(['ok']);
    expect(values(file, 'SELECT count(*) FROM t')).toEqual([500]);
  });

  it('leaves nothing beside the database, and the database as it is', async () => {
    const where = await place();
    for (const mode of ['delete', 'wal']) {
      sql(where.live, `PRAGMA journal_mode = ${mode}; CREATE TABLE ${mode}1(x)`);
      const before = [readdirSync(where.git.path), statSync(where.live).mtimeMs, readFileSync(where.live)];
      await capture(where);
      expect([readdirSync(where.git.path), statSync(where.live).mtimeMs, readFileSync(where.live)]).toEqual(
        before,
      );
    }
  });

  it('reads what a crash left in the WAL, and does not write it back', async () => {
    const where = await place();
    const source = path.join(where.context().scratchDir, 'crashed.db');
    const open = new Database(source);
    open.pragma('journal_mode = wal');
    open.exec(table + some);
    for (const suffix of ['', '-wal']) copyFileSync(source + suffix, where.live + suffix);
    open.close();
    const wal = readFileSync(`${where.live}-wal`);
    const captured = await capture(where);
    expect(captured.tables).toEqual({ t: 500 });
    expect(readFileSync(`${where.live}-wal`).equals(wal)).toBe(true);
    expect((await capture(where, captured)).sha256).toBe(captured.sha256);
  });

  it('sees the state before a transaction that died with a hot journal', async () => {
    const where = await place();
    sql(where.live, table + some);
    const before = await capture(where);
    const script = `const db = new Database(args[0]); db.pragma('cache_size = 5'); db.exec("BEGIN; UPDATE t SET v = v || 'x'"); console.log('in'); setInterval(() => {}, 1000)`;
    const child = await inOtherProcess(script, where.live);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(existsSync(`${where.live}-journal`)).toBe(true);
    expect((await capture(where, before)).sha256).toBe(before.sha256);
  });

  it('is of one instant while others commit', async () => {
    const where = await place();
    sql(
      where.live,
      'PRAGMA journal_mode = wal; CREATE TABLE a(n); CREATE TABLE filler(x); CREATE TABLE b(n); INSERT INTO filler WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT randomblob(1000) FROM n;',
    );
    const script = `const db = new Database(args[0]); const both = db.transaction((n) => { db.prepare('INSERT INTO a VALUES (?)').run(n); db.prepare('INSERT INTO b VALUES (?)').run(n); });
      let n = 0; console.log('go'); (function step() { both(n++); setImmediate(step); })();`;
    await inOtherProcess(script, where.live);
    let last = -1;
    for (let turn = 0; turn < 8; turn++) {
      const captured = await capture(where);
      const [sound] = await rowsOf(where, captured, 'PRAGMA integrity_check');
      expect(sound).toBe('ok');
      const [a] = await rowsOf(where, captured, 'SELECT count(*) FROM a');
      expect(await rowsOf(where, captured, 'SELECT count(*) FROM b')).toEqual([a]);
      expect(await rowsOf(where, captured, 'SELECT coalesce(max(n) + 1, 0) FROM a')).toEqual([a]);
      expect(a).toBeGreaterThan(last);
      last = Number(a);
    }
  });

  for (const size of [512, 1024, 4096, 65_536]) {
    it(`takes pages of ${size} bytes, UTF-16, auto-vacuum and what extensions store`, async () => {
      const where = await place();
      sql(
        where.live,
        `PRAGMA page_size = ${size}; PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = FULL; PRAGMA application_id = 77; PRAGMA user_version = 5;
         CREATE TABLE w(k TEXT PRIMARY KEY, n INT, twice GENERATED ALWAYS AS (n * 2) STORED) WITHOUT ROWID;
         INSERT INTO w(k, n) VALUES ('ä', 1), ('b', 2);
         CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('hello world');
         CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1); INSERT INTO boxes VALUES (1, 0, 5);
         CREATE VIEW v AS SELECT * FROM w; CREATE TRIGGER tr AFTER INSERT ON w BEGIN SELECT 1; END;`,
      );
      const captured = await capture(where);
      expect(captured.tables?.['w']).toBe(2);
      expect(
        await rowsOf(
          where,
          captured,
          "SELECT (SELECT sum(twice) FROM v) || (SELECT text FROM words WHERE words MATCH 'hello') || (SELECT x1 FROM boxes)",
        ),
      ).toEqual(['6hello world5.0']);
      expect(await rowsOf(where, captured, 'PRAGMA application_id')).toEqual([77]);
      expect(await rowsOf(where, captured, 'PRAGMA user_version')).toEqual([5]);
      expect(await rowsOf(where, captured, 'PRAGMA page_size')).toEqual([size]);
    });
  }

  it('takes an empty file for the empty database it is', async () => {
    const where = await place();
    writeFileSync(where.live, '');
    const captured = await capture(where);
    expect(captured).toMatchObject({ bytes: 0, sha256: createHash('sha256').digest('hex'), tables: {} });
    expect(statSync(where.live).size).toBe(0);
  });

  it('follows a symbolic link to where SQLite keeps the WAL', async () => {
    const where = await place({ file: 'link.db' });
    mkdirSync(path.join(where.git.path, 'real'));
    const real = path.join(where.git.path, 'real/data.db');
    symlinkSync('real/data.db', where.live);
    const open = new Database(real);
    open.pragma('journal_mode = wal');
    open.exec(table + some);
    expect((await capture(where)).tables).toEqual({ t: 500 });
    open.close();
  });

  it('does not count the rows of a large database', async () => {
    const where = await place();
    sql(where.live, 'CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(17000000))');
    expect((await capture(where)).tables).toBeUndefined();
  });

  it('takes rows that break their own rules: they are there', async () => {
    const where = await place();
    sql(
      where.live,
      'CREATE TABLE t(x CHECK (x > 5)); PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (1);',
    );
    expect((await capture(where)).tables).toEqual({ t: 1 });
  });
});

describe('capture says what is wrong', () => {
  it('no file, no path, a folder', async () => {
    const where = await place();
    const missing = await failure(capture(where));
    expect(missing.kind).toBe('failed');
    expect(missing.message).toContain(where.live);
    expect(missing.hints.join()).toContain('pitr.database.app.path');
    mkdirSync(where.live);
    expect((await failure(capture(where))).message).toContain('is not a file');
    const context = where.context();
    const { path: _, ...pathless } = context.database;
    expect((await failure(sqliteEngine.capture({ ...context, database: pathless }, undefined))).kind).toBe(
      'usage',
    );
  });

  it('something else, or encrypted', async () => {
    const where = await place();
    for (const content of [randomBytes(8192), 'just text', `SQLite format 4\0${'x'.repeat(5000)}`]) {
      writeFileSync(where.live, content);
      const error = await failure(capture(where));
      expect(error.kind).toBe('failed');
      expect(error.message).toMatch(/not a SQLite database, or it is encrypted/);
    }
  });

  it('damage: torn pages, a short file', async () => {
    const where = await place();
    sql(where.live, table + some);
    const sound = readFileSync(where.live);
    const torn = Buffer.from(sound);
    torn.fill(0x5a, 8192, 12_288);
    writeFileSync(where.live, torn);
    expect((await failure(capture(where))).kind).toBe('integrity');
    writeFileSync(where.live, sound);
    truncateSync(where.live, sound.length - 4096);
    expect((await failure(capture(where))).kind).toBe('integrity');
    writeFileSync(where.live, sound);
    expect((await capture(where)).tables).toEqual({ t: 500 });
  });

  it('a lock that stays, within the deadline; a short one is waited for', async () => {
    const where = await place({ lockTimeout: 400 });
    sql(where.live, table + some);
    const script = `const db = new Database(args[0]); db.exec('BEGIN EXCLUSIVE'); console.log('locked'); process.stdin.on('data', () => db.exec('COMMIT'));`;
    const child = await inOtherProcess(script, where.live);
    const start = Date.now();
    const error = await failure(capture(where));
    expect(error.kind).toBe('busy');
    expect(Date.now() - start).toBeGreaterThan(390);
    expect(Date.now() - start).toBeLessThan(1500);
    setTimeout(() => child.stdin?.write('go'), 150);
    expect((await capture(where)).tables).toEqual({ t: 500 });
  });
});

describe('an unchanged database', () => {
  const settle = (file: string) => utimesSync(file, new Date(), new Date(Date.now() - 60_000));

  /** Fails when anything reads the database: a copy would need the lock. */
  async function withoutReading<Result>(where: Place, work: () => Promise<Result>): Promise<Result> {
    const child = await inOtherProcess(
      `const db = new Database(args[0]); db.pragma('locking_mode = EXCLUSIVE'); db.exec('BEGIN EXCLUSIVE'); console.log('locked'); setInterval(() => {}, 1000)`,
      where.live,
    );
    try {
      return await work();
    } finally {
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
    }
  }

  it('is recognised without being read (rollback)', async () => {
    const where = await place();
    sql(where.live, table + some);
    const first = await capture(where);
    const objects = objectCount(where);
    const again = await withoutReading(where, () => capture(where, first));
    expect({ ...again, time: first.time }).toEqual(first);
    expect(objectCount(where)).toBe(objects);
    // Not by another snapshot's copy, nor after a commit.
    sql(where.live, "UPDATE t SET v = 'new' WHERE id = 1");
    expect((await capture(where, first)).sha256).not.toBe(first.sha256);
  });

  it('is read again when its header stood still but the file did not', async () => {
    const where = await place();
    sql(where.live, table + some);
    const first = await capture(where);
    const bytes = readFileSync(where.live);
    const at = bytes.lastIndexOf(Buffer.from('41', 'latin1'));
    bytes.write('42', at, 'latin1');
    writeFileSync(where.live, bytes);
    expect((await capture(where, first)).sha256).not.toBe(first.sha256);
  });

  it('in WAL mode is trusted only when its last write is some seconds old', async () => {
    const where = await place();
    sql(where.live, `PRAGMA journal_mode = wal; ${table} ${some}`);
    const first = await capture(where);
    const cache = path.join(where.repository.lineDir, 'sqlite-app.json');
    expect(existsSync(cache)).toBe(false);
    // ctime cannot be set back, so the wait is real.
    settle(where.live);
    await new Promise((resolve) => setTimeout(resolve, 3100));
    const second = await capture(where, first);
    expect(existsSync(cache)).toBe(true);
    const third = await capture(where, second);
    expect(third.sha256).toBe(first.sha256);

    // Every commit shows, while a connection keeps the WAL, and after it has been written back.
    const child = await inOtherProcess(
      `const db = new Database(args[0]); db.exec("UPDATE t SET v = 'a' WHERE id = 1"); console.log('done'); process.stdin.on('data', () => { db.close(); process.exit() })`,
      where.live,
    );
    const fourth = await capture(where, third);
    expect(fourth.sha256).not.toBe(first.sha256);
    expect(await rowsOf(where, fourth, 'SELECT v FROM t WHERE id = 1')).toEqual(['a']);
    child.stdin?.write('x');
    await new Promise((resolve) => child.once('exit', resolve));
    expect((await capture(where, fourth)).sha256).toBe(fourth.sha256);
    expect((await capture(where, first)).sha256).toBe(fourth.sha256);
  });
});
