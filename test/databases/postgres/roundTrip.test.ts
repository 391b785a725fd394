import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';
import { PostgresServer, postgresMissing } from '../support/servers.ts';
import { postgresPlace } from './support.ts';

const everything = readFileSync(path.join(import.meta.dirname, 'everything.sql'), 'utf8');

let server: PostgresServer;

beforeAll(async () => {
  if (postgresMissing !== undefined) return;
  server = await PostgresServer.start();
  server.sql('postgres', 'CREATE ROLE pitr_owner; CREATE ROLE pitr_reader LOGIN;');
});

/** All that pg_dump tells of a database, and what it does not: its owner, settings, grants and comment. */
function wholeState(database: string): string {
  const about = server.sql(
    'postgres',
    `SELECT pg_get_userbyid(datdba), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), datconnlimit, shobj_description(oid, 'pg_database'),
      (SELECT array_agg(setrole::regrole || ' ' || array_to_string(setconfig, ' ') ORDER BY setrole) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
    FROM pg_database d WHERE datname = '${database}'`,
  );
  return `${about}\n${server.dump(database)}`;
}

describe.skipIf(postgresMissing !== undefined)(`PostgreSQL (${postgresMissing ?? 'real server'})`, () => {
  it('a restore brings back everything, and takes away what did not exist then', async () => {
    server.create('app');
    server.sql('app', everything);
    server.sql(
      'postgres',
      `ALTER DATABASE app OWNER TO pitr_owner; COMMENT ON DATABASE app IS 'the app';
      ALTER DATABASE app SET search_path = "sales Dept", public; ALTER ROLE pitr_reader IN DATABASE app SET work_mem = '5MB';
      GRANT CREATE ON DATABASE app TO pitr_reader; REVOKE CONNECT ON DATABASE app FROM PUBLIC; ALTER DATABASE app CONNECTION LIMIT 50`,
    );
    const place = await postgresPlace(server, 'app');
    const then = wholeState('app');
    const copy = await place.capture();
    expect(copy).toMatchObject({
      name: 'app',
      engine: 'postgres',
      version: expect.stringMatching(/^\d+\.\d+$/),
    });
    expect(copy.tables).toMatchObject({
      'public.orders': 400,
      'public.customers': 3,
      'public.empty': 1,
      'public.base': 1,
    });

    server.sql(
      'app',
      `ALTER EVENT TRIGGER no_tables DISABLE; DROP TABLE public.base CASCADE; CREATE TABLE public.later (id int); CREATE SCHEMA later;
      DELETE FROM public.orders WHERE id > 5; UPDATE public.customers SET name = 'x' WHERE id = 1; SELECT lo_unlink(4711); SELECT lo_create(99);
      DROP MATERIALIZED VIEW public.totals; ALTER TYPE public.state ADD VALUE 'lost'; SELECT nextval('public.odd_numbers');
      CREATE FUNCTION public.later() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP PUBLICATION all_orders; DROP EXTENSION pg_trgm CASCADE;`,
    );
    server.sql(
      'postgres',
      `ALTER DATABASE app RESET ALL; COMMENT ON DATABASE app IS NULL; ALTER DATABASE app OWNER TO postgres; GRANT CONNECT ON DATABASE app TO PUBLIC`,
    );
    const changed = wholeState('app');
    const now = await place.capture(copy);
    expect(now.tree).not.toBe(copy.tree);

    await place.restore(copy, now);
    expect(sameState(wholeState('app'))).toEqual(sameState(then));
    expect(server.databases()).toEqual(['app']);
    // Recorded again it is the very same copy, so nothing looks changed.
    const again = await place.capture(copy);
    expect(again.tree).toBe(copy.tree);

    await place.restore(now, again);
    expect(sameState(wholeState('app'))).toEqual(sameState(changed));
  });

  it('the command in docs/databases.md rebuilds the database with plain git, tar and psql', async () => {
    server.create('plain');
    server.sql('plain', everything);
    const place = await postgresPlace(server, 'plain');
    const copy = await place.capture();
    server.create('rebuilt');
    const environment = cleanEnvironment({
      PGHOST: server.folder,
      PGPORT: String(server.port),
      PGUSER: 'postgres',
    });
    const page = readFileSync(path.resolve(import.meta.dirname, '../../../docs/databases.md'), 'utf8');
    const [shown = ''] = /^git archive .* psql .*$/m.exec(page) ?? [];
    const command = shown
      .replace('refs/pitr/main:databases/shop/sql', `${copy.tree}:sql`)
      .replace('-d restored', '-d rebuilt');
    execFileSync('sh', ['-c', command], {
      cwd: place.git.path,
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    expect(sameState(server.dump('rebuilt'))).toEqual(sameState(server.dump('plain')));
  });

  it('an unchanged database is recognised, and a changed one never taken for it', async () => {
    server.create('still');
    server.sql(
      'still',
      'CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) SELECT i::text FROM generate_series(1, 50) i',
    );
    const place = await postgresPlace(server, 'still');
    let copy = await place.capture();
    for (const change of [
      `UPDATE t SET v = 'x' WHERE id = 7`,
      `SELECT nextval('t_id_seq')`,
      `SELECT setval('t_id_seq', 7, false)`,
      `ALTER TABLE t ADD COLUMN w int`,
      `COMMENT ON TABLE t IS 'changed'`,
      `TRUNCATE t`,
      `SELECT lo_create(5)`,
      `ALTER DATABASE still SET work_mem = '6MB'`,
      `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    ]) {
      const same = await place.capture(copy);
      expect(same.tree).toBe(copy.tree);
      server.sql('still', change);
      const next = await place.capture(same);
      expect([change, next.tree]).not.toEqual([change, copy.tree]);
      copy = next;
    }
  });
});

/**
 * The lines of a dump, but for what PostgreSQL itself changes: `ARRAY['a'::character varying]::text[]` becomes the same
 * with a cast for each, and rows are not always stored in the order in which they come.
 */
function sameState(dump: string): string[] {
  const words = dump.replace(/ANY \((.*)\)\)\)/g, (_, list: string) => (list.match(/'[^']*'/g) ?? []).join());
  return words.split('\n').toSorted();
}
