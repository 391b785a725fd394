import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { inOtherProcess } from '../support/child.ts';
import { failure, place, type Place, sql, values } from '../support/engine.ts';

const capture = (where: Place, previous?: CapturedDatabase) =>
  sqliteEngine.capture(where.context(), previous);
const restore = (where: Place, target: CapturedDatabase, now?: CapturedDatabase) =>
  sqliteEngine.restore(where.context(), target, now);

const old = (
  mode = 'delete',
  size = 4096,
) => `PRAGMA page_size = ${size}; PRAGMA journal_mode = ${mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
  INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT hex(randomblob(100)) || 'old' FROM n;`;
const change =
  "UPDATE t SET v = 'new' WHERE id % 2; DELETE FROM t WHERE id > 300; CREATE TABLE later(x); INSERT INTO later VALUES (1);";
const tables = (file: string) =>
  values(file, "SELECT name || (SELECT count(*) FROM t) FROM sqlite_schema WHERE type = 'table'");

/** A database in its old state, captured; then changed, and captured again. */
async function changed(options: { mode?: string; size?: number; lockTimeout?: number } = {}) {
  const where = await place(options.lockTimeout === undefined ? {} : { lockTimeout: options.lockTimeout });
  sql(where.live, old(options.mode, options.size));
  const target = await capture(where);
  sql(where.live, change);
  const now = await capture(where, target);
  return { where, target, now };
}

