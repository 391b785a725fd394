import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import type { DatabaseChange } from '../../../src/databases/rows.ts';
import { diffSqlite } from '../../../src/databases/sqlite/rows/diff.ts';
import { sqliteEngine } from '../../../src/databases/sqlite/engine.ts';
import { failure, place, type Place, sql, values } from '../support/engine.ts';
import { line, type SqlTable, sqlDiff } from '../support/sqlRows.ts';

const capture = (where: Place) => sqliteEngine.capture(where.context(), undefined);

async function changes(
  where: Place,
  from: CapturedDatabase | undefined,
  to: CapturedDatabase | undefined,
  tables?: string[],
): Promise<DatabaseChange[]> {
  const found: DatabaseChange[] = [];
  for await (const change of diffSqlite(where.context(), from, to, tables)) found.push(change);
  return found;
}

function told(found: readonly DatabaseChange[]): string[] {
  return found.flatMap((change) => {
    if (change.kind === 'schema') return [];
    const { kind, table, before, after } = change;
    if (kind === 'changed') return [`changed ${table} ${line(before ?? {})} -> ${line(after ?? {})}`];
    return [`${kind} ${table} ${line(after ?? before ?? {})}`];
  });
}

interface Compared {
  found: DatabaseChange[];
  /** Forth and back, as lines. */
  told: string[][];
  bySql: string[][];
}

/** Makes a database, changes it, and compares both ways; SQL does the same with the two files. */
async function compared(make: string, change: string, tables: SqlTable[]): Promise<Compared> {
  const where = await place();
  sql(where.live, make);
  const before = await capture(where);
  const old = path.join(where.context().scratchDir, 'old.db');
  copyFileSync(where.live, old);
  sql(where.live, change);
  const after = await capture(where);
  const found = await changes(where, before, after);
  return {
    found,
    told: [told(found), told(await changes(where, after, before))].map((lines) => lines.toSorted()),
    bySql: [sqlDiff(old, where.live, tables), sqlDiff(where.live, old, tables)].map((lines) =>
      lines.toSorted(),
    ),
  };
}

