import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { bundle, removeBundle } from '../support/child.ts';
import { PostgresServer, postgresMissing } from '../support/servers.ts';
import { postgresPlace, type PostgresPlace } from './support.ts';

/** Of the restoring process and of the server, for each way to restore. */
const kills = process.env['PITR_CAMPAIGN'] === '1' ? 30 : 3;

let server: PostgresServer;
let program = '';

beforeAll(async () => {
  if (postgresMissing !== undefined) return;
  server = await PostgresServer.start();
  server.sql('postgres', 'CREATE ROLE plain LOGIN');
  program = await bundle(path.join(import.meta.dirname, 'restore-child.ts'));
});

afterAll(() => removeBundle(program));

/** Every row says which state it belongs to, and so does the schema. */
const state = (name: string, rows: number) => `
  CREATE TABLE IF NOT EXISTS only_${name} (id int);
  CREATE TABLE t (id int PRIMARY KEY, state text NOT NULL DEFAULT '${name}', filler text, CHECK (state = '${name}'));
  CREATE INDEX ON t (filler);
  INSERT INTO t SELECT i, '${name}', md5(i::text) FROM generate_series(1, ${rows}) i;
  CREATE TABLE u (id int PRIMARY KEY REFERENCES t);
  INSERT INTO u SELECT i FROM generate_series(1, ${rows}, 3) i;`;

const rows = { old: 6000, new: 9000 } as const;

/** Which state there is; anything in between fails. */
function stateOf(database: string): 'old' | 'new' {
  const found = server.sql(
    database,
    `SELECT string_agg(DISTINCT state, ','), count(*), (SELECT count(*) FROM u),
      (SELECT string_agg(relname, ',') FROM pg_class WHERE relname LIKE 'only_%') FROM t`,
  );
  for (const name of ['old', 'new'] as const)
    if (found === `${name}|${rows[name]}|${Math.ceil(rows[name] / 3)}|only_${name}`) return name;
  throw new Error(`neither the old state nor the new one: ${found}`);
}

/** Restores in another process; `kill` is called when it has begun. Gives what the process said last. */
async function restoreInProcess(
  place: PostgresPlace,
  database: string,
  target: CapturedDatabase,
  now: CapturedDatabase,
  user: string,
  kill?: (child: ReturnType<typeof spawn>) => Promise<void>,
): Promise<string> {
  const { worktree, lineDir } = place.repository;
  const scratchDir = mkdtempSync(path.join(lineDir, 'scratch-'));
  const work = JSON.stringify({ worktree, url: server.url(database, user), scratchDir, target, now });
  const child = spawn(process.execPath, [program, work], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  await kill?.(child);
  await ended;
  return said.trim().split('\n').at(-1) ?? '';
}

async function makeStates(database: string, user: string) {
  server.create(database, `OWNER ${user}`);
  const place = await postgresPlace(server, database, { url: server.url(database, user) });
  const makeAnew = (name: 'old' | 'new') =>
    server.sql(
      database,
      `DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${state(name, rows[name])}`,
      user,
    );
  makeAnew('old');
  const old = await place.capture();
  makeAnew('new');
  return { place, copies: { old, new: await place.capture(old) } };
}

describe.skipIf(postgresMissing !== undefined)(`PostgreSQL (${postgresMissing ?? 'real server'})`, () => {
  for (const [way, user] of [
    ['built beside it', 'postgres'],
    ['in one transaction', 'plain'],
  ] as const) {
    for (const victim of ['restoring process', 'server'] as const) {
      it(`a restore (${way}) whose ${victim} is killed leaves the old state or the new one`, {
        timeout: 600_000,
      }, async () => {
        const database = `${user}_${victim.slice(0, 6)}`;
        const { place, copies } = await makeStates(database, user);
        const began = Date.now();
        expect(await restoreInProcess(place, database, copies.old, copies.new, user)).toBe('restored');
        const duration = Date.now() - began;
        const found = { old: 0, new: 0, ended: 0 };
        let there = stateOf(database);
        expect(there).toBe('old');
        for (let turn = 0; turn < kills; turn++) {
          const wanted = there === 'old' ? 'new' : 'old';
          const now = await place.capture(copies[there]);
          expect(now.tree).toBe(copies[there].tree);
          const said = await restoreInProcess(place, database, copies[wanted], now, user, async (child) => {
            await sleep(Math.random() * duration);
            if (victim === 'server') await server.kill();
            else child.kill('SIGKILL');
          });
          if (victim === 'server') await server.run();
          if (said === 'restored') found.ended++;
          const is = stateOf(database);
          if (said === 'restored') expect(is).toBe(wanted);
          found[is === wanted ? 'new' : 'old']++;
          there = is;
        }
        // What the kills left behind goes with the next restore.
        const wanted = there === 'old' ? 'new' : 'old';
        const last = await restoreInProcess(place, database, copies[wanted], await place.capture(), user);
        expect(last).toBe('restored');
        expect(stateOf(database)).toBe(wanted);
        expect(server.databases().filter((name) => name.startsWith(database))).toEqual([database]);
        console.log(
          `PostgreSQL, ${way}, ${victim} killed: ${kills} tried, 0 lost (${found.old} old, ${found.new} new, ${found.ended} had ended)`,
        );
      });
    }
  }
});
