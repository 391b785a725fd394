/** For any schema and any changes, the row diff of two recorded files is what SQL says of the two files. */
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { writeImage } from '../../../src/databases/imageWriter.ts';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { diffSqlite } from '../../../src/databases/sqlite/rows/diff.ts';
import { place, type Place } from '../support/engine.ts';
import { line, type SqlTable, sqlDiff } from '../support/sqlRows.ts';

const campaign = process.env['PITR_CAMPAIGN'] === '1';
const runs = campaign ? 1000 : 50;

const tables: readonly (SqlTable & { sql: string; columns: string })[] = [
  {
    name: 'plain',
    key: ['id'],
    columns: 'id, v, w',
    sql: 'CREATE TABLE plain(id INTEGER PRIMARY KEY, v, w REAL)',
  },
  {
    name: 'named',
    key: ['k'],
    columns: 'k, v, w',
    sql: 'CREATE TABLE named(k TEXT PRIMARY KEY NOT NULL, v, w INT, s AS (w + 1) STORED, x AS (w + 2))',
  },
  {
    name: 'wide',
    key: ['b', 'a'],
    columns: 'a, v, b',
    sql: 'CREATE TABLE wide(a TEXT COLLATE NOCASE, v, b INT, PRIMARY KEY(b DESC, a)) WITHOUT ROWID',
  },
  { name: 'keyless', key: [], columns: 'a, v, b', sql: 'CREATE TABLE keyless(a, v, b)' },
];

/** Columns are added with this default, and a column that one side lacks counts as holding it. */
const compared = tables.map((table) => ({ ...table, missing: '5' }));

const step = fc.record({
  what: fc.constantFrom(
    'insert',
    'insert',
    'update',
    'update',
    'inPlace',
    'delete',
    'deleteMany',
    'grow',
    'vacuum',
    'reindex',
    'index',
    'rewrite',
    'column',
    'incremental',
    'drop',
    'create',
  ),
  table: fc.nat(tables.length - 1),
  from: fc.nat(400),
  many: fc.nat(120),
  size: fc.constantFrom(0, 3, 40, 300, 2000, 9000),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

const scenario = fc.record({
  pageSize: fc.constantFrom(512, 1024, 4096, 65_536),
  reserve: fc.boolean(),
  vacuum: fc.constantFrom('NONE', 'FULL', 'INCREMENTAL'),
  encoding: fc.constantFrom('UTF-8', 'UTF-16le', 'UTF-16be'),
  before: fc.array(step, { minLength: 2, maxLength: 12 }),
  after: fc.array(step, { minLength: 1, maxLength: 8 }),
});

/** Statements that fail (a key that is there already, a table that is gone) change nothing, as in life. */
function carryOut(connection: Database.Database, { what, table, from, many, size }: Step): void {
  const { name, columns, sql } = tables[table] as (typeof tables)[number];
  const value = `CASE i % 4 WHEN 0 THEN randomblob(${size}) WHEN 1 THEN hex(randomblob(${(size / 2) | 0})) WHEN 2 THEN i ELSE i / 4.0 END`;
  const numbers = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + many})`;
  const [first, , last] = columns.split(', ') as [string, string, string];
  const where =
    name === 'plain'
      ? `id BETWEEN ${from} AND ${from + (many >> 2)}`
      : `${last} BETWEEN ${from} AND ${from + (many >> 2)}`;
  const statement = {
    insert: `INSERT OR IGNORE INTO ${name}(${columns}) ${numbers} SELECT ${name === 'plain' ? 'i' : `'Key' || i`}, ${value}, i FROM n`,
    update: `UPDATE ${name} SET v = ${value.replaceAll('i %', `${from} %`).replaceAll('THEN i', `THEN ${from}`).replaceAll('ELSE i', `ELSE ${from}`)} WHERE ${where}`,
    inPlace: `UPDATE ${name} SET v = CAST(substr(v, 1, length(v) - 3) || x'585858' AS BLOB) WHERE typeof(v) = 'blob' AND length(v) > 3 AND ${where}`,
    delete: `DELETE FROM ${name} WHERE ${where}`,
    deleteMany: `DELETE FROM ${name} WHERE ${last} % 3 = ${many % 3}`,
    grow: `INSERT OR IGNORE INTO ${name}(${columns}) ${numbers} SELECT ${name === 'plain' ? '-i - 1000' : `'key ' || -i`}, ${value}, -i FROM n`,
    vacuum: 'VACUUM',
    reindex: 'REINDEX',
    index: `CREATE INDEX IF NOT EXISTS i_${name} ON ${name}(v)`,
    rewrite: `CREATE TABLE IF NOT EXISTS moved AS SELECT * FROM ${name}; DELETE FROM ${name}; INSERT INTO ${name}(${columns}) SELECT ${columns} FROM moved ORDER BY ${first} DESC; DROP TABLE moved`,
    column: `ALTER TABLE ${name} ADD COLUMN extra${many} TEXT DEFAULT 5`,
    incremental: 'PRAGMA incremental_vacuum(20)',
    drop: `DROP TABLE ${name}`,
    create: sql,
  }[what];
  try {
    connection.exec(statement ?? '');
  } catch (error) {
    if (!/UNIQUE|no such table|already exists|duplicate column/.test(String(error))) throw error;
    if (connection.inTransaction) connection.exec('ROLLBACK');
  }
}

async function recorded(where: Place, file: string, previous?: string): Promise<CapturedDatabase> {
  const { tree, bytes, sha256 } = await writeImage(where.repository, file, previous);
  return { name: 'app', engine: 'sqlite', bytes, sha256, tree };
}

async function told(where: Place, from: CapturedDatabase, to: CapturedDatabase): Promise<string[]> {
  const lines: string[] = [];
  for await (const change of diffSqlite(where.context(), from, to)) {
    if (change.kind === 'schema') continue;
    const { kind, table, before, after } = change;
    const shown = [before, after].flatMap((row) => (row === undefined ? [] : [line(row)]));
    lines.push(`${kind} ${table} ${shown.join(' -> ')}`);
  }
  return lines.toSorted();
}

it(
  `agrees with SQL, both ways (${runs} runs)`,
  async () => {
    const where = await place();
    const { scratchDir } = where.context();
    let run = 0;
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(scenario, async ({ pageSize, vacuum, encoding, before, after }) => {
        const [old, recent] = ['old', 'new'].map((name) => path.join(scratchDir, `${run}-${name}.db`)) as [
          string,
          string,
        ];
        run++;
        const connection = new Database(recent);
        connection.exec(
          `PRAGMA page_size = ${pageSize}; PRAGMA auto_vacuum = ${vacuum}; PRAGMA encoding = '${encoding}'; PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY`,
        );
        for (const { sql } of tables) connection.exec(sql);
        for (const one of before) carryOut(connection, one);
        copyFileSync(recent, old);
        const from = await recorded(where, old);
        for (const one of after) carryOut(connection, one);
        connection.close();
        const to = await recorded(where, recent, from.tree);
        const expected = sqlDiff(old, recent, compared).toSorted();
        changes += expected.length;
        expect(await told(where, from, to)).toEqual(expected);
        expect(await told(where, to, from)).toEqual(sqlDiff(recent, old, compared).toSorted());
      }),
      {
        numRuns: runs,
        ...(process.env['PITR_SEED'] === undefined ? {} : { seed: Number(process.env['PITR_SEED']) }),
      },
    );
    // Else nothing was compared.
    expect(changes).toBeGreaterThan(runs);
  },
  campaign ? 3_600_000 : 60_000,
);
