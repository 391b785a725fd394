import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { addressOf } from '../../../src/databases/postgres/address.ts';
import { postgresEngine } from '../../../src/databases/postgres/engine.ts';
import { findTools } from '../../../src/databases/postgres/tools.ts';
import { hasPassword } from '../../../src/databases/secrets.ts';
import { thisProcess } from '../../../src/system/processes.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { failure } from '../support/engine.ts';
import { PgProgram } from '../support/pg-program.ts';
import { PostgresServer, postgresMissing } from '../support/servers.ts';
import { postgresPlace } from './support.ts';

let server: PostgresServer;

beforeAll(async () => {
  if (postgresMissing !== undefined) return;
  server = await PostgresServer.start({ tcp: true });
  server.sql('postgres', `CREATE ROLE reader LOGIN; CREATE ROLE secretive LOGIN PASSWORD 'pass/W0rd:x'`);
});

const simple = `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'then' FROM generate_series(1, 20) i;`;

/** A database with a recorded state `then`, and another one now. */
async function twoStates(database: string, options: Parameters<typeof postgresPlace>[2] = {}) {
  server.create(database);
  server.sql(database, simple);
  const place = await postgresPlace(server, database, options);
  const old = await place.capture();
  server.sql(database, `UPDATE t SET v = 'now'; INSERT INTO t VALUES (21, 'now')`);
  return { place, old, now: await place.capture(old) };
}

const states = (database: string) => server.sql(database, 'SELECT DISTINCT v FROM t');

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

