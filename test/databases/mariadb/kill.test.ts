import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { bundle, removeBundle } from '../support/child.ts';
import { failure } from '../support/engine.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace, type MariadbPlace } from './support.ts';

/** Of the restoring process and of the server. */
const campaign = process.env['PITR_CAMPAIGN'] === '1';
const kills = campaign ? 30 : 3;

let server: MariadbServer;
let program = '';

beforeAll(async () => {
  if (mariadbMissing !== undefined) return;
  server = await MariadbServer.start();
  program = await bundle(path.join(import.meta.dirname, 'restore-child.ts'));
}, 120_000);

afterAll(() => removeBundle(program));

const rows = { old: 3000, new: 5000 } as const;

/** Every row says which state it belongs to, and so does all else. */
const state = (name: 'old' | 'new') => `
  CREATE TABLE only_${name} (id int PRIMARY KEY);
  CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, state varchar(9) NOT NULL DEFAULT '${name}', filler text, CONSTRAINT right_one CHECK (state = '${name}'));
  INSERT INTO t (id, filler) SELECT seq, MD5(seq) FROM seq_1_to_${rows[name]};
  CREATE TABLE u (id int PRIMARY KEY, CONSTRAINT of_t FOREIGN KEY (id) REFERENCES t (id));
  INSERT INTO u SELECT seq FROM seq_1_to_${rows[name]}_step_3;
  CREATE TABLE fired (id int PRIMARY KEY AUTO_INCREMENT, state varchar(9));
  CREATE TRIGGER same_name AFTER INSERT ON u FOR EACH ROW INSERT INTO fired (state) VALUES ('${name}');
  CREATE TRIGGER unchanged AFTER DELETE ON t FOR EACH ROW SET @gone = OLD.id;
  CREATE VIEW v AS SELECT '${name}' AS state, COUNT(*) AS n FROM t;
  CREATE FUNCTION f() RETURNS varchar(9) DETERMINISTIC RETURN '${name}';
  CREATE VIEW only_view_${name} AS SELECT f() AS f;
  CREATE EVENT e ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01' DO SET @state = '${name}';`;

/** Which state the tables are in; anything in between fails. */
function stateOf(database: string): 'old' | 'new' {
  const found = server.sql(
    database,
    `SELECT GROUP_CONCAT(DISTINCT state), COUNT(*), (SELECT COUNT(*) FROM u),
      (SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('only_old', 'only_new'))
    FROM t`,
  );
  for (const name of ['old', 'new'] as const)
    if (found === `${name}\t${rows[name]}\t${Math.ceil(rows[name] / 3)}\tonly_${name}`) return name;
  throw new Error(`neither the old state nor the new one: ${found}`);
}

