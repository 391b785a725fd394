import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { readFields, writeField } from '../../../src/databases/postgres/copyText.ts';
import { postgresEngine } from '../../../src/databases/postgres/engine.ts';
import type { DatabaseChange, Row, RowChange } from '../../../src/databases/rows.ts';
import { failure } from '../support/engine.ts';
import { PgProgram } from '../support/pg-program.ts';
import { PostgresServer, postgresMissing } from '../support/servers.ts';
import { postgresPlace, type PostgresPlace } from './support.ts';

let server: PostgresServer;

beforeAll(async () => {
  if (postgresMissing === undefined) server = await PostgresServer.start();
});

async function diff(
  place: PostgresPlace,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: readonly string[],
): Promise<DatabaseChange[]> {
  const changes: DatabaseChange[] = [];
  for await (const change of postgresEngine.diff?.(place.context(), from, to, tables) ?? [])
    changes.push(change);
  return changes;
}

const row = (place: PostgresPlace, copy: CapturedDatabase, table: string, ...key: string[]) =>
  postgresEngine.row?.(place.context(), copy, table, key) as Promise<Row | undefined>;

const restoreTables = (
  place: PostgresPlace,
  target: CapturedDatabase,
  now: CapturedDatabase,
  ...tables: string[]
) => postgresEngine.restoreTables?.(place.context(), target, now, tables) as Promise<void>;

