import { beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { mariadbEngine } from '../../../src/databases/mariadb/engine.ts';
import { literalTexts, readRow } from '../../../src/databases/mariadb/literals.ts';
import type { DatabaseChange, Row } from '../../../src/databases/rows.ts';
import { failure } from '../support/engine.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace, type MariadbPlace } from './support.ts';

let server: MariadbServer;

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start();
}, 120_000);

async function diff(
  place: MariadbPlace,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: readonly string[],
): Promise<DatabaseChange[]> {
  const changes: DatabaseChange[] = [];
  for await (const change of mariadbEngine.diff?.(place.context(), from, to, tables) ?? [])
    changes.push(change);
  return changes;
}

const row = (place: MariadbPlace, copy: CapturedDatabase, table: string, ...key: string[]) =>
  mariadbEngine.row?.(place.context(), copy, table, key) as Promise<Row | undefined>;

const restoreTables = (
  place: MariadbPlace,
  target: CapturedDatabase,
  now: CapturedDatabase,
  ...tables: string[]
) => mariadbEngine.restoreTables?.(place.context(), target, now, tables) as Promise<void>;

describe.skipIf(mariadbMissing !== undefined)(
  `MariaDB rows (${mariadbMissing ?? 'real server'})`,
  { timeout: 60_000 },
  () => {
    it('that changed are exactly those, with their values as they are read', async () => {
      server.create('row_values');
      server.sql(
        'row_values',
        `CREATE TABLE t (id bigint PRIMARY KEY, v text, l varchar(20) CHARACTER SET latin1, n int, raw varbinary(9), big bigint unsigned, d decimal(20,2), f float, b bit(4), g int AS (n + 1) VIRTUAL);
      INSERT INTO t (id, v, l, n, raw, big, d, f, b) SELECT seq, CONCAT('row ', seq), 'é', seq, 0x00FF, 18446744073709551615, 1.50, 0.1, 5 FROM seq_1_to_20000`,
      );
      const place = await mariadbPlace(server, 'row_values');
      const from = await place.capture();
      server.sql(
        'row_values',
        `UPDATE t SET v = 'tab\\tline\\nback\\\\slash, (Zoë) ''', n = NULL, raw = '' WHERE id = 13333; DELETE FROM t WHERE id = 7; INSERT INTO t (id, v) VALUES (60000, '')`,
      );
      const to = await place.capture(from);
      const same = { l: 'é', big: 18446744073709551615n, d: '1.50', f: 0.1, b: 5 };
      const changes = await diff(place, from, to);
      expect(changes).toEqual([
        {
          kind: 'removed',
          table: 't',
          key: { id: 7 },
          before: { id: 7, v: 'row 7', n: 7, raw: Buffer.from([0, 255]), ...same },
        },
        {
          kind: 'changed',
          table: 't',
          key: { id: 13333 },
          before: { id: 13333, v: 'row 13333', n: 13333, raw: Buffer.from([0, 255]), ...same },
          after: { id: 13333, v: `tab\tline\nback\\slash, (Zoë) '`, n: null, raw: Buffer.alloc(0), ...same },
        },
        {
          kind: 'added',
          table: 't',
          key: { id: 60000 },
          after: { id: 60000, v: '', l: null, n: null, raw: null, big: null, d: null, f: null, b: null },
        },
      ]);
      expect(await diff(place, from, to, ['t'])).toEqual(changes);
      expect(await diff(place, from, from)).toEqual([]);
      expect(await row(place, to, 't', '13333')).toMatchObject({ v: `tab\tline\nback\\slash, (Zoë) '` });
      expect(await row(place, to, 't', '7')).toBeUndefined();
      expect(await row(place, from, 't', '7')).toMatchObject({ v: 'row 7' });
      expect((await failure(row(place, to, 'nowhere', '7'))).kind).toBe('noMatch');
      expect((await failure(row(place, to, 't', '7', '8'))).message).toContain('The key of t is id');
      expect((await failure(diff(place, from, to, ['nowhere']))).hints.join()).toContain('Tables: t.');
    });

    it('are told from definitions, by key, and by the whole row without one', async () => {
      server.create('kinds');
      server.sql(
        'kinds',
        `CREATE TABLE \`c.d e\` (x int, \`Y z\` varchar(9), PRIMARY KEY (\`Y z\`, x)); INSERT INTO \`c.d e\` VALUES (1, 'k'), (2, 'k');
      CREATE TABLE loose (v text); INSERT INTO loose VALUES ('twice'), ('twice'), ('once');
      CREATE TABLE wide (id int PRIMARY KEY); INSERT INTO wide VALUES (1), (2); CREATE VIEW w AS SELECT 1 AS one; CREATE TABLE counts (id int PRIMARY KEY AUTO_INCREMENT)`,
      );
      const place = await mariadbPlace(server, 'kinds');
      const from = await place.capture();
      server.sql(
        'kinds',
        `UPDATE \`c.d e\` SET x = 3 WHERE x = 2; DELETE FROM loose WHERE v = 'twice' LIMIT 1; INSERT INTO counts VALUES ();
      ALTER TABLE wide ADD COLUMN extra text; UPDATE wide SET extra = 'x' WHERE id = 2; CREATE OR REPLACE VIEW w AS SELECT 2 AS one; CREATE TRIGGER g BEFORE INSERT ON loose FOR EACH ROW SET @a = 1`,
      );
      const to = await place.capture(from);
      const changes = await diff(place, from, to);
      expect(changes.filter(({ kind }) => kind !== 'schema')).toEqual([
        { kind: 'removed', table: 'c.d e', key: { 'Y z': 'k', x: 2 }, before: { x: 2, 'Y z': 'k' } },
        { kind: 'added', table: 'c.d e', key: { 'Y z': 'k', x: 3 }, after: { x: 3, 'Y z': 'k' } },
        { kind: 'added', table: 'counts', key: { id: 1 }, after: { id: 1 } },
        { kind: 'removed', table: 'loose', key: { v: 'twice' }, before: { v: 'twice' } },
        { kind: 'changed', table: 'wide', key: { id: 2 }, before: { id: 2 }, after: { id: 2, extra: 'x' } },
      ]);
      const schema = changes.filter((change) => change.kind === 'schema');
      expect(schema.map(({ object, type }) => `${type} ${object}`)).toEqual([
        'table wide',
        'trigger g',
        'view w',
      ]);
      expect(await diff(place, from, to, ['loose'])).toHaveLength(2);
      expect((await diff(place, undefined, from)).filter(({ kind }) => kind === 'added')).toHaveLength(7);
      expect(await row(place, to, 'c.d e', 'k', '3')).toEqual({ x: 3, 'Y z': 'k' });
      expect((await failure(row(place, to, 'loose', 'once'))).message).toContain('no primary key');
    });
  },
);

