import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { command, pitr } from '../../support/cli.ts';
import { cleanEnvironment } from '../../support/environment.ts';
import { scratchFolder, scratchRepository } from '../../support/scratch.ts';
import { MariadbProgram } from '../support/mariadbProgram.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';

/** Each step and each way out; else one of each. */
const campaign = process.env['PITR_CAMPAIGN'] === '1';

let server: MariadbServer;

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start();
}, 120_000);

interface Shown {
  snapshot: { id: string; databases: { name: string; engine: string; version: string; tables: object }[] };
}

/** A repository with the database registered, and a first snapshot of both. */
function project(database: string) {
  server.create(database);
  server.sql(
    database,
    `CREATE TABLE orders (id int PRIMARY KEY, state text); INSERT INTO orders SELECT seq, 'then' FROM seq_1_to_500`,
  );
  const repository = scratchRepository({ files: { 'a.txt': 'then\n' }, commit: true });
  repository.git('config', 'pitr.database.shop.url', server.url(database));
  repository.git('config', 'pitr.lockTimeout', '5s');
  const { snapshot } = pitr(repository.path, ['snapshot', '--json']).json<Shown>();
  const change = () => {
    server.sql(database, `UPDATE orders SET state = 'now'; CREATE TABLE later (id int)`);
    repository.write('a.txt', 'now\n');
  };
  const state = () => {
    const rows = server.sql(database, `SELECT DISTINCT state FROM orders; SHOW TABLES LIKE 'later'`);
    return `${rows.replace('\n', '+')} ${repository.read('a.txt').trim()}`;
  };
  return { repository, snapshot, change, state };
}

const ours = (database: string) => server.databases().filter((name) => name.startsWith(database));

describe.skipIf(mariadbMissing !== undefined)(
  `git pitr with MariaDB (${mariadbMissing ?? 'real server'})`,
  () => {
    it('records, compares, restores and undoes files and database together', () => {
      const { repository, snapshot, change, state } = project('whole');
      expect(snapshot.databases).toMatchObject([
        {
          name: 'shop',
          engine: 'mariadb',
          version: expect.stringMatching(/^\d/),
          tables: { orders: 500 },
        },
      ]);
      expect(pitr(repository.path, ['snapshot']).stdout).toContain('Nothing changed');
      change();
      const shown = pitr(repository.path, ['diff', '--db', 'shop.orders', '--stat']).stdout;
      expect(shown).toContain('0 removed, 500 changed');
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--all', '--force']);
      expect(state()).toBe('then then');
      expect(pitr(repository.path, ['diff', snapshot.id, '--db', 'shop']).stdout).not.toContain('changed');
      // Nobody changed anything since: so undo asks nothing.
      pitr(repository.path, ['undo']);
      expect(state()).toBe('now+later now');
      pitr(repository.path, ['undo']);
      expect(state()).toBe('then then');
      const into = path.join(scratchFolder(), 'copy');
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--db', 'shop', '--into', into]);
      expect(readFileSync(path.join(into, 'shop.sql'), 'utf8')).toContain(
        "INSERT INTO `orders` (`id`,`state`) VALUES\n(1,'then'),\n",
      );
    });

    it.runIf(campaign)('restores one table, and tells the history of a row', () => {
      const { repository, snapshot, change, state } = project('single');
      change();
      pitr(repository.path, ['snapshot']);
      const history = pitr(repository.path, ['history', '--db', 'shop.orders', '--key', '42']).stdout;
      expect(history).toContain('then');
      expect(history).toContain('now');
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--db', 'shop.orders', '--force']);
      expect(state()).toBe('then+later now');
      pitr(repository.path, ['undo', '--force']);
      expect(state()).toBe('now+later now');
    });

    it.runIf(campaign)(
      'ends with 6 when another session holds a table, naming it; --disconnect ends that session',
      async () => {
        const { repository, snapshot, change, state } = project('waiting');
        change();
        repository.git('config', 'pitr.lockTimeout', '300ms');
        const program = await MariadbProgram.start(server.socket, 'waiting');
        await program.sql('BEGIN');
        await program.sql('SELECT * FROM orders');
        const restore = ['restore', '--snapshot', snapshot.id, '--all', '--force'];
        const { stderr } = pitr(repository.path, restore, { expectCode: 6 });
        expect(stderr).toContain(`connection ${program.id}`);
        expect(stderr).toContain('--disconnect');
        expect(state()).toBe('now+later now');
        repository.git('config', 'pitr.lockTimeout', '5s');
        pitr(repository.path, [...restore, '--disconnect']);
        expect(state()).toBe('then then');
      },
    );

    it('records the rest, says so, and ends with 3 when the server is not there', () => {
      const { repository } = project('absent');
      repository.git('config', 'pitr.database.shop.url', 'mysql://ada@127.0.0.1:1/shop');
      repository.write('a.txt', 'more\n');
      const { stdout, stderr } = pitr(repository.path, ['snapshot'], { expectCode: 3 });
      expect(stdout + stderr).toMatch(/"shop" .*cannot be reached/);
    });

    const ways = [
      ['--abort', 'now+later now'],
      ['--continue', 'then then'],
    ] as const;
    for (const [step, after, usual] of [
      ['before-build', 'now+later', undefined],
      ['after-build', 'now+later', '--continue'],
      ['before-swap', 'now+later', undefined],
      ['after-swap', 'then', '--abort'],
      ['after-definitions', 'then', undefined],
    ] as const) {
      const tried = ways.filter(([how]) => campaign || how === usual);
      it.runIf(tried.length > 0)(
        `killed at ${step}: the next command says so, and --abort or --continue ends it`,
        () => {
          for (const [how, then] of tried) {
            const database = `${step}${how}`.replaceAll('-', '_');
            const { repository, snapshot, change, state } = project(database);
            change();
            const args = [command, 'restore', '--snapshot', snapshot.id, '--all', '--force'];
            const env = cleanEnvironment({ PITR_CRASH_AT: step });
            expect(spawnSync(process.execPath, args, { cwd: repository.path, env }).signal).toBe('SIGKILL');
            expect(state()).toBe(`${after} then`);
            expect(pitr(repository.path, ['snapshot'], { expectCode: 8 }).stderr).toContain(
              'was interrupted',
            );
            pitr(repository.path, ['restore', how]);
            expect(state()).toBe(then);
            expect(ours(database)).toEqual([database]);
          }
        },
      );
    }
  },
);
