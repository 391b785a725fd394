import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { addressOf } from '../../../src/databases/mariadb/address.ts';
import { mariadbEngine } from '../../../src/databases/mariadb/engine.ts';
import { clientOptions } from '../../../src/databases/mariadb/optionFiles.ts';
import { requireAtomicRename } from '../../../src/databases/mariadb/restore.ts';
import { readText } from '../../../src/databases/text/reader.ts';
import { writeText } from '../../../src/databases/text/writer.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { failure } from '../support/engine.ts';
import { MariadbProgram } from '../support/mariadbProgram.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace } from './support.ts';

const password = 'pass/W0rd:x';

let server: MariadbServer;

beforeAll(async () => {
  if (mariadbMissing !== undefined) return;
  server = await MariadbServer.start({ tcp: true });
  server.sql('', `CREATE USER tenant@localhost; CREATE USER secretive@'%' IDENTIFIED BY '${password}'`);
}, 120_000);

const simple = `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT seq, 'then' FROM seq_1_to_20;`;

/** A database with a recorded state `then`, and another one now. */
async function twoStates(database: string, options: Parameters<typeof mariadbPlace>[2] = {}) {
  server.create(database);
  server.sql(database, simple);
  const place = await mariadbPlace(server, database, options);
  const old = await place.capture();
  server.sql(database, `UPDATE t SET v = 'now'; INSERT INTO t VALUES (21, 'now')`);
  return { place, old, now: await place.capture(old) };
}

const states = (database: string) => server.sql(database, 'SELECT DISTINCT v FROM t');
const named = (database: string) => server.databases().filter((name) => name.startsWith(database));