describe.skipIf(postgresMissing !== undefined)(
  `PostgreSQL rows (${postgresMissing ?? 'real server'})`,
  () => {
    it('that changed are exactly those, with their values as they are read', async () => {
      server.create('values');
      server.sql(
        'values',
        `CREATE TABLE t (id bigint PRIMARY KEY, v text, n int, b boolean, raw bytea, big bigint, d numeric(20, 2), j jsonb);
      INSERT INTO t SELECT i, 'row ' || i, i, i % 2 = 0, '\\x00ff', 9007199254740993, 1.50, '{"a": 1}' FROM generate_series(1, 50000) i`,
      );
      const place = await postgresPlace(server, 'values');
      const from = await place.capture();
      server.sql(
        'values',
        `UPDATE t SET v = E'tab\\tline\\nback\\\\slash Zoë', n = NULL, b = true WHERE id = 33333; DELETE FROM t WHERE id = 7; INSERT INTO t (id, v) VALUES (60000, '')`,
      );
      const to = await place.capture(from);
      const same = { raw: Buffer.from([0, 255]), big: 9007199254740993n, d: '1.50', j: '{"a": 1}' };
      const changes = await diff(place, from, to);
      expect(changes).toEqual([
        {
          kind: 'removed',
          table: 'public.t',
          key: { id: 7 },
          before: { id: 7, v: 'row 7', n: 7, b: 'false', ...same },
        },
        {
          kind: 'changed',
          table: 'public.t',
          key: { id: 33333 },
          before: { id: 33333, v: 'row 33333', n: 33333, b: 'false', ...same },
          after: { id: 33333, v: 'tab\tline\nback\\slash Zoë', n: null, b: 'true', ...same },
        },
        {
          kind: 'added',
          table: 'public.t',
          key: { id: 60000 },
          after: { id: 60000, v: '', n: null, b: null, raw: null, big: null, d: null, j: null },
        },
      ]);
      expect(await diff(place, from, to, ['t'])).toEqual(changes);
      expect(await diff(place, from, from)).toEqual([]);
      expect(await row(place, to, 't', '33333')).toMatchObject({ v: 'tab\tline\nback\\slash Zoë' });
      expect(await row(place, to, 'public.t', '7')).toBeUndefined();
      expect(await row(place, from, 't', '7')).toMatchObject({ v: 'row 7' });
      expect((await failure(row(place, to, 'nowhere', '7'))).kind).toBe('noMatch');
      expect((await failure(row(place, to, 't', '7', '8'))).message).toContain('The key of public.t is id');
      expect((await failure(diff(place, from, to, ['nowhere']))).hints.join()).toContain('public.t');
    });

    it('are told from definitions, by key, by the whole row without one, and by partitioned table', async () => {
      server.create('kinds');
      server.sql(
        'kinds',
        `CREATE SCHEMA "a b"; CREATE TABLE "a b"."c.d" (x int, "Y z" text, PRIMARY KEY ("Y z", x)); INSERT INTO "a b"."c.d" VALUES (1, 'k'), (2, 'k');
      CREATE TABLE loose (v text); INSERT INTO loose VALUES ('twice'), ('twice'), ('once');
      CREATE TABLE p (at int, v text) PARTITION BY RANGE (at); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p DEFAULT;
      INSERT INTO p VALUES (1, 'low'), (99, 'high'); CREATE TABLE wide (id int PRIMARY KEY); INSERT INTO wide VALUES (1), (2); CREATE VIEW w AS SELECT 1 AS one`,
      );
      const place = await postgresPlace(server, 'kinds');
      const from = await place.capture();
      server.sql(
        'kinds',
        `UPDATE "a b"."c.d" SET x = 3 WHERE x = 2; DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE v = 'twice' LIMIT 1); UPDATE p SET v = 'higher' WHERE at = 99;
      ALTER TABLE wide ADD COLUMN extra text; UPDATE wide SET extra = 'x' WHERE id = 2; CREATE OR REPLACE VIEW w AS SELECT 2 AS one; CREATE INDEX loose_v ON loose (v)`,
      );
      const to = await place.capture(from);
      const changes = await diff(place, from, to);
      expect(changes.filter(({ kind }) => kind !== 'schema')).toEqual([
        { kind: 'removed', table: 'a b.c.d', key: { 'Y z': 'k', x: 2 }, before: { x: 2, 'Y z': 'k' } },
        { kind: 'added', table: 'a b.c.d', key: { 'Y z': 'k', x: 3 }, after: { x: 3, 'Y z': 'k' } },
        { kind: 'removed', table: 'public.loose', key: { v: 'twice' }, before: { v: 'twice' } },
        { kind: 'removed', table: 'public.p2', key: { at: 99, v: 'high' }, before: { at: 99, v: 'high' } },
        { kind: 'added', table: 'public.p2', key: { at: 99, v: 'higher' }, after: { at: 99, v: 'higher' } },
        {
          kind: 'changed',
          table: 'public.wide',
          key: { id: 2 },
          before: { id: 2 },
          after: { id: 2, extra: 'x' },
        },
      ]);
      const schema = changes.filter((change) => change.kind === 'schema');
      expect(schema.map(({ object, type }) => `${type} ${object}`)).toEqual([
        'index public.loose_v',
        'table public.wide',
        'view public.w',
      ]);
      expect(schema[0]).not.toHaveProperty('before');
      expect(schema[1]).toMatchObject({ after: expect.stringContaining('extra text') });
      expect(await diff(place, from, to, ['loose'])).toHaveLength(2);
      expect(await diff(place, from, to, ['p'])).toHaveLength(2);
      expect(await diff(place, from, to, ['a b.c.d'])).toHaveLength(2);
      expect((await diff(place, undefined, from)).filter(({ kind }) => kind === 'added')).toHaveLength(9);
      expect(await row(place, to, 'a b.c.d', 'k', '3')).toEqual({ x: 3, 'Y z': 'k' });
      expect((await failure(row(place, to, 'loose', 'once'))).message).toContain('no primary key');
    });

    it('of any changes at all are what SQL says is different', async () => {
      server.create('any');
      server.sql('any', 'CREATE TABLE t (a int, b text, v text, PRIMARY KEY (b, a))');
      const place = await postgresPlace(server, 'any');
      const texts = fc
        .oneof(fc.constantFrom('', '\\N', 'x', '\t', 'a\\b', '\n', 'é🙂'), fc.string({ maxLength: 5 }))
        .map((text) => text.replaceAll('\0', ''));
      const rows = fc.uniqueArray(fc.tuple(fc.integer({ min: -5, max: 30 }), texts, fc.option(texts)), {
        selector: ([a, b]) => JSON.stringify([a, b]),
        maxLength: 25,
      });
      const client = await PgProgram.start({ host: server.folder, port: server.port, database: 'any' });
      const literal = (text: string | null) =>
        text === null ? 'NULL' : `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
      const fill = async (list: readonly (readonly [number, string, string | null])[]) => {
        await client.exec('DELETE FROM t');
        for (const [a, b, v] of list)
          await client.exec(`INSERT INTO t VALUES (${a}, ${literal(b)}, ${literal(v)})`);
      };
      await fc.assert(
        fc.asyncProperty(rows, rows, async (before, after) => {
          await fill(before);
          const from = await place.capture();
          await fill(after);
          const found = (await diff(place, from, await place.capture())) as RowChange[];
          const id = ([a, b]: readonly [number, string, string | null]) => JSON.stringify([b, a]);
          const was = new Map(before.map((one) => [id(one), one]));
          const is = new Map(after.map((one) => [id(one), one]));
          const expected = [...new Set([...was.keys(), ...is.keys()])].flatMap((key) => {
            const [a, b] = [was.get(key), is.get(key)];
            if (a !== undefined && b !== undefined && a[2] === b[2]) return [];
            return [
              `${a === undefined ? 'added' : b === undefined ? 'removed' : 'changed'} ${key} ${a?.[2] ?? null} ${b?.[2] ?? null}`,
            ];
          });
          const shown = (one: Row | undefined) => String(one?.['v'] ?? null);
          const told = found.map(
            ({ kind, key, before: x, after: y }) =>
              `${kind} ${JSON.stringify(Object.values(key))} ${shown(x)} ${shown(y)}`,
          );
          expect(told.toSorted()).toEqual(expected.toSorted());
        }),
        { numRuns: 12 },
      );
    });
  },
);

const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, name text);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, note text);
  CREATE TABLE items (id int PRIMARY KEY, "order" int NOT NULL REFERENCES orders ON DELETE CASCADE);
  COMMENT ON CONSTRAINT items_order_fkey ON items IS 'it''s kept';
  CREATE TABLE log (id serial PRIMARY KEY, what text);
  CREATE TABLE apart (id serial PRIMARY KEY, v text); COMMENT ON TABLE apart IS 'apart';
  CREATE INDEX apart_v ON apart (v); GRANT SELECT ON apart TO PUBLIC; CREATE VIEW seen AS SELECT v FROM apart;
  CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES (TG_OP); RETURN NULL; END $$;
  CREATE TRIGGER note AFTER INSERT OR DELETE OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();
  CREATE TRIGGER note AFTER INSERT OR DELETE OR UPDATE ON apart FOR EACH ROW EXECUTE FUNCTION noted(); ALTER TABLE apart ENABLE ALWAYS TRIGGER note;
  INSERT INTO customers SELECT i, 'then' FROM generate_series(1, 5) i; INSERT INTO orders (customer, note) SELECT i, 'then' FROM generate_series(1, 5) i;
  INSERT INTO items SELECT i, i FROM generate_series(1, 5) i; INSERT INTO apart (v) VALUES ('then'), ('then');`;

async function shopPlace(database: string) {
  server.create(database);
  server.sql(database, shop);
  const place = await postgresPlace(server, database, { lockTimeout: 1000 });
  return { place, old: await place.capture() };
}

describe.skipIf(postgresMissing !== undefined)(
  `PostgreSQL tables (${postgresMissing ?? 'real server'})`,
  () => {
    it('one comes back alone, while others stay connected: nothing cascades, no trigger fires', async () => {
      const { place, old } = await shopPlace('one');
      const program = await PgProgram.start({ host: server.folder, port: server.port, database: 'one' });
      server.sql(
        'one',
        `UPDATE customers SET name = 'now'; INSERT INTO customers VALUES (6, 'now'); DELETE FROM log; UPDATE apart SET v = 'now'; DELETE FROM log`,
      );
      const schema = (text: string) =>
        text.split('\n').filter((line) => /^(ALTER|CREATE|COMMENT|    ADD)/.test(line));
      const before = schema(server.dump('one'));
      await restoreTables(place, old, await place.capture(old), 'customers');
      expect(await program.rows('SELECT DISTINCT name FROM customers')).toEqual([['then']]);
      expect(
        server.sql(
          'one',
          'SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM items), (SELECT count(*) FROM log), (SELECT min(v) FROM apart)',
        ),
      ).toBe('5|5|0|now');
      expect(schema(server.dump('one'))).toEqual(before);
      server.sql('one', `INSERT INTO customers VALUES (7, 'x')`);
      expect(server.sql('one', 'SELECT count(*) FROM log')).toBe('1');
    });

    it('one that was dropped is made again, with what hung on it', async () => {
      const { place, old } = await shopPlace('dropped');
      const dump = server.dump('dropped');
      server.sql('dropped', 'DROP TABLE apart CASCADE');
      await restoreTables(place, old, await place.capture(old), 'apart');
      expect(server.dump('dropped').split('\n').toSorted()).toEqual(dump.split('\n').toSorted());
      expect(server.sql('dropped', `INSERT INTO apart (v) VALUES ('next') RETURNING id`)).toBe('3');
    });

    it('one that foreign keys tie to others is refused, with all that would have to come along', async () => {
      const { place, old } = await shopPlace('tied');
      server.sql(
        'tied',
        `DELETE FROM customers WHERE id = 2; UPDATE orders SET note = 'now'; UPDATE items SET "order" = 3 WHERE id = 1`,
      );
      const now = await place.capture(old);
      const dump = server.dump('tied');
      const error = await failure(restoreTables(place, old, now, 'items'));
      expect(error).toMatchObject({
        kind: 'refused',
        details: { tables: ['public.customers', 'public.items', 'public.orders'] },
      });
      expect(error.hints.join()).toContain('public.customers, public.orders');
      expect(server.dump('tied')).toBe(dump);
      await restoreTables(place, old, now, 'items', 'public.orders', 'customers');
      expect(
        (await diff(place, old, await place.capture())).map((change) =>
          'table' in change ? change.table : change.object,
        ),
      ).toEqual(['public.log']);
    });

    it('one that changed since, was redefined, was not there, or is locked, stays as it is', async () => {
      const { place, old } = await shopPlace('stays');
      const now = await place.capture(old);
      server.sql('stays', `UPDATE apart SET v = 'later' WHERE id = 1`);
      expect((await failure(restoreTables(place, old, now, 'apart'))).message).toContain('changed after');
      server.sql('stays', 'CREATE TABLE later (id int); ALTER TABLE log ADD COLUMN x int');
      const next = await place.capture(now);
      expect((await failure(restoreTables(place, old, next, 'later'))).message).toContain(
        'was not there then',
      );
      expect((await failure(restoreTables(place, old, next, 'log'))).message).toContain('another definition');
      expect((await failure(restoreTables(place, old, next, 'nowhere'))).kind).toBe('noMatch');
      const program = await PgProgram.start({ host: server.folder, port: server.port, database: 'stays' });
      await program.exec('BEGIN');
      await program.exec('UPDATE apart SET v = v');
      const busy = await failure(restoreTables(place, old, next, 'apart'));
      expect(busy).toMatchObject({ exitCode: 6, message: expect.stringContaining('the app (pid') });
      await program.exec('COMMIT');
      expect(server.sql('stays', 'SELECT v FROM apart ORDER BY id')).toBe('later\nthen');
    });
  },
);

it('fields come out of a line as they went in', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.string({ unit: 'binary' })), { minLength: 1 }), (fields) => {
      const line = fields.map((field) => (field === null ? '\\N' : writeField(field))).join('\t');
      expect(line).not.toContain('\n');
      expect(readFields(line)).toEqual(fields);
    }),
  );
});