const many = (rows: number, select: string) =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT ${select} FROM n`;

describe('the rows that differ are those that SQL finds', () => {
  const t: SqlTable = { name: 't', key: ['id'] };
  const filled = `CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, r REAL); INSERT INTO t ${many(3000, "i, 'row ' || i, i / 4.0")};`;

  it('in order, with the columns old and new', async () => {
    const {
      found,
      told: lines,
      bySql,
    } = await compared(
      filled,
      "UPDATE t SET v = 'new' WHERE id = 1500; DELETE FROM t WHERE id = 77; INSERT INTO t VALUES (4000, 'x', 2)",
      [t],
    );
    expect(lines).toEqual(bySql);
    expect(found).toMatchObject([
      { kind: 'removed', table: 't', key: { id: 77n }, before: { v: 'row 77' } },
      { kind: 'changed', key: { id: 1500n }, before: { v: 'row 1500', r: 375 }, after: { v: 'new', r: 375 } },
      { kind: 'added', key: { id: 4000n }, after: { id: 4000n, v: 'x', r: 2 } },
    ]);
  });

  const steps = [
    {
      name: 'many rows removed, so that pages become free and keep their bytes',
      change: 'DELETE FROM t WHERE id BETWEEN 500 AND 2500',
    },
    { name: 'all rows removed', change: 'DELETE FROM t' },
    {
      name: 'removed and written again',
      change: 'CREATE TABLE c AS SELECT * FROM t; DELETE FROM t; INSERT INTO t SELECT * FROM c; DROP TABLE c',
    },
    {
      name: 'many rows added at both ends',
      change: `INSERT INTO t ${many(2000, "-i, 'below', 1")}; INSERT INTO t ${many(2000, "i + 9000000000000000000, 'above', 2")}`,
    },
    { name: 'VACUUM', change: 'DELETE FROM t WHERE id % 3 = 0; VACUUM' },
    {
      name: 'another page size',
      change: "PRAGMA page_size = 512; VACUUM; UPDATE t SET v = 'x' WHERE id = 5",
    },
    {
      name: 'indexes come and go',
      change: 'CREATE INDEX i ON t(v); REINDEX; UPDATE t SET r = 1 WHERE id % 500 = 0; DROP INDEX i',
    },
  ];
  for (const { name, change } of steps) {
    it(name, async () => {
      const { told: lines, bySql } = await compared(filled, change, [t]);
      expect(lines).toEqual(bySql);
    });
  }

  it('a column added: its default is not a change, another value is', async () => {
    const where = await place();
    sql(where.live, filled);
    const before = await capture(where);
    sql(where.live, "ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 7; UPDATE t SET extra = 'y' WHERE id = 9");
    const found = await changes(where, before, await capture(where));
    expect(found.map(({ kind }) => kind)).toEqual(['schema', 'changed']);
    expect(found[1]).toMatchObject({ key: { id: 9n }, after: { extra: 'y' } });
    expect(found[1]).not.toHaveProperty('before.extra');
  });

  it('a column renamed is no change of its rows', async () => {
    const where = await place();
    sql(where.live, filled);
    const before = await capture(where);
    sql(where.live, "ALTER TABLE t RENAME COLUMN v TO w; UPDATE t SET w = 'z' WHERE id = 9");
    const found = await changes(where, before, await capture(where));
    expect(found.map(({ kind }) => kind)).toEqual(['schema', 'changed']);
    expect(found[1]).toMatchObject({ before: { v: 'row 9' }, after: { w: 'z' } });
  });

  it('a column dropped takes its values away', async () => {
    const where = await place();
    sql(
      where.live,
      'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 1, NULL), (2, 2, 3)',
    );
    const before = await capture(where);
    sql(where.live, 'ALTER TABLE t DROP COLUMN b');
    const found = await changes(where, before, await capture(where));
    expect(found.filter(({ kind }) => kind !== 'schema')).toMatchObject([
      { kind: 'changed', key: { id: 2n } },
    ]);
  });

  it('1 and 1.0 in a column without a type are not the same', async () => {
    const { told: lines, bySql } = await compared(
      'CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 1), (2, 2)',
      'UPDATE t SET x = 1.0 WHERE id = 1',
      [t],
    );
    expect(lines).toEqual(bySql);
  });

  it('a row whose overflow page changed while its own page did not', async () => {
    for (const extra of ['', 'PRAGMA auto_vacuum = FULL;']) {
      const make = `${extra} PRAGMA page_size = 1024; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE u(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;
        INSERT INTO t ${many(400, 'i, CAST(substr(hex(zeroblob(4000)) || i, -4000) AS BLOB)')}; INSERT INTO u ${many(100, "'key ' || i, randomblob(6000)")};`;
      // The same length: SQLite writes over the bytes that differ, and over no others.
      const change = `UPDATE t SET v = CAST(substr(v, 1, 3000) || 'X' || substr(v, 3002) AS BLOB) WHERE id = 200;
        UPDATE u SET v = CAST(substr(v, 1, 4000) || x'00' || substr(v, 4002) AS BLOB) WHERE k = 'key 50';`;
      const { found, told: lines, bySql } = await compared(make, change, [t, { name: 'u', key: ['k'] }]);
      expect(lines).toEqual(bySql);
      expect(found).toMatchObject([{ key: { id: 200n } }, { key: { k: 'key 50' } }]);
    }
  });

  it('tables without rowids, with several key columns, descending and with collations', async () => {
    const { told: lines, bySql } = await compared(
      `CREATE TABLE w(v TEXT, b TEXT COLLATE NOCASE, a INT, PRIMARY KEY(a DESC, b)) WITHOUT ROWID;
       INSERT INTO w ${many(4000, "hex(randomblob(20)), 'Key ' || i, i % 40")};`,
      `UPDATE w SET v = 'x' WHERE a = 3 AND b = 'KEY 43'; DELETE FROM w WHERE a = 17; INSERT INTO w VALUES ('n', 'new', 99);`,
      [{ name: 'w', key: ['a', 'b'] }],
    );
    expect(lines).toEqual(bySql);
  });

  it('tables with a key that is not the rowid, also after VACUUM gave rows other rowids', async () => {
    const { told: lines, bySql } = await compared(
      `CREATE TABLE k(name TEXT PRIMARY KEY, v); INSERT INTO k ${many(3000, "'name ' || i, i")}; CREATE TABLE f(a, b); INSERT INTO f ${many(1000, 'i % 10, NULL')};`,
      `DELETE FROM k WHERE v % 7 = 0; UPDATE k SET v = -v WHERE v % 100 = 1; DELETE FROM f WHERE rowid % 9 = 0; UPDATE f SET b = 1 WHERE rowid = 500; VACUUM;`,
      [
        { name: 'k', key: ['name'] },
        { name: 'f', key: [] },
      ],
    );
    expect(lines).toEqual(bySql);
  });

  it('generated columns that are stored; those that are not are left out', async () => {
    const { told: lines, bySql } = await compared(
      `CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, virt AS (a + 1), kept AS (a * 2) STORED, z TEXT); INSERT INTO t(id, a, z) ${many(100, "i, i, 'z'")};`,
      'UPDATE t SET a = 7 WHERE id = 50',
      [t],
    );
    expect(lines).toEqual(bySql);
  });

  it('UTF-16, negative rowids, NULL in a key, rows that are there twice', async () => {
    const {
      found,
      told: lines,
      bySql,
    } = await compared(
      `PRAGMA encoding = 'UTF-16be'; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (-9223372036854775808, 'a'), (9223372036854775807, 'ü');
       CREATE TABLE k(a TEXT, b, PRIMARY KEY(a, b)); INSERT INTO k VALUES ('ä', 1), ('ä', NULL), ('ä', NULL), (NULL, NULL);`,
      `UPDATE t SET v = 'ß'; DELETE FROM k WHERE rowid = 2; UPDATE k SET b = 2 WHERE b = 1;`,
      [t, { name: 'k', key: [] }],
    );
    expect(lines).toEqual(bySql);
    expect(found.filter((change) => change.kind === 'changed')).toHaveLength(2);
  });

  it('a table that is new or gone has all its rows added or removed, beside its definition', async () => {
    const {
      found,
      told: lines,
      bySql,
    } = await compared(
      'CREATE TABLE a(id INTEGER PRIMARY KEY, v); INSERT INTO a VALUES (1, 2)',
      'DROP TABLE a; CREATE TABLE b(id INTEGER PRIMARY KEY, v); INSERT INTO b VALUES (1, 2), (2, 3); CREATE VIEW v AS SELECT 1;',
      [
        { name: 'a', key: ['id'] },
        { name: 'b', key: ['id'] },
      ],
    );
    expect(lines).toEqual(bySql);
    expect(found.filter(({ kind }) => kind === 'schema')).toMatchObject([
      { type: 'table', object: 'a', before: expect.stringContaining('CREATE TABLE a') },
      { type: 'table', object: 'b', after: expect.stringContaining('CREATE TABLE b') },
      { type: 'view', object: 'v' },
    ]);
  });

  it('an empty file, and no database at all', async () => {
    const where = await place();
    sql(where.live, '');
    const empty = await capture(where);
    sql(where.live, 'CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (5)');
    const full = await capture(where);
    const shown = [{ kind: 'schema' }, { kind: 'added', key: { id: 5n } }];
    expect(await changes(where, empty, full)).toMatchObject(shown);
    expect(await changes(where, undefined, full)).toMatchObject(shown);
    expect(await changes(where, full, undefined)).toMatchObject([{ kind: 'schema' }, { kind: 'removed' }]);
    expect(await changes(where, full, full)).toEqual([]);
  });

  it('FTS5 and R*Tree show in the tables that hold their content; only the tables asked for', async () => {
    const where = await place();
    sql(
      where.live,
      "CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('hello'); CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1); INSERT INTO boxes VALUES (1, 0, 5); CREATE TABLE t(id INTEGER PRIMARY KEY);",
    );
    const before = await capture(where);
    sql(where.live, "INSERT INTO words VALUES ('world'); INSERT INTO t VALUES (1)");
    const after = await capture(where);
    expect(told(await changes(where, before, after))).toContain('added words_content c0="world",id=2');
    expect(told(await changes(where, before, after, ['T']))).toEqual(['added t id=1']);
    const error = await failure(changes(where, before, after, ['nope']));
    expect(error.kind).toBe('noMatch');
    expect(error.hints.join()).toContain('words_content');
  });
});

describe('the row of a key', () => {
  const row = (where: Place, copy: CapturedDatabase, table: string, ...key: string[]) =>
    sqliteEngine.row?.(where.context(), copy, table, key);

  it('is found by rowid, by the index of its key, in a table without rowids, and by a key of several columns', async () => {
    const where = await place();
    sql(
      where.live,
      `CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t ${many(5000, "i * 2, 'v' || i")};
       CREATE TABLE k(name TEXT PRIMARY KEY, v); INSERT INTO k ${many(5000, "'n' || i, i")};
       CREATE TABLE w(a, b REAL, v, PRIMARY KEY(b DESC, a)) WITHOUT ROWID; INSERT INTO w ${many(5000, "'x' || i, i, i")};
       CREATE TABLE u(a PRIMARY KEY, v); INSERT INTO u VALUES (1, 'number'), ('2', 'text'), (x'AB', 'bytes');
       CREATE TABLE f(a);`,
    );
    const copy = await capture(where);
    expect(await row(where, copy, 't', '42')).toEqual({ id: 42n, v: 'v21' });
    expect(await row(where, copy, 't', '43')).toBeUndefined();
    expect(await row(where, copy, 't', 'x')).toBeUndefined();
    expect(await row(where, copy, 'K', 'n77')).toEqual({ name: 'n77', v: 77n });
    expect(await row(where, copy, 'w', '4321', 'x4321')).toEqual({ a: 'x4321', b: 4321, v: 4321n });
    expect(await row(where, copy, 'u', '1')).toMatchObject({ v: 'number' });
    expect(await row(where, copy, 'u', '2')).toMatchObject({ v: 'text' });
    expect(await row(where, copy, 'u', "x'ab'")).toMatchObject({ v: 'bytes' });
    for (const [table, ...key] of [
      ['f', '1'],
      ['w', '1'],
      ['nope', '1'],
    ] as const)
      expect((await failure(row(where, copy, table, ...key) as Promise<unknown>)).kind).toBe('noMatch');
    expect(values(where.live, 'SELECT 1')).toEqual([1]);
  });
});