/** Sets variables of this process until the test ends. */
function withVariables(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    process.env[name] = value;
    onTestFinished(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

describe.skipIf(mariadbMissing !== undefined)(
  `MariaDB (${mariadbMissing ?? 'real server'})`,
  { timeout: 60_000 },
  () => {
    it('a restore waits for open transactions, then says whose they are and changes nothing', async () => {
      const { place, old, now } = await twoStates('sessions', { lockTimeout: 1000 });
      const program = await MariadbProgram.start(server.socket, 'sessions');
      await program.sql('BEGIN');
      await program.sql('SELECT * FROM t');
      const busy = await failure(mariadbEngine.requireFree(place.context()));
      expect(busy.exitCode).toBe(6);
      expect(busy.message).toContain(
        `"app" is in use by connection ${program.id} (user root, in a transaction`,
      );
      expect(busy.hints.join()).toContain('--disconnect');
      const error = await failure(place.restore(old, now));
      expect(error).toMatchObject({ kind: 'busy', details: { sessions: [{ id: program.id }] } });
      expect(states('sessions')).toBe('now');
      expect(named('sessions')).toEqual(['sessions']);
      await program.sql('COMMIT');
      await mariadbEngine.requireFree(place.context());
    });

    it('a restore goes on as soon as the transaction of another session is over, which then sees the restored rows', async () => {
      const { place, old, now } = await twoStates('patience', { lockTimeout: 30_000 });
      const program = await MariadbProgram.start(server.socket, 'patience');
      await program.sql('BEGIN');
      await program.sql('SELECT * FROM t');
      const restoring = place.restore(old, now);
      await program.sql('SELECT SLEEP(0.3)');
      await program.sql('COMMIT');
      await restoring;
      expect(await program.sql('SELECT DISTINCT v FROM t')).toEqual([['then']]);
      await program.sql(`INSERT INTO t VALUES (99, 'later')`);
      expect(server.sql('patience', 'SELECT COUNT(*) FROM t')).toBe('21');
    });

    it('--disconnect ends other sessions', async () => {
      const { place, old, now } = await twoStates('ended', { lockTimeout: 20_000 });
      const program = await MariadbProgram.start(server.socket, 'ended');
      await program.sql('BEGIN');
      await program.sql(`UPDATE t SET v = 'lost'`);
      await mariadbEngine.requireFree(place.context({ disconnect: true }));
      await place.restore(old, now, { disconnect: true });
      expect(states('ended')).toBe('then');
      await expect(program.sql('SELECT 1')).rejects.toThrow(/closed|lost|kill/i);
    });

    it('a database that changed since it was recorded is not overwritten', async () => {
      const { place, old, now } = await twoStates('moved');
      server.sql('moved', `INSERT INTO t VALUES (99, 'later')`);
      expect((await failure(place.restore(old, now))).kind).toBe('refused');
      expect(server.sql('moved', 'SELECT COUNT(*) FROM t')).toBe('22');
      expect((await failure(place.restore(old))).kind).toBe('refused');
      expect(named('moved')).toEqual(['moved']);
    });

    it('a copy that is not what was recorded, or cannot be loaded, leaves the database alone', async () => {
      const { place, old, now } = await twoStates('wrong');
      expect(await failure(place.restore({ ...old, sha256: '0'.repeat(64) }, now))).toMatchObject({
        exitCode: 7,
      });
      expect(states('wrong')).toBe('now');
      expect(named('wrong')).toEqual(['wrong']);
    });

    it('a copy with statements that git-pitr does not write is refused, and none of them is run', async () => {
      const { place, old, now } = await twoStates('planted');
      const parts = new Map<string, Buffer[]>();
      for await (const { part, content } of readText(place.repository, old.tree))
        parts.set(part, [...(parts.get(part) ?? []), content]);
      for (const [part, statement] of [
        ['sql/3-events', 'SET GLOBAL max_connections = 77'],
        ['sql/2-post-data', 'CREATE USER planted'],
        ['sql/2-post-data', 'INSERT INTO `mysql`.`plugin` VALUES (1, 2)'],
      ] as const) {
        const planted = new Map([...parts, [part, [Buffer.from(`${statement};\n`)]]]);
        const script = [...planted].map(([path, content]) => ({ path, content }));
        const copy = await writeText(
          place.repository,
          script.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
          {
            about: { engine: 'mariadb' },
          },
        );
        const error = await failure(place.restore({ ...old, ...copy }, now));
        expect(error).toMatchObject({ exitCode: 7, message: expect.stringContaining('does not write') });
      }
      expect(server.sql('', 'SELECT @@max_connections')).not.toBe('77');
      expect([states('planted'), named('planted')]).toEqual(['now', ['planted']]);
    });

    it('tables that are locked fail the copy after the deadline, and who uses the database is named', async () => {
      const { place } = await twoStates('locked_up', { lockTimeout: 1000 });
      const program = await MariadbProgram.start(server.socket, 'locked_up');
      await program.sql('LOCK TABLES t WRITE');
      const error = await failure(place.capture());
      expect(error).toMatchObject({
        kind: 'busy',
        message: expect.stringContaining(`connection ${program.id}`),
      });
    });

    it('a copy whose connection ends while rows are read fails at once', async () => {
      server.create('cut_off');
      server.sql(
        'cut_off',
        `CREATE TABLE t (id int PRIMARY KEY, v char(200)); INSERT INTO t SELECT seq, REPEAT('x', 200) FROM seq_1_to_300000`,
      );
      const place = await mariadbPlace(server, 'cut_off', { lockTimeout: 1000 });
      const program = await MariadbProgram.start(server.socket, '');
      const copying = failure(place.capture());
      const reading = `SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT CONCAT(%'`;
      let id: unknown;
      while (id === undefined) id = (await program.sql(reading))[0]?.[0];
      await program.sql(`KILL CONNECTION ${Number(id)}`);
      expect(await copying).toMatchObject({ kind: 'failed' });
    });

    it('a database that is gone is created again as it was', async () => {
      server.create('gone', 'CHARACTER SET latin1 COLLATE latin1_german1_ci');
      server.sql(
        'gone',
        `${simple} CREATE VIEW w AS SELECT COUNT(*) AS n FROM t; CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 'fired'`,
      );
      const place = await mariadbPlace(server, 'gone');
      const then = await place.capture();
      server.sql('', 'DROP DATABASE gone');
      expect(await failure(place.capture(then))).toMatchObject({ details: { missing: true } });
      await place.restore(then);
      expect((await place.capture()).tree).toBe(then.tree);
      expect(named('gone')).toEqual(['gone']);
    });

    it('who may not create databases is told the one right that is missing, and with it the restore works', async () => {
      server.create('shared_1');
      server.sql('', 'GRANT ALL PRIVILEGES ON `shared\\_1`.* TO tenant@localhost');
      server.sql('shared_1', simple, 'tenant');
      const place = await mariadbPlace(server, 'shared_1', { url: server.url('shared_1', 'tenant') });
      const old = await place.capture();
      server.sql('shared_1', `UPDATE t SET v = 'now'`);
      const now = await place.capture(old);
      const error = await failure(place.restore(old, now));
      expect(error.kind).toBe('refused');
      const grant = /GRANT ALL PRIVILEGES ON (`.*`)\.\*/.exec(error.hints.join())?.[0];
      expect(grant).toBe('GRANT ALL PRIVILEGES ON `shared\\_1\\_pitr\\_%`.*');
      expect(states('shared_1')).toBe('now');
      server.sql('', `${grant} TO tenant@localhost`);
      await place.restore(old, now);
      expect(states('shared_1')).toBe('then');
    });

    it('rows of excluded tables are not recorded, and a restore leaves those there are', async () => {
      server.create('partly');
      server.sql(
        'partly',
        `${simple} CREATE TABLE log (id int PRIMARY KEY AUTO_INCREMENT, what text); INSERT INTO log (what) VALUES ('first'); CREATE TABLE audit_1 (x int); INSERT INTO audit_1 VALUES (5)`,
      );
      const place = await mariadbPlace(server, 'partly', { excludeTable: ['log', 'audit_*'] });
      const then = await place.capture();
      expect(then.tables).toEqual({ t: 20 });
      server.sql('partly', `UPDATE t SET v = 'now'; INSERT INTO log (what) SELECT 'later' FROM seq_1_to_9`);
      await place.restore(then, await place.capture(then));
      expect(states('partly')).toBe('then');
      expect(server.sql('partly', 'SELECT COUNT(*), MAX(id) FROM log; SELECT x FROM audit_1')).toBe(
        '10\t10\n5',
      );

      server.sql('partly', `ALTER TABLE audit_1 ADD COLUMN y int; UPDATE t SET v = 'now'`);
      const error = await failure(place.restore(then, await place.capture()));
      expect(error).toMatchObject({ kind: 'refused', message: expect.stringContaining('audit_1') });
      expect([states('partly'), server.sql('partly', 'SELECT x FROM audit_1')]).toEqual(['now', '5']);
    });

    it('a foreign key of another database refuses the restore', async () => {
      const { place, old, now } = await twoStates('led_to');
      server.create('pointing');
      server.sql(
        'pointing',
        'CREATE TABLE c (id int PRIMARY KEY, CONSTRAINT away FOREIGN KEY (id) REFERENCES led_to.t (id))',
      );
      const error = await failure(place.restore(old, now));
      expect(error).toMatchObject({ kind: 'refused', message: expect.stringContaining('pointing.c to t') });
      server.sql('', 'DROP DATABASE pointing');
    });

    it('a view that cannot be used is told, and does not stand in the way', async () => {
      const { place } = await twoStates('broken');
      server.sql(
        'broken',
        'CREATE TABLE base (id int); CREATE VIEW lost AS SELECT id FROM base; DROP TABLE base',
      );
      const then = await place.capture();
      const script = await mariadbEngine.materialize(place.context(), then, scratchFolder());
      expect(readFileSync(script, 'utf8')).toMatch(
        /^-- The view `lost` could not be used when it was recorded: View /m,
      );
      server.sql('broken', `UPDATE t SET v = 'later'`);
      await place.restore(then, await place.capture());
      expect(states('broken')).toBe('now');
    });

    it('rows that are larger than a statement may be come back', async () => {
      server.create('large');
      server.sql(
        'large',
        `CREATE TABLE t (id int PRIMARY KEY, v longtext, raw longblob); INSERT INTO t VALUES (1, REPEAT('ä;\\n', 600000), REPEAT(UNHEX('00FF27'), 200000)), (2, 'small', NULL);
      INSERT INTO t SELECT 3, NULL, REPEAT(UNHEX('0A0D00'), 1000000)`,
      );
      const place = await mariadbPlace(server, 'large');
      const then = await place.capture();
      const sum = () =>
        server.sql('large', 'SELECT id, MD5(v), MD5(raw), LENGTH(v), LENGTH(raw) FROM t ORDER BY id');
      const before = sum();
      server.sql('large', `UPDATE t SET raw = CONCAT(raw, 'x') WHERE id = 3`);
      const now = await place.capture(then);
      const changes = [];
      for await (const change of mariadbEngine.diff?.(place.context(), then, now) ?? []) changes.push(change);
      expect(changes).toMatchObject([{ kind: 'changed', table: 't', key: { id: 3 } }]);
      await place.restore(then, now);
      expect(sum()).toBe(before);
    });
  },
);

describe.skipIf(mariadbMissing !== undefined)(
  `passwords (${mariadbMissing ?? 'real server'})`,
  { timeout: 60_000 },
  () => {
    it('reach no argument, note or message', async () => {
      server.create('secret');
      server.sql(
        '',
        `GRANT ALL PRIVILEGES ON secret.* TO secretive@'%'; GRANT ALL PRIVILEGES ON \`secret\\_pitr\\_%\`.* TO secretive@'%'`,
      );
      server.sql('secret', simple);
      const url = `mysql://secretive:${encodeURIComponent(password)}@127.0.0.1:${server.port}/secret`;
      withVariables({ PITR_TEST_URL: url });
      const place = await mariadbPlace(server, 'secret', { url: 'env:PITR_TEST_URL' });
      // The command lines of all processes, as often as this process gets to look.
      const seen = new Set<string>();
      const look = () => {
        for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
          try {
            seen.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
          } catch {
            // It is gone.
          }
        }
      };
      const looking = setInterval(look, 5);
      onTestFinished(() => clearInterval(looking));
      const copy = await place.capture();
      server.sql('secret', `UPDATE t SET v = 'now'`);
      await place.restore(copy, await place.capture(copy));
      clearInterval(looking);
      expect([...seen].filter((line) => line.includes('fast-import'))).not.toEqual([]);
      const secrets = [password, encodeURIComponent(password)];
      const holds = (text: string) => secrets.filter((secret) => text.includes(secret));
      expect(holds([...seen].join('\n'))).toEqual([]);
      expect(holds(JSON.stringify(copy))).toEqual([]);
      for (const bad of [
        url.replace('/secret', '/nowhere'),
        url.replace('/secret', ''),
        url.replace(`:${server.port}`, ':1'),
        url.replace('secretive:', 'nobody:'),
        url.replace('W0rd', 'W0rd2'),
        url.replace('mysql://', 'mysql:/'),
      ]) {
        process.env['PITR_TEST_URL'] = bad;
        const { message, hints, details } = await failure(place.capture());
        expect(holds(JSON.stringify([message, hints, details]))).toEqual([]);
      }
    });

    it('come from MYSQL_PWD and from option files, too', async () => {
      server.create('filed');
      server.sql('', `GRANT ALL PRIVILEGES ON filed.* TO secretive@'%'`);
      const url = `mariadb://secretive@127.0.0.1:${server.port}/filed`;
      const home = scratchFolder();
      withVariables({ HOME: home });
      expect((await failure((await mariadbPlace(server, 'filed', { url })).capture())).message).toContain(
        'does not let you in',
      );
      withVariables({ MYSQL_PWD: password });
      expect((await (await mariadbPlace(server, 'filed', { url })).capture()).engine).toBe('mariadb');
      withVariables({ MYSQL_PWD: '' });
      writeFileSync(
        path.join(home, '.my.cnf'),
        `[mysqld]\npassword=wrong\n[client]\npassword = "${password}" # it is\n`,
      );
      expect((await (await mariadbPlace(server, 'filed', { url })).capture()).engine).toBe('mariadb');
    });

    it('in the configuration are refused, and not shown', async () => {
      const url = `mysql://me:${encodeURIComponent(password)}@localhost/app`;
      const error = await failure((await mariadbPlace(server, 'app', { url })).capture());
      expect(error).toMatchObject({ kind: 'usage', message: expect.stringContaining('holds a password') });
      expect(JSON.stringify([error.message, error.hints])).not.toContain('W0rd');
    });
  },
);

it('a server that cannot swap tables as a whole is not restored to', () => {
  const refused = (version: string, mariadb: boolean) => {
    try {
      requireAtomicRename('app', { version, mariadb, maxPacket: 0 });
      return false;
    } catch (error) {
      expect(error).toMatchObject({ kind: 'refused' });
      return true;
    }
  };
  expect(
    ['10.5.9', '5.5.68', '10.6.1', '10.11.19', '11.4.2', '12.0.1'].map((one) => refused(one, true)),
  ).toEqual([true, true, false, false, false, false]);
  expect(['5.7.44', '8.0.36', '9.1.0'].map((one) => refused(one, false))).toEqual([true, false, false]);
});

describe('option files and urls', () => {
  it('are read as the client programs read them', () => {
    const folder = scratchFolder();
    writeFileSync(path.join(folder, 'more.cnf'), '[client]\nhost = db.example\nport=3307\n');
    writeFileSync(
      path.join(folder, 'main.cnf'),
      `# comment\n[client]\nuser=ada\npassword='a#b\\sc'\n!include more.cnf\n[mysqldump]\nuser=no\n[client-mariadb]\nssl_ca = /ca.pem # here\n`,
    );
    expect(clientOptions([path.join(folder, 'main.cnf'), path.join(folder, 'none.cnf')])).toEqual({
      user: 'ada',
      password: 'a#b c',
      host: 'db.example',
      port: '3307',
      'ssl-ca': '/ca.pem',
    });
    const read = (url: string) =>
      addressOf({ name: 'app', engine: 'mysql', url, format: 'sql', excludeTable: [] });
    expect(read('mysql://ada@db.example:3308/shop?connection_limit=5')).toMatchObject({
      host: 'db.example',
      port: 3308,
      user: 'ada',
      database: 'shop',
    });
    expect(read('mariadb://ada@localhost/my%20shop?socket=/run/x.sock')).toMatchObject({
      socket: '/run/x.sock',
      database: 'my shop',
    });
    expect(() => read('mysql://ada@db.example')).toThrow('without the name of a database');
  });
});
