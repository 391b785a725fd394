/** Reading a live WAL database past SQLite gives, byte for byte, what SQLite's own backup gives. */
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkSize } from '../../../src/databases/chunks.ts';
import { hashView, readView } from '../../../src/databases/fileView.ts';
import { writeImage } from '../../../src/databases/imageWriter.ts';
import { copyLive } from '../../../src/databases/sqlite/copy.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { normaliseHeader } from '../../../src/databases/sqlite/header.ts';
import { openLiveView } from '../../../src/databases/sqlite/liveView.ts';
import { OtherProgram } from '../../support/databases.ts';
import { inOtherProcess } from '../support/child.ts';
import { place, type Place, sql } from '../support/engine.ts';

const runs = process.env['PITR_CAMPAIGN'] === '1' ? 300 : 12;
const deadline = () => ({ at: Date.now() + 20_000 });

/** The image of what SQLite's backup API copies. */
async function byBackup(where: Place): Promise<{ tree: string; sha256: string }> {
  const context = where.context();
  const copy = await copyLive(context, where.live, 'backup.db', deadline());
  normaliseHeader(copy.file, copy.versions);
  const { tree, sha256 } = await writeImage(where.repository, copy.file, undefined);
  return { tree, sha256 };
}

async function isDirect(where: Place): Promise<boolean> {
  const view = await openLiveView(where.context(), where.live, deadline());
  view?.close();
  return view !== undefined;
}

const step = fc.record({
  what: fc.constantFrom(
    'insert',
    'update',
    'delete',
    'passive',
    'truncate',
    'restart',
    'vacuum',
    'read',
    'endRead',
    'index',
  ),
  many: fc.nat(300),
  size: fc.constantFrom(1, 50, 900, 5000),
});

const statements = {
  insert: (many: number, size: number) =>
    `INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ${many}) SELECT randomblob(${size}) FROM n`,
  update: (many: number, size: number) => `UPDATE t SET v = randomblob(${size}) WHERE id % 7 = ${many % 7}`,
  delete: (many: number) => `DELETE FROM t WHERE id % 3 = ${many % 3}`,
  passive: () => 'PRAGMA wal_checkpoint(PASSIVE)',
  truncate: () => 'PRAGMA wal_checkpoint(TRUNCATE)',
  restart: () => 'PRAGMA wal_checkpoint(RESTART)',
  vacuum: () => 'VACUUM',
  read: () => 'SELECT 1',
  endRead: () => 'SELECT 1',
  index: (many: number) =>
    many % 2 === 0 ? 'CREATE INDEX IF NOT EXISTS i ON t(v)' : 'DROP INDEX IF EXISTS i',
};