describe('restore', () => {
  for (const mode of ['delete', 'truncate', 'persist', 'wal']) {
    it(`brings a ${mode} database back and forth, exactly`, async () => {
      const { where, target, now } = await changed({ mode });
      await restore(where, target, now);
      expect(tables(where.live)).toEqual(['t400']);
      const back = await capture(where, now);
      expect({ tree: back.tree, sha256: back.sha256 }).toEqual({ tree: target.tree, sha256: target.sha256 });
      await restore(where, now, back);
      expect(tables(where.live)).toEqual(['t300', 'later300']);
      expect((await capture(where, back)).sha256).toBe(now.sha256);
      expect(values(where.live, 'PRAGMA journal_mode')).toEqual([mode === 'wal' ? 'wal' : 'delete']);
      expect(
        readdirSync(where.git.path).filter((name) => name !== '.git' && !name.endsWith('-journal')),
      ).toEqual(['app.db']);
    });
  }

  for (const mode of ['delete', 'wal']) {
    it(`is seen by connections that stay open, whose next commits count (${mode})`, async () => {
      const { where, target, now } = await changed({ mode });
      const here = new Database(where.live);
      const query = here.prepare('SELECT count(*) FROM t').pluck();
      expect(query.get()).toBe(300);
      const script = `const db = new Database(args[0]); const q = db.prepare('SELECT count(*) FROM t').pluck(); console.log(q.get());
        process.stdin.on('data', () => { console.log(q.get()); db.exec("INSERT INTO t VALUES (9000, 'kept')"); console.log('inserted'); });`;
      const child = await inOtherProcess(script, where.live);
      await restore(where, target, now);
      expect(query.get()).toBe(400);
      const answer = new Promise<string>((resolve) => {
        let text = '';
        child.stdout?.on('data', (part) => {
          text += String(part);
          if (text.includes('inserted')) resolve(text);
        });
      });
      child.stdin?.write('go');
      expect(await answer).toContain('400');
      here.exec("INSERT INTO t VALUES (9001, 'kept too')");
      here.close();
      expect(values(where.live, 'SELECT id FROM t WHERE id >= 9000')).toEqual([9000, 9001]);
      expect(values(where.live, 'PRAGMA integrity_check')).toEqual(['ok']);
    });
  }

  it('leaves a reader in WAL mode its view until it ends', async () => {
    const { where, target, now } = await changed({ mode: 'wal' });
    const reader = new Database(where.live, { readonly: true });
    reader.exec('BEGIN');
    const query = reader.prepare('SELECT count(*) FROM t').pluck();
    expect(query.get()).toBe(300);
    await restore(where, target, now);
    expect(query.get()).toBe(300);
    reader.exec('COMMIT');
    expect(query.get()).toBe(400);
    reader.close();
  });

  it('keeps the journal mode that the live database has now', async () => {
    const where = await place();
    sql(where.live, old('wal'));
    const target = await capture(where);
    sql(where.live, 'PRAGMA journal_mode = delete; DELETE FROM t');
    const now = await capture(where, target);
    await restore(where, target, now);
    expect(values(where.live, 'PRAGMA journal_mode')).toEqual(['delete']);
    sql(where.live, 'PRAGMA journal_mode = wal; DELETE FROM t WHERE id < 10');
    await restore(where, now, await capture(where));
    expect(values(where.live, 'PRAGMA journal_mode')).toEqual(['wal']);
    expect(values(where.live, 'SELECT count(*) FROM t')).toEqual([0]);
  });

  it('goes into a database whose WAL a crash left behind', async () => {
    const { where, target } = await changed({ mode: 'wal' });
    const child = await inOtherProcess(
      `const db = new Database(args[0]); db.pragma('wal_autocheckpoint = 0'); db.exec("DELETE FROM t WHERE id > 7"); console.log('done'); setInterval(() => {}, 1000)`,
      where.live,
    );
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(statSync(`${where.live}-wal`).size).toBeGreaterThan(0);
    const now = await capture(where);
    expect(now.tables?.['t']).toBe(7);
    await restore(where, target, now);
    expect(tables(where.live)).toEqual(['t400']);
    expect((await capture(where)).sha256).toBe(target.sha256);
  });

  for (const [from, to, mode] of [
    [4096, 1024, 'delete'],
    [1024, 65_536, 'delete'],
    [4096, 512, 'wal'],
    [512, 8192, 'wal'],
  ] as const) {
    it(`changes pages of ${from} bytes back to ${to} (${mode})`, async () => {
      const where = await place();
      sql(where.live, old(mode, to));
      const target = await capture(where);
      rmSync(where.live);
      sql(where.live, old(mode, from) + change);
      const now = await capture(where);
      await restore(where, target, now);
      expect(values(where.live, 'PRAGMA page_size')).toEqual([to]);
      expect(values(where.live, 'PRAGMA journal_mode')).toEqual([mode]);
      const back = await capture(where);
      expect(back.sha256).toBe(target.sha256);
      await restore(where, now, back);
      expect((await capture(where)).sha256).toBe(now.sha256);
    });
  }

  it('says so when another page size needs the WAL database for itself', async () => {
    const where = await place({ lockTimeout: 200 });
    sql(where.live, old('wal', 1024));
    const target = await capture(where);
    rmSync(where.live);
    sql(where.live, old('wal', 4096));
    const now = await capture(where);
    const child = await inOtherProcess(
      `const db = new Database(args[0]); db.prepare('SELECT * FROM t').all(); console.log('open'); setInterval(() => {}, 1000)`,
      where.live,
    );
    const error = await failure(restore(where, target, now));
    expect(error.kind).toBe('busy');
    expect(error.message).toContain('1024 bytes');
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(values(where.live, 'PRAGMA journal_mode')).toEqual(['wal']);
    await restore(where, target, now);
    expect((await capture(where)).sha256).toBe(target.sha256);
  });

  for (const mode of ['delete', 'wal']) {
    it(`empties a database that was empty then, and fills an empty one (${mode})`, async () => {
      const where = await place();
      writeFileSync(where.live, '');
      const empty = await capture(where);
      sql(where.live, old(mode));
      const full = await capture(where);
      await restore(where, empty, full);
      expect(values(where.live, 'SELECT count(*) FROM sqlite_schema')).toEqual([0]);
      await restore(where, full, await capture(where));
      expect((await capture(where)).sha256).toBe(full.sha256);
    });
  }

  it('fills a file of zero bytes', async () => {
    const where = await place();
    sql(where.live, old());
    const full = await capture(where);
    writeFileSync(where.live, '');
    const empty = await capture(where);
    await restore(where, full, empty);
    expect((await capture(where)).sha256).toBe(full.sha256);
    await restore(where, empty, await capture(where));
    expect(values(where.live, 'SELECT count(*) FROM sqlite_schema')).toEqual([0]);
  });

  it('goes through a symbolic link without replacing it', async () => {
    const where = await place({ file: 'link.db' });
    const real = path.join(where.git.path, 'real.db');
    symlinkSync('real.db', where.live);
    sql(real, old());
    const target = await capture(where);
    sql(real, change);
    await restore(where, target, await capture(where));
    expect(tables(real)).toEqual(['t400']);
    expect(readFileSync(where.live).equals(readFileSync(real))).toBe(true);
    // The link stays when its file is gone: the database comes back where it points.
    rmSync(real);
    await restore(where, target);
    expect(lstatSync(where.live).isSymbolicLink()).toBe(true);
    expect(tables(real)).toEqual(['t400']);
  });
});

describe('restore of a database that is gone', () => {
  for (const mode of ['delete', 'wal']) {
    it(`makes it anew, as it was recorded (${mode})`, async () => {
      const where = await place({ file: 'data/deep/app.db' });
      mkdirSync(path.dirname(where.live), { recursive: true });
      sql(where.live, old(mode));
      const target = await capture(where);
      rmSync(path.join(where.git.path, 'data'), { recursive: true });
      await restore(where, target);
      expect(readdirSync(path.dirname(where.live))).toEqual(['app.db']);
      expect((await capture(where)).sha256).toBe(target.sha256);
      expect(values(where.live, 'PRAGMA journal_mode')).toEqual([mode]);
    });
  }

  it('is refused while a WAL with content lies where the file was', async () => {
    const where = await place();
    const open = new Database(where.live);
    open.exec(old('wal'));
    const target = await capture(where);
    rmSync(where.live);
    const error = await failure(restore(where, target));
    expect(error.kind).toBe('refused');
    expect(error.hints.join()).toContain(`mv ${where.live}-wal`);
    expect(existsSync(where.live)).toBe(false);
    renameSync(`${where.live}-wal`, `${where.live}-wal.stale`);
    await restore(where, target);
    expect(existsSync(`${where.live}-shm`)).toBe(false);
    expect(tables(where.live)).toEqual(['t400']);
    open.close();
  });

  it('removes empty leftovers, and refuses to replace a file it knows nothing of', async () => {
    const where = await place();
    sql(where.live, old());
    const target = await capture(where);
    rmSync(where.live);
    writeFileSync(`${where.live}-wal`, '');
    writeFileSync(`${where.live}-journal`, Buffer.alloc(512));
    await restore(where, target);
    expect(readdirSync(where.git.path).toSorted()).toEqual(['.git', 'app.db']);
    writeFileSync(where.live, 'damaged');
    const error = await failure(restore(where, target));
    expect(error.kind).toBe('refused');
    expect(readFileSync(where.live, 'utf8')).toBe('damaged');
  });
});

