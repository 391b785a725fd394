import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { bundle, removeBundle } from '../support/child.ts';
import { place, type Place, sql, values } from '../support/engine.ts';

const killsACase = process.env['PITR_CAMPAIGN'] === '1' ? 30 : 4;
let program = '';

beforeAll(async () => {
  program = await bundle(path.join(import.meta.dirname, '../support/restore-child.ts'));
});

afterAll(() => removeBundle(program));

/** Every row says which state it belongs to; the two states have other pages throughout. */
const state = (
  name: string,
  rows: number,
  mode: string,
  size: number,
) => `PRAGMA page_size = ${size}; PRAGMA journal_mode = ${mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, state TEXT, v BLOB);
  INSERT INTO t(state, v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT '${name}', randomblob(900) FROM n;`;

/** Starts a restore in a process; `killer` resolves when it is to be killed. */
async function restoreInProcess(
  where: Place,
  target: CapturedDatabase,
  now: CapturedDatabase,
  killer?: () => Promise<unknown>,
): Promise<void> {
  const scratchDir = mkdtempSync(path.join(where.repository.lineDir, 'scratch-'));
  const work = JSON.stringify({
    worktree: where.repository.worktree,
    live: where.live,
    scratchDir,
    target,
    now,
  });
  const child = spawn(process.execPath, [program, work], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  await once(child.stdout, 'data');
  if (killer !== undefined) {
    await Promise.race([killer(), ended]);
    child.kill('SIGKILL');
  }
  const [code] = await ended;
  if (code !== null) expect(code).toBe(0);
  rmSync(scratchDir, { recursive: true, force: true });
}

/** Bytes that SQLite has not made final: those of a rollback journal or of a WAL. */
function unfinished(live: string): number {
  const sizes = ['-journal', '-wal'].map(
    (suffix) => statSync(live + suffix, { throwIfNoEntry: false })?.size ?? 0,
  );
  return Math.max(...sizes);
}

/** Waits until the copy into the live file has begun, and a moment more: it takes some 20 ms. */
async function whileWriting(live: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (unfinished(live) === 0 && Date.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
  await sleep(Math.random() * 15);
}

describe('a restore killed at any moment', () => {
  for (const [mode, oldSize, newSize] of [
    ['delete', 4096, 4096],
    ['wal', 4096, 4096],
    ['wal', 1024, 8192],
    ['delete', 8192, 1024],
  ] as const) {
    it(`leaves the old state or the new one (${mode}, pages of ${oldSize} and ${newSize})`, async () => {
      const where = await place({ lockTimeout: 5000 });
      const capture = () => sqliteEngine.capture(where.context(), undefined);
      sql(where.live, state('old', 9000, mode, oldSize));
      const old = await capture();
      rmSync(where.live);
      sql(where.live, state('new', 7000, mode, newSize));
      let now = await capture();
      const images: Record<string, CapturedDatabase> = { old, new: now };
      let there = 'new';
      let hot = 0;

      for (let kill = 0; kill < killsACase; kill++) {
        now = await capture();
        const wanted = there === 'old' ? 'new' : 'old';
        // Two at any moment, the others while the live file is written.
        const killer = () => (kill < 2 ? sleep(Math.random() * 250) : whileWriting(where.live));
        await restoreInProcess(where, images[wanted] as CapturedDatabase, now, killer);
        if (unfinished(where.live) > 0) hot++;
        expect(values(where.live, 'PRAGMA integrity_check')).toEqual(['ok']);
        const states = values(where.live, 'SELECT DISTINCT state FROM t');
        expect(states).toHaveLength(1);
        there = String(states[0]);
        expect(values(where.live, 'SELECT count(*) FROM t')).toEqual([there === 'old' ? 9000 : 7000]);
      }
      // And what a kill left is no obstacle to the next restore.
      const wanted = there === 'old' ? 'new' : 'old';
      await restoreInProcess(where, images[wanted] as CapturedDatabase, await capture());
      expect(values(where.live, 'SELECT DISTINCT state FROM t')).toEqual([wanted]);
      // Else the kills came too early or too late to show anything.
      expect(hot).toBeGreaterThan(0);
    });
  }
});