/** Restores in another process; `kill` is called when it has begun. Gives what the process said last. */
async function restoreInProcess(
  place: MariadbPlace,
  database: string,
  { target, now }: { target: CapturedDatabase; now: CapturedDatabase },
  kill: (child: ReturnType<typeof spawn>) => Promise<void> = async () => {},
  environment: Record<string, string> = {},
): Promise<string> {
  const { worktree, lineDir } = place.repository;
  const scratchDir = mkdtempSync(path.join(lineDir, 'scratch-'));
  const work = JSON.stringify({ worktree, url: server.url(database), scratchDir, target, now });
  const child = spawn(process.execPath, [program, work], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  await kill(child);
  await ended;
  return said.trim().split('\n').at(-1) ?? '';
}

async function makeStates(database: string) {
  const place = await mariadbPlace(server, database, { lockTimeout: 20_000 });
  const makeAnew = (name: 'old' | 'new') => {
    server.create(database);
    server.sql(database, state(name));
  };
  makeAnew('old');
  const old = await place.capture();
  makeAnew('new');
  return { place, copies: { old, new: await place.capture() } };
}

const other = (name: 'old' | 'new') => (name === 'old' ? 'new' : 'old');

describe.skipIf(mariadbMissing !== undefined)(`MariaDB (${mariadbMissing ?? 'real server'})`, () => {
  for (const victim of ['restoring process', 'server'] as const) {
    it(`a restore whose ${victim} is killed leaves the old state or the new one`, {
      timeout: 900_000,
    }, async () => {
      const database = `killed_${victim.slice(0, 6)}`;
      const { place, copies } = await makeStates(database);
      const began = Date.now();
      expect(await restoreInProcess(place, database, { target: copies.old, now: copies.new })).toBe(
        'restored',
      );
      let duration = Date.now() - began;
      const found = { old: 0, new: 0, ended: 0 };
      let there = stateOf(database);
      expect(there).toBe('old');
      // Those that had ended before they were killed show nothing.
      for (let turn = 0; turn - found.ended < kills && turn < 5 * kills; turn++) {
        const start = Date.now();
        const wanted = other(there);
        const works = { target: copies[wanted], now: copies[there] };
        const said = await restoreInProcess(place, database, works, async (child) => {
          await sleep(Math.random() * duration);
          if (victim === 'server') await server.kill();
          else child.kill('SIGKILL');
        });
        if (victim === 'server') await server.run();
        if (said === 'restored') {
          found.ended++;
          duration = Math.min(duration, Date.now() - start);
        }
        // The tables are one or the other at any time; all else follows with the next command.
        stateOf(database);
        const after = await place.capture();
        const is = stateOf(database);
        expect(after.tree).toBe(copies[is].tree);
        if (said === 'restored') expect(is).toBe(wanted);
        found[is === wanted ? 'new' : 'old']++;
        there = is;
        expect(server.databases().filter((name) => name.startsWith(database))).toEqual([database]);
      }
      console.log(
        `MariaDB, ${victim} killed: ${found.old + found.new - found.ended} tried, 0 lost (${found.old} old, ${found.new - found.ended} new); ${found.ended} had ended before`,
      );
    });
  }

  for (const [point, expected] of [
    ['before-build', 'new'],
    ['after-build', 'new'],
    ['before-swap', 'new'],
    ['after-swap', 'old'],
    ['after-triggers', 'old'],
    ['after-definitions', 'old'],
  ] as const)
    it.runIf(campaign || point.endsWith('-swap'))(
      `killed ${point.replace('-', ' the ')}, a restore is ${expected === 'old' ? 'finished' : 'taken back'} by the next command`,
      async () => {
        const { place, copies } = await makeStates('at_point');
        await restoreInProcess(place, 'at_point', { target: copies.old, now: copies.new }, async () => {}, {
          PITR_CRASH_AT: point,
        });
        expect(stateOf('at_point')).toBe(expected);
        expect((await place.capture()).tree).toBe(copies[expected].tree);
        expect(server.databases().filter((name) => name.startsWith('at_point'))).toEqual(['at_point']);
      },
    );

  it('what cannot be finished after the swap is told, nothing is recorded, and the next command goes on', async () => {
    const { place, copies } = await makeStates('stuck');
    await restoreInProcess(place, 'stuck', { target: copies.old, now: copies.new }, async () => {}, {
      PITR_CRASH_AT: 'after-swap',
    });
    server.sql('stuck', 'RENAME TABLE u TO u_away');
    const error = await failure(place.capture());
    expect(error).toMatchObject({
      kind: 'failed',
      message: expect.stringContaining('are the restored ones'),
    });
    expect(error.hints.join()).toMatch(/DROP DATABASE `stuck_pitr_[0-9a-f]{12}_old`/);
    // What others make meanwhile is in no snapshot, and stays.
    server.sql('stuck', 'RENAME TABLE u_away TO u; CREATE FUNCTION others() RETURNS int RETURN 1');
    await place.capture();
    server.sql('stuck', 'DROP FUNCTION others');
    expect((await place.capture()).tree).toBe(copies.old.tree);
    expect(server.databases().filter((name) => name.startsWith('stuck'))).toEqual(['stuck']);
  });
});