describe('restore changes nothing', () => {
  for (const mode of ['delete', 'wal']) {
    it(`when the database has moved on since the safety copy (${mode})`, async () => {
      const { where, target, now } = await changed({ mode });
      sql(where.live, "INSERT INTO t VALUES (5000, 'committed in between')");
      const error = await failure(restore(where, target, now));
      expect(error.kind).toBe('refused');
      expect(values(where.live, 'SELECT v FROM t WHERE id = 5000')).toEqual(['committed in between']);
      await restore(where, target, await capture(where));
      expect(tables(where.live)).toEqual(['t400']);
    });

    it(`while another keeps the write lock, within the deadline (${mode})`, async () => {
      const { where, target, now } = await changed({ mode, lockTimeout: 400 });
      const child = await inOtherProcess(
        `const db = new Database(args[0]); db.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (7000, 'x')"); console.log('locked'); process.stdin.on('data', () => { db.exec('ROLLBACK'); });`,
        where.live,
      );
      const start = Date.now();
      const error = await failure(restore(where, target, now));
      expect(error.kind).toBe('busy');
      expect(Date.now() - start).toBeLessThan(2500);
      expect(values(where.live, 'SELECT count(*) FROM t')).toEqual([300]);
      setTimeout(() => child.stdin?.write('go'), 150);
      await restore(where, target, now);
      expect(tables(where.live)).toEqual(['t400']);
    });
  }

  it('while a reader in a rollback mode is in its transaction', async () => {
    const { where, target, now } = await changed({ lockTimeout: 300 });
    const child = await inOtherProcess(
      `const db = new Database(args[0]); db.exec('BEGIN'); db.prepare('SELECT * FROM t').all(); console.log('reading'); setInterval(() => {}, 1000)`,
      where.live,
    );
    expect((await failure(restore(where, target, now))).kind).toBe('busy');
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    await restore(where, target, now);
    expect((await capture(where)).sha256).toBe(target.sha256);
  });

  it('when the recorded copy is not what was captured', async () => {
    const { where, target, now } = await changed();
    const error = await failure(restore(where, { ...target, sha256: '0'.repeat(64) }, now));
    expect(error.kind).toBe('integrity');
    expect((await capture(where)).sha256).toBe(now.sha256);
    expect((await failure(restore(where, { ...target, tree: now.tree }, now))).kind).toBe('integrity');
  });

  it('when asked to stop before the copy', async () => {
    const { where, target, now } = await changed();
    const context = { ...where.context(), signal: AbortSignal.abort() };
    await expect(sqliteEngine.restore(context, target, now)).rejects.toThrow(/abort/i);
    expect((await capture(where)).sha256).toBe(now.sha256);
  });

  it('and loses no commit of a writer that never stops', async () => {
    const { where, target } = await changed({ mode: 'wal', lockTimeout: 2000 });
    const script = `const db = new Database(args[0]); db.pragma('busy_timeout = 5000'); db.exec('CREATE TABLE IF NOT EXISTS log(n)'); const add = db.prepare('INSERT INTO log VALUES (?)');
      let n = 0; console.log('go'); const step = () => { try { add.run(n); n++; } catch (e) { console.error(e.code); process.exit(9); } setTimeout(step, 1); }; step();`;
    const child = await inOtherProcess(script, where.live);
    for (let turn = 0; turn < 5; turn++) {
      const now = await capture(where);
      const seen = values(where.live, 'SELECT count(*) FROM log')[0] as number;
      const error = await failure(restore(where, target, now));
      expect(['refused', 'busy']).toContain(error.kind);
      expect(values(where.live, 'SELECT count(*) FROM log')[0]).toBeGreaterThanOrEqual(seen);
    }
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(values(where.live, 'SELECT count(*) - max(n) - 1 FROM log')).toEqual([0]);
  });
});

describe('materialize', () => {
  it('writes <name>.db, and never over a file', async () => {
    const { where, target } = await changed();
    const into = mkdtempSync(path.join(where.git.path, 'out-'));
    const file = await sqliteEngine.materialize(where.context(), target, into);
    expect(file).toBe(path.join(into, 'app.db'));
    expect(tables(file)).toEqual(['t400']);
    writeFileSync(file, 'somebody wrote here');
    expect(await sqliteEngine.materialize(where.context(), target, into)).toBe(path.join(into, 'app-2.db'));
    expect(readFileSync(file, 'utf8')).toBe('somebody wrote here');
  });
});