describe.skipIf(postgresMissing !== undefined)(`PostgreSQL (${postgresMissing ?? 'real server'})`, () => {
  it('a restore waits for other sessions, then says who they are and changes nothing', async () => {
    const { place, old, now } = await twoStates('sessions', { lockTimeout: 400 });
    await PgProgram.start({ host: server.folder, port: server.port, database: 'sessions' }, 'web shop');
    const busy = await failure(postgresEngine.requireFree(place.context()));
    expect(busy.exitCode).toBe(6);
    expect(busy.message).toMatch(/"app" is in use by web shop \(pid \d+, user postgres\)/);
    expect(busy.hints.join()).toContain('--disconnect');
    const error = await failure(place.restore(old, now));
    expect(error).toMatchObject({ kind: 'busy', details: { sessions: [{ application: 'web shop' }] } });
    expect(states('sessions')).toBe('now');
    expect(server.databases().filter((name) => name.startsWith('sessions'))).toEqual(['sessions']);
  });

  it('what a killed restore had asked of the server is ended before its databases are dropped', async () => {
    const { place, old, now } = await twoStates('orphaned');
    const dead = spawn('true');
    await once(dead, 'exit');
    const [session, name] = ['git-pitr 0123456789ab', 'orphaned_pitr_0123456789ab'];
    // The server goes on with what the dead process had asked for; here until the database is made.
    const address = { host: server.folder, port: server.port, database: 'postgres' };
    const program = await PgProgram.start(address, session);
    const making = program.exec(`SELECT pg_sleep(600)`).catch(() => 'ended');
    server.create(name);
    const made = { ...thisProcess(), pid: dead.pid, started: '1', name, session };
    const record = path.join(place.repository.lineDir, 'postgres-app-made.json');
    mkdirSync(place.repository.lineDir, { recursive: true });
    writeFileSync(record, JSON.stringify({ databases: [made] }));
    await place.restore(old, now);
    expect(await making).toBe('ended');
    expect(server.databases().filter((database) => database.startsWith('orphaned'))).toEqual(['orphaned']);
    expect(existsSync(record)).toBe(false);
  });

  it('a restore goes on as soon as the other session is gone', async () => {
    const { place, old, now } = await twoStates('patience', { lockTimeout: 20_000 });
    const program = await PgProgram.start({ host: server.folder, port: server.port, database: 'patience' });
    const restoring = place.restore(old, now);
    await program.end();
    await restoring;
    expect(states('patience')).toBe('then');
  });

  it('--disconnect ends other sessions, and who connects anew sees the restored rows', async () => {
    const { place, old, now } = await twoStates('ended', { lockTimeout: 10_000 });
    const program = await PgProgram.start({ host: server.folder, port: server.port, database: 'ended' });
    await program.exec('BEGIN');
    await program.exec(`UPDATE t SET v = 'lost'`);
    await postgresEngine.requireFree(place.context({ disconnect: true }));
    await place.restore(old, now, { disconnect: true });
    expect(states('ended')).toBe('then');
    await expect(program.rows('SELECT 1')).rejects.toThrow(/terminat|not queryable|connection/i);
  });

  it('a database that changed since it was recorded is not overwritten', async () => {
    const { place, old, now } = await twoStates('moved');
    server.sql('moved', `INSERT INTO t VALUES (99, 'later')`);
    expect((await failure(place.restore(old, now))).kind).toBe('refused');
    expect(server.sql('moved', 'SELECT count(*) FROM t')).toBe('22');
    expect((await failure(place.restore(old))).kind).toBe('refused');
    expect(server.databases().filter((name) => name.startsWith('moved'))).toEqual(['moved']);
  });

  it('a copy that is not what was recorded, or cannot be loaded, leaves the database alone', async () => {
    const { place, old, now } = await twoStates('wrong');
    const other = { ...old, sha256: '0'.repeat(64) };
    expect(await failure(place.restore(other, now))).toMatchObject({ exitCode: 7 });

    server.sql('wrong', 'CREATE ROLE passing; ALTER TABLE t OWNER TO passing');
    const owned = await place.capture();
    server.sql('wrong', 'ALTER TABLE t OWNER TO postgres; DROP ROLE passing');
    const error = await failure(place.restore(owned, await place.capture()));
    expect(error.message).toMatch(/role "passing" does not exist/);
    expect(error.hints.join()).toContain('roles are not part of a database');
    expect(states('wrong')).toBe('now');
    expect(server.databases().filter((name) => name.startsWith('wrong'))).toEqual(['wrong']);
  });

  it('a database that is gone is created again as it was', async () => {
    server.create('gone', `ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`);
    server.sql('gone', `CREATE TABLE t (v text); INSERT INTO t VALUES ('Größe')`);
    const place = await postgresPlace(server, 'gone');
    const then = await place.capture();
    server.sql('postgres', 'DROP DATABASE gone');
    expect(await failure(place.capture(then))).toMatchObject({ details: { missing: true } });
    await place.restore(then);
    expect(server.sql('gone', `SELECT v, current_setting('server_encoding') FROM t`)).toBe('Größe|LATIN1');
    expect((await place.capture()).tree).toBe(then.tree);
  });

  it('bytes that are no UTF-8 come back in a database without an encoding', async () => {
    server.create('raw', `ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`);
    const bytes = `convert_from('\\xff00fe'::bytea, 'SQL_ASCII')`.replace('00', '41');
    server.sql('raw', `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, ${bytes})`);
    const place = await postgresPlace(server, 'raw');
    const then = await place.capture();
    server.sql('raw', 'DELETE FROM t');
    await place.restore(then, await place.capture(then));
    expect(server.sql('raw', `SELECT v::bytea FROM t`)).toBe('\\xff41fe');
  });

  it('rows that row security hides, or that may not be read, fail the copy and are named', async () => {
    server.create('hidden');
    server.sql(
      'hidden',
      `${simple} GRANT SELECT ON t TO reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id < 3)`,
    );
    const place = await postgresPlace(server, 'hidden', { url: server.url('hidden', 'reader') });
    expect((await failure(place.capture())).message).toContain('row-level security policy');
    server.sql('hidden', 'ALTER TABLE t DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON t FROM reader');
    const error = await failure(place.capture());
    expect(error.message).toContain('permission denied for table t');
    expect(error.hints.join()).toContain('pg_read_all_data');
  });

  it('rows of excluded tables are not recorded, and a restore leaves those there are', async () => {
    server.create('partly');
    server.sql(
      'partly',
      `${simple} CREATE TABLE log (id serial PRIMARY KEY, t int REFERENCES t, what text); INSERT INTO log (t, what) VALUES (1, 'first'); CREATE TABLE audit_1 (x int); INSERT INTO audit_1 VALUES (5)`,
    );
    const place = await postgresPlace(server, 'partly', { excludeTable: ['log', 'public.audit_*'] });
    const then = await place.capture();
    expect(then.tables).toEqual({ 'public.t': 20 });
    server.sql(
      'partly',
      `UPDATE t SET v = 'now'; INSERT INTO log (t, what) SELECT 2, 'later' FROM generate_series(1, 9)`,
    );
    const now = await place.capture(then);
    await place.restore(then, now);
    expect(states('partly')).toBe('then');
    expect(server.sql('partly', 'SELECT count(*), max(id) FROM log; SELECT x FROM audit_1')).toBe('10|10\n5');
    server.sql('partly', `INSERT INTO log (t, what) VALUES (3, 'no clash')`);

    server.sql('partly', 'ALTER TABLE audit_1 ADD COLUMN y int; UPDATE audit_1 SET y = 1');
    const error = await failure(place.restore(then, await place.capture()));
    expect(error).toMatchObject({ kind: 'refused', message: expect.stringContaining('audit_1') });
    expect(server.sql('partly', 'SELECT x, y FROM audit_1')).toBe('5|1');
  });

  it('who may not create databases restores in place: all of it, or nothing', async () => {
    server.sql('postgres', 'CREATE ROLE tenant LOGIN');
    server.create('shared', 'OWNER tenant');
    server.sql('shared', 'CREATE EXTENSION hstore'); // somebody else's, with a comment
    server.sql(
      'shared',
      `${simple} CREATE SCHEMA more; CREATE TYPE more.kind AS ENUM ('a'); CREATE TABLE more.u (id bigserial, k more.kind, h public.hstore);
      INSERT INTO more.u (k, h) VALUES ('a', 'x=>1'); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lo_from_bytea(77, 'large');`,
      'tenant',
    );
    const place = await postgresPlace(server, 'shared', { url: server.url('shared', 'tenant') });
    const then = await place.capture();
    const dump = server.dump('shared');
    server.sql(
      'shared',
      `DROP SCHEMA more CASCADE; UPDATE t SET v = 'now'; CREATE VIEW later AS SELECT 1; CREATE SCHEMA later; CREATE TABLE later.x (id int);
      CREATE TYPE later2 AS (a int); DROP FUNCTION f; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 2'; SELECT lo_unlink(77); SELECT lo_create(78);`,
      'tenant',
    );
    const now = await place.capture(then);
    const later = server.dump('shared');
    const program = await PgProgram.start({
      host: server.folder,
      port: server.port,
      database: 'shared',
      user: 'tenant',
    });
    await place.restore(then, now);
    expect(server.dump('shared')).toBe(dump);
    // Others stay connected, and see it.
    expect(await program.rows('SELECT DISTINCT v FROM t')).toEqual([['then']]);
    await place.restore(now, await place.capture(then));
    expect(server.dump('shared')).toBe(later);

    await program.exec('BEGIN');
    await program.exec(`UPDATE t SET v = 'open'`);
    const present = await place.capture();
    const short = await postgresPlace(server, 'shared', {
      url: server.url('shared', 'tenant'),
      lockTimeout: 300,
    });
    const error = await failure(short.restore(then, present));
    expect(error).toMatchObject({ exitCode: 6, message: expect.stringContaining('the app (pid') });
    await program.exec('ROLLBACK');
    expect(server.dump('shared')).toBe(later);
  });

  it('the copy for people is one SQL file', async () => {
    const { place, old: then } = await twoStates('people');
    const into = scratchFolder();
    const first = await postgresEngine.materialize(place.context(), then, into);
    expect(path.basename(first)).toBe('app.sql');
    expect(path.basename(await postgresEngine.materialize(place.context(), then, into))).toBe('app-2.sql');
    server.create('people2');
    server.sql('people2', readFileSync(first, 'utf8'));
    expect(states('people2')).toBe('then');
  });

  it('a large value and a table of many rows come back', { timeout: 120_000 }, async () => {
    server.create('large');
    server.sql(
      'large',
      `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'then' || md5(i::text) FROM generate_series(1, 100000) i;
      INSERT INTO t SELECT 0, string_agg(md5(i::text), E'\\n') FROM generate_series(1, 300000) i`,
    );
    const place = await postgresPlace(server, 'large');
    const then = await place.capture();
    const sum = () => server.sql('large', `SELECT count(*), md5(string_agg(v, '' ORDER BY id)) FROM t`);
    const before = sum();
    server.sql('large', 'UPDATE t SET v = NULL WHERE id < 10');
    await place.restore(then, await place.capture(then));
    expect(sum()).toBe(before);
  });
});