describe('a live view', () => {
  it(`is what the backup API gives, whatever is in the WAL and however much of it was copied (${runs} runs)`, async () => {
    let direct = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(512, 1024, 4096, 16_384, 65_536),
        fc.array(step, { minLength: 1, maxLength: 10 }),
        async (pageSize, steps) => {
          const where = await place({ lockTimeout: 20_000 });
          // In a process of its own: a database that this one has open is not read directly.
          const writer = new OtherProgram(where.live);
          await writer.exec(
            `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, v)`,
          );
          const reader = new OtherProgram(where.live);
          let reading = false;
          for (const { what, many, size } of steps) {
            if (what === 'read' && !reading) {
              await reader.exec('BEGIN; SELECT count(*) FROM t');
              reading = true;
            } else if (what === 'endRead' && reading) {
              await reader.exec('COMMIT');
              reading = false;
            } else {
              // A reader keeps some checkpoints from finishing: that is what is to be tried.
              await writer.exec(`PRAGMA busy_timeout = 20; ${statements[what](many, size)}`).catch(() => {});
            }
          }
          if (await isDirect(where)) direct++;
          const captured = await sqliteEngine.capture(where.context(), undefined);
          expect({ tree: captured.tree, sha256: captured.sha256 }).toEqual(await byBackup(where));
          await writer.kill();
          await reader.kill();
          // And what a crash leaves in the WAL.
          const after = await sqliteEngine.capture(where.context(), captured);
          expect(after.sha256).toBe(captured.sha256);
        },
      ),
      {
        numRuns: runs,
        ...(process.env['PITR_SEED'] === undefined ? {} : { seed: Number(process.env['PITR_SEED']) }),
      },
    );
    // Else SQLite was compared with itself.
    expect(direct).toBe(runs);
  }, 600_000);

  it('stays of its instant while others commit and copy the WAL back', async () => {
    const where = await place();
    sql(where.live, 'PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
    const other = new OtherProgram(where.live);
    for (const checkpointed of [false, true]) {
      await other.exec(
        `INSERT INTO t(v) SELECT randomblob(900) FROM (VALUES (1), (2), (3)), (VALUES (1), (2), (3)), (VALUES (1), (2), (3))`,
      );
      // With all of the WAL copied back, the view must not read what is written over it then.
      if (checkpointed) await other.exec('PRAGMA wal_checkpoint(PASSIVE)');
      const view = await openLiveView(where.context(), where.live, deadline());
      if (view === undefined) throw new Error('no view');
      const before = readView(view.view, 0, view.view.bytes);
      for (let turn = 0; turn < 5; turn++)
        await other.exec(
          'UPDATE t SET v = randomblob(900); INSERT INTO t(v) VALUES (randomblob(5000)); PRAGMA wal_checkpoint(PASSIVE)',
        );
      expect(readView(view.view, 0, view.view.bytes).equals(before)).toBe(true);
      // What the connection of the view sees, which is not what is committed by now.
      const seen = view.connection.prepare('SELECT count(*) FROM t').pluck().get();
      expect(Number((await other.rows('SELECT count(*) FROM t'))[0]?.[0])).toBe(Number(seen) + 5);
      view.close();
    }
  });

  it('drops no lock that this process holds: there is none of a database that is open here', async () => {
    const where = await place();
    const here = new Database(where.live);
    here.pragma('journal_mode = WAL');
    here.exec('CREATE TABLE t(x)');
    expect(await isDirect(where)).toBe(false);
    here.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (1)');
    await sqliteEngine.capture(where.context(), undefined);
    // Another process still finds it locked.
    const other = await inOtherProcess(
      "const db = new Database(args[0], { timeout: 50 }); let code = 3; try { db.exec('BEGIN IMMEDIATE') } catch (error) { code = error.code === 'SQLITE_BUSY' ? 4 : 5 } process.exit(code)",
      where.live,
    );
    expect(other.exitCode).toBe(4);
    here.exec('COMMIT');
    here.close();
  });

  it('is not used in the rollback modes, where it would keep writers out for long', async () => {
    const where = await place();
    sql(where.live, 'CREATE TABLE t(x)');
    expect(await isDirect(where)).toBe(false);
    expect(existsSync(`${where.live}-wal`)).toBe(false);
  });
});

describe('hashing', () => {
  it('in a thread gives what it gives here, and hears of being stopped', async () => {
    const where = await place();
    sql(where.live, 'CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(60000000))');
    const main = openSync(where.live, 'r');
    const view = {
      bytes: statSync(where.live).size,
      main,
      patches: [{ at: 40, content: Buffer.from('other') }],
    };
    try {
      const whole = await hashView(where.repository, view, chunkSize);
      // In parts that are too small for a thread.
      const width = 20;
      const first = await hashView(where.repository, { ...view, bytes: 20 * chunkSize }, chunkSize);
      expect(whole.oids.subarray(0, 20 * width).equals(first.oids)).toBe(true);
      expect(whole.oids.length).toBe(Math.ceil(view.bytes / chunkSize) * width);
      const stop = new AbortController();
      const stopped = hashView(where.repository, view, chunkSize, stop.signal);
      stop.abort(new Error('enough'));
      await expect(stopped).rejects.toThrow('enough');
      await expect(
        hashView(where.repository, { ...view, bytes: view.bytes + chunkSize }, chunkSize),
      ).rejects.toThrow('shorter than it says');
    } finally {
      closeSync(main);
    }
  });
});