const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, name text);
  CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, customer int, note text, FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);
  CREATE TABLE items (id int PRIMARY KEY, \`order\` int NOT NULL, FOREIGN KEY (\`order\`) REFERENCES orders (id) ON DELETE CASCADE);
  CREATE TABLE log (id int PRIMARY KEY AUTO_INCREMENT, what text);
  CREATE TABLE apart (id int PRIMARY KEY AUTO_INCREMENT, v text, of int, FOREIGN KEY (of) REFERENCES customers (id));
  CREATE TABLE loose (v text);
  INSERT INTO customers SELECT seq, 'then' FROM seq_1_to_5; INSERT INTO orders (customer, note) SELECT seq, 'then' FROM seq_1_to_5;
  INSERT INTO items SELECT seq, seq FROM seq_1_to_5; INSERT INTO apart (v, of) VALUES ('then', 1), ('then', 2); INSERT INTO loose VALUES ('then'), ('then');
  CREATE TRIGGER noted AFTER INSERT ON apart FOR EACH ROW INSERT INTO log (what) VALUES (NEW.v);`;

async function shopPlace(database: string) {
  server.create(database);
  server.sql(database, shop);
  const place = await mariadbPlace(server, database, { lockTimeout: 2000 });
  return { place, old: await place.capture() };
}

describe.skipIf(mariadbMissing !== undefined)(
  `MariaDB tables (${mariadbMissing ?? 'real server'})`,
  { timeout: 60_000 },
  () => {
    it('one comes back alone: nothing cascades, and the others stay as they are', async () => {
      const { place, old } = await shopPlace('one');
      server.sql(
        'one',
        `UPDATE customers SET name = 'now'; INSERT INTO customers VALUES (6, 'now'); UPDATE loose SET v = 'now'; UPDATE apart SET v = 'now'`,
      );
      await restoreTables(place, old, await place.capture(old), 'customers', 'loose');
      expect(
        server.sql(
          'one',
          `SELECT (SELECT GROUP_CONCAT(DISTINCT name) FROM customers), (SELECT COUNT(*) FROM customers), (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM items), (SELECT MIN(v) FROM apart), (SELECT GROUP_CONCAT(v) FROM loose)`,
        ),
      ).toBe('then\t5\t5\t5\tnow\tthen,then');
    });

    it('one that was dropped is made again, with its triggers', async () => {
      const { place, old } = await shopPlace('dropped');
      const dump = server.dump('dropped');
      server.sql('dropped', 'DROP TABLE apart');
      await restoreTables(place, old, await place.capture(old), 'apart');
      const same = (text: string) =>
        text.replace(/^(.*50003 TRIGGER )`?(\w+)`?( \w+ \w+ ON )`?(\w+)`?/gm, '$1$2$3$4');
      expect(same(server.dump('dropped'))).toBe(same(dump));
      server.sql('dropped', `INSERT INTO apart (v) VALUES ('next')`);
      expect(server.sql('dropped', 'SELECT what FROM log')).toBe('next');
      expect(server.databases().filter((name) => name.startsWith('dropped'))).toEqual(['dropped']);
    });

    it('one that foreign keys tie to others is refused, with all that would have to come along', async () => {
      const { place, old } = await shopPlace('tied');
      server.sql('tied', 'DELETE FROM customers WHERE id = 3');
      const now = await place.capture(old);
      const dump = server.dump('tied');
      const error = await failure(restoreTables(place, old, now, 'items'));
      expect(error).toMatchObject({ kind: 'refused', details: { tables: ['customers', 'items', 'orders'] } });
      expect(error.hints.join()).toContain('customers, orders');
      expect(server.dump('tied')).toBe(dump);
      await restoreTables(place, old, now, 'items', 'orders', 'customers');
      expect((await place.capture()).tree).toBe(old.tree);
    });

    it('what cannot come back alone is refused: other definitions, triggers that would fire, rows that changed since', async () => {
      const { place, old } = await shopPlace('not_alone');
      server.sql(
        'not_alone',
        `ALTER TABLE loose ADD COLUMN w int; DELETE FROM apart; CREATE TABLE later (id int); UPDATE customers SET name = 'x'`,
      );
      const now = await place.capture(old);
      const reason = async (...tables: string[]) =>
        (await failure(restoreTables(place, old, now, ...tables))).message;
      expect(await reason('loose')).toContain('it had another definition then');
      expect(await reason('apart')).toContain('its trigger "noted" would fire');
      expect(await reason('later')).toContain('it did not exist then');
      server.sql('not_alone', `UPDATE customers SET name = 'y'`);
      expect(await reason('customers')).toContain('changed after its present state was recorded');
      expect(server.sql('not_alone', 'SELECT DISTINCT name FROM customers')).toBe('y');
    });
  },
);

it('the literals of a row are told apart, whatever is in them', () => {
  const line = String.raw`(1,NULL,'a,\'b\\\n)',0x00FF,_latin1 0xE9,-1.5e-10,@pitr_3/* 5 bytes, sha256 ab */,'')`;
  expect(literalTexts(line)).toEqual([
    '1',
    'NULL',
    String.raw`'a,\'b\\\n)'`,
    '0x00FF',
    '_latin1 0xE9',
    '-1.5e-10',
    '@pitr_3/* 5 bytes, sha256 ab */',
    `''`,
  ]);
  expect(readRow(`${line},`)?.map(({ kind }) => kind)).toEqual([
    'number',
    'null',
    'text',
    'bytes',
    'bytes',
    'number',
    'large',
    'text',
  ]);
  expect(readRow('INSERT INTO `t` VALUES')).toBeUndefined();
});
