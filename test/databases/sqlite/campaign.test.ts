/**
 * Captures beside a writer that never stops, and restores that are killed. A tenth of it in `npm test`; all of it with
 * PITR_CAMPAIGN=1 (`.ci/campaigns`), which prints its numbers. `PITR_SEED=<seed>` plays the same again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { command, pitr } from '../../support/cli.ts';
import { sqlite } from '../../support/databases.ts';
import { cleanEnvironment } from '../../support/environment.ts';
import { scratchRepository } from '../../support/scratch.ts';
import { inOtherProcess } from '../support/child.ts';
import { place, sql, values } from '../support/engine.ts';

const campaign = process.env['PITR_CAMPAIGN'] === '1';
const captures = campaign ? 50 : 5;
const kills = campaign ? 30 : 3;
const seed = Number(process.env['PITR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const timeout = campaign ? 1_200_000 : 300_000;

/** Commits number after number: a row, a sum, and now and then rows that go again. Says each number once it is committed. */
const writer = `
  const db = new Database(args[0], { timeout: 30000 });
  const all = db.transaction((n) => {
    db.prepare('INSERT INTO numbers VALUES (?, randomblob(?))').run(n, n % 3000);
    db.prepare('UPDATE total SET sum = sum + ?, last = ?').run(n, n);
    if (n % 10 === 0) db.prepare("UPDATE numbers SET v = randomblob(50) WHERE n % 10 = 3").run();
    if (n % 50 === 0) { db.exec('DELETE FROM filler WHERE rowid % 2 = 0'); db.exec('INSERT INTO filler SELECT randomblob(700) FROM numbers LIMIT 100'); }
  });
  let n = 0;
  (function step() { all(++n); console.log(n); setImmediate(step); })();`;

async function saidAtLeast(child: ChildProcess, said: { committed: number }, number: number): Promise<void> {
  for (;;) {
    if (said.committed >= number) return;
    await once(child.stdout as NodeJS.ReadableStream, 'data');
  }
}

describe(`a writer that commits all the time (seed ${seed})`, () => {
  for (const mode of ['wal', 'delete']) {
    it(
      `has ${captures} states recorded, each one that was committed, exactly (${mode})`,
      async () => {
        const where = await place({ lockTimeout: 30_000 });
        sql(
          where.live,
          `PRAGMA journal_mode = ${mode}; CREATE TABLE numbers(n INTEGER PRIMARY KEY, v); CREATE TABLE total(sum, last); INSERT INTO total VALUES (0, 0); CREATE TABLE filler(x);`,
        );
        const child = await inOtherProcess(writer, where.live);
        const said = { committed: 0 };
        createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
          said.committed = Number(line);
        });
        let previous: CapturedDatabase | undefined;
        let between = 0;
        for (let turn = 0; turn < captures; turn++) {
          const before = said.committed;
          const copy = await sqliteEngine.capture(where.context(), previous);
          // A commit says its number a moment after it is one.
          const file = await sqliteEngine.materialize(where.context(), copy, where.context().scratchDir);
          const [last] = values(file, 'SELECT last FROM total') as [number];
          expect(values(file, 'PRAGMA integrity_check')).toEqual(['ok']);
          expect(values(file, 'SELECT count(*) FROM numbers')).toEqual([last]);
          expect(values(file, 'SELECT coalesce(max(n), 0) FROM numbers')).toEqual([last]);
          expect(values(file, 'SELECT sum FROM total')).toEqual([(last * (last + 1)) / 2]);
          expect(last).toBeGreaterThanOrEqual(before);
          await saidAtLeast(child, said, last);
          if (last > before) between++;
          rmSync(file);
          previous = copy;
        }
        child.kill('SIGKILL');
        if (campaign)
          console.log(
            `${mode}: ${captures} captures, ${said.committed} commits, ${between} captures with commits meanwhile`,
          );
        // Else nobody wrote while copies were made.
        expect(between).toBeGreaterThan(0);
      },
      timeout,
    );
  }
});

describe('a restore that is killed', () => {
  it(
    `leaves the old rows or the new ones, and says which it makes of them (${kills} times, seed ${seed})`,
    async () => {
      const repository = scratchRepository({ files: { '.gitignore': '*.db*\n' } });
      const file = repository.resolve('app.db');
      const rows = (state: string) =>
        `DELETE FROM a; DELETE FROM b; INSERT INTO a(state, v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) SELECT '${state}', randomblob(900) FROM n; INSERT INTO b VALUES ('${state}');`;
      sqlite(
        file,
        `PRAGMA journal_mode = WAL; CREATE TABLE a(id INTEGER PRIMARY KEY, state, v); CREATE TABLE b(state); ${rows('old')}`,
      );
      repository.git('config', 'pitr.database.app.path', 'app.db');
      const taken = () =>
        pitr(repository.path, ['snapshot', '--json']).json<{ snapshot: { id: string } }>().snapshot.id;
      const ids: Record<string, string> = { old: taken() };
      sqlite(file, rows('new'));
      ids['new'] = taken();
      const state = (table: string) => sqlite(file, `SELECT group_concat(DISTINCT state) FROM ${table}`);
      const [random] = fc.sample(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: kills, maxLength: kills }),
        { numRuns: 1, seed },
      ) as [number[]];
      let interrupted = 0;
      let longest = 900;
      for (const [turn, share] of random.entries()) {
        const there = state('a');
        const wanted = there === 'old' ? 'new' : 'old';
        const part = turn % 3 === 2 ? 'app.a' : 'app';
        const others = state('b');
        const child = spawn(
          process.execPath,
          [command, 'restore', '--snapshot', ids[wanted] as string, '--db', part],
          {
            cwd: repository.path,
            env: cleanEnvironment(),
            stdio: 'ignore',
          },
        );
        const start = Date.now();
        const ended = once(child, 'exit') as Promise<[number | null]>;
        await Promise.race([sleep(150 + share * longest), ended]);
        child.kill('SIGKILL');
        const [code] = await ended;
        if (code === 0) longest = Math.max(300, Date.now() - start - 200);
        expect(sqlite(file, 'PRAGMA integrity_check')).toBe('ok');
        expect([there, wanted]).toContain(state('a'));
        expect(sqlite(file, 'SELECT count(*) FROM a')).toBe('6000');
        if (part === 'app') expect(state('b')).toBe(state('a'));
        else expect(state('b')).toBe(others);
        const next = pitr(repository.path, ['snapshot', '--allow-empty'], { expectCode: 'any' });
        if (next.code === 0) continue;
        interrupted++;
        expect(next.code).toBe(8);
        const finish = turn % 2 === 0;
        const said = pitr(repository.path, ['restore', finish ? '--continue' : '--abort']).stdout;
        expect(said).toContain(finish ? 'is complete' : 'as it was before');
        expect(state('a')).toBe(finish ? wanted : there);
        expect(state('b')).toBe(part === 'app' ? state('a') : others);
      }
      if (campaign) console.log(`${kills} kills, ${interrupted} of them in the middle of a restore`);
      expect(sqlite(file, 'PRAGMA integrity_check')).toBe('ok');
    },
    timeout,
  );
});