/** Reads the command lines of all processes, over and over and in a process of its own. Gives what ends it and tells them. */
async function commandLines(): Promise<() => Promise<string>> {
  const script = `
    const fs = require('node:fs');
    const seen = new Set();
    const look = () => {
      for (const pid of fs.readdirSync('/proc')) {
        if (!/^\\d+$/.test(pid)) continue;
        try {
          const line = fs.readFileSync('/proc/' + pid + '/cmdline', 'latin1');
          if (/pg_dump|pg_restore|git/.test(line)) seen.add(line);
        } catch {}
      }
    };
    setInterval(look, 1);
    process.stdin.on('data', () => { process.stdout.write([...seen].join('\\n')); process.exit(); });
    process.stderr.write('looking');`;
  const child = spawn(process.execPath, ['-e', script], { stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stderr, 'data');
  return async () => {
    child.stdin.write('tell');
    return text(child.stdout);
  };
}

describe.skipIf(postgresMissing !== undefined)(`passwords (${postgresMissing ?? 'real server'})`, () => {
  const password = 'pass/W0rd:x';

  it('reach no argument, note or message', async () => {
    server.create('locked', 'OWNER secretive');
    server.sql('locked', simple, 'secretive');
    const url = `postgresql://secretive:${encodeURIComponent(password)}@127.0.0.1:${server.port}/locked`;
    withVariables({ PITR_TEST_URL: url, PGPASSFILE: '/nonexistent' });
    const place = await postgresPlace(server, 'locked', { url: 'env:PITR_TEST_URL' });
    const lines = await commandLines();
    const copy = await place.capture();
    server.sql('locked', `UPDATE t SET v = 'now'`);
    await place.restore(copy, await place.capture(copy));
    const seen = await lines();
    expect(seen).toContain('pg_dump');
    const secrets = [password, encodeURIComponent(password)];
    const holds = (text: string) => secrets.filter((secret) => text.includes(secret));
    expect(holds(seen)).toEqual([]);
    expect(holds(JSON.stringify(copy))).toEqual([]);
    for (const file of readdirSync(place.repository.lineDir))
      if (file.endsWith('.json'))
        expect(holds(readFileSync(path.join(place.repository.lineDir, file), 'utf8'))).toEqual([]);

    for (const bad of [
      url.replace('127.0.0.1', '127.0.0.1:1/x@'),
      url.replace('/locked', '/nowhere'),
      url.replace(`:${server.port}`, ':1'),
      url.replace('secretive:', 'nobody:'),
      url.replace('postgresql:', 'postgresql'),
      `password=${password} host='`,
    ]) {
      process.env['PITR_TEST_URL'] = bad;
      const { message, hints, details } = await failure(place.capture());
      expect(holds(JSON.stringify([message, hints, details]))).toEqual([]);
    }
  });

  it('come from a password file, too', async () => {
    server.create('filed', 'OWNER secretive');
    const file = path.join(scratchFolder(), 'pgpass');
    writeFileSync(
      file,
      `# host:port:database:user:password\n*:*:other:*:no\n127.0.0.1:${server.port}:filed:secretive:${password.replace(':', '\\:')}\n`,
    );
    chmodSync(file, 0o600);
    withVariables({ PGPASSFILE: file });
    const url = `postgresql://secretive@127.0.0.1:${server.port}/filed?sslmode=disable&schema=public`;
    expect((await (await postgresPlace(server, 'filed', { url })).capture()).engine).toBe('postgres');
    withVariables({ PGPASSFILE: '/nonexistent' });
    const error = await failure((await postgresPlace(server, 'filed', { url })).capture());
    expect(error.message).toMatch(/does not let you in|password/);
  });

  it('in the configuration are refused, and not shown', async () => {
    for (const url of [
      `postgresql://me:${encodeURIComponent(password)}@localhost/app`,
      `postgresql://localhost/app?password=${encodeURIComponent(password)}`,
      `host=localhost password='${password}'`,
    ]) {
      const error = await failure((await postgresPlace(server, 'app', { url })).capture());
      expect(error).toMatchObject({ kind: 'usage', message: expect.stringContaining('holds a password') });
      expect(JSON.stringify([error.message, error.hints])).not.toContain('W0rd');
    }
  });
});

describe('urls', () => {
  const read = (url: string) =>
    addressOf({ name: 'app', engine: 'postgres', url, format: 'sql', excludeTable: [] });

  it('are read as libpq reads them', () => {
    expect(read('postgresql://ada@db.example:6543/shop?sslmode=require')).toMatchObject({
      host: 'db.example',
      port: 6543,
      user: 'ada',
      database: 'shop',
      sslmode: 'require',
    });
    expect(read('postgres://%2Frun%2Fpg/shop')).toMatchObject({ host: '/run/pg', database: 'shop' });
    expect(read('postgresql://ada@[::1]:5/x')).toMatchObject({ host: '::1', port: 5 });
    expect(read(`host=/tmp dbname='my \\'app' user = ada`)).toMatchObject({
      host: '/tmp',
      database: "my 'app",
      user: 'ada',
    });
  });

  it('are told apart by whether they hold a password', () => {
    expect(hasPassword('postgresql://ada@host/db')).toBe(false);
    expect(hasPassword('postgresql://host:5432/db')).toBe(false);
    expect(hasPassword('mysql://ada:x@host/db')).toBe(true);
    expect(hasPassword('host=a password=x')).toBe(true);
  });
});

it('a pg_dump that is older than the server is not used, and the package to install is named', async () => {
  const folder = scratchFolder();
  writeFileSync(path.join(folder, 'pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 11.22"\n', {
    mode: 0o755,
  });
  withVariables({ PATH: `${folder}:${process.env['PATH'] ?? ''}` });
  const error = await failure(findTools('app', 15, () => []));
  expect(error.message).toContain('pg_dump is of version 11, which cannot read a server of version 15');
  expect(error.hints.join()).toContain('postgresql-client-15');
});
