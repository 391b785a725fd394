import { closeSync, openSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import type { CapturedDatabase, EngineContext } from '../../../src/databases/engine.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { nextMark, sameMark, Watch } from '../../../src/databases/sqlite/watch.ts';
import { failure, place, sql, values } from '../support/engine.ts';

async function scene(mode: string) {
  const where = await place();
  sql(where.live, `PRAGMA journal_mode = ${mode}; CREATE TABLE t(v); INSERT INTO t VALUES ('old')`);
  const target = await sqliteEngine.capture(where.context(), undefined);
  sql(where.live, "UPDATE t SET v = 'now'");
  const now = await sqliteEngine.capture(where.context(), target);
  return { where, target, now };
}

/** `now`, doing something right after it was found equal to the live database: its tree is asked for then. */
function whenChecked(now: CapturedDatabase, act: () => void): CapturedDatabase {
  let done = false;
  return {
    ...now,
    get tree() {
      if (!done) act();
      done = true;
      return now.tree;
    },
  };
}

/** A context, doing something when the live database is about to be read back after the copy. */
function beforeReadBack(context: EngineContext, act: () => void): EngineContext {
  const { scratchDir } = context;
  let asked = 0;
  return {
    ...context,
    get scratchDir() {
      // target.db, now.db, after.db
      if (++asked === 3) act();
      return scratchDir;
    },
  };
}

function spoil(file: string): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.from('spoiled'), 0, 7, 8000);
  closeSync(handle);
}

for (const mode of ['delete', 'wal']) {
  describe(`overwriting a ${mode} database`, () => {
    it('sees a commit between the comparison and the lock', async () => {
      const { where, target, now } = await scene(mode);
      const racing = whenChecked(now, () => sql(where.live, "INSERT INTO t VALUES ('in between')"));
      const error = await failure(sqliteEngine.restore(where.context(), target, racing));
      expect(error.kind).toBe('refused');
      expect(values(where.live, 'SELECT v FROM t')).toEqual(['now', 'in between']);
    });

    it('looks again when only the bookkeeping moved', async () => {
      const { where, target, now } = await scene(mode);
      const racing = whenChecked(now, () =>
        sql(
          where.live,
          mode === 'wal' ? 'PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET v = v' : 'UPDATE t SET v = v',
        ),
      );
      await sqliteEngine.restore(where.context(), target, racing);
      expect(values(where.live, 'SELECT v FROM t')).toEqual(['old']);
    });

    it('puts the old state back when what it reads is not what it wrote', async () => {
      const { where, target, now } = await scene(mode);
      const context = where.context();
      const error = await failure(
        sqliteEngine.restore(
          beforeReadBack(context, () => spoil(`${context.scratchDir}/target.db`)),
          target,
          now,
        ),
      );
      expect(error.kind).toBe('integrity');
      expect(error.message).toContain('back in the state from before');
      expect((await sqliteEngine.capture(where.context(), undefined)).sha256).toBe(now.sha256);
    });

    it('keeps a commit that somebody made right after the copy', async () => {
      const { where, target, now } = await scene(mode);
      await sqliteEngine.restore(
        beforeReadBack(where.context(), () => sql(where.live, "INSERT INTO t VALUES ('after')")),
        target,
        now,
      );
      expect(values(where.live, 'SELECT v FROM t')).toEqual(['old', 'after']);
    });

    it('marks commits: none, one, several', async () => {
      const { where } = await scene(mode);
      const watch = await Watch.open(where.live);
      const other = new Database(where.live);
      const first = watch.mark();
      other.prepare('SELECT * FROM t').all();
      expect(sameMark(first, watch.mark())).toBe(true);
      expect(nextMark(first, watch.mark())).toBe(false);
      other.exec('INSERT INTO t VALUES (1)');
      const second = watch.mark();
      expect([sameMark(first, second), nextMark(first, second)]).toEqual([false, true]);
      other.exec('INSERT INTO t VALUES (2)');
      const third = watch.mark();
      expect([sameMark(second, third), nextMark(second, third), nextMark(first, third)]).toEqual([
        false,
        true,
        false,
      ]);
      other.close();
      watch.close();
    });
  });
}
