/** Rows through the program: diff --db, history, and single tables restored. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { OtherProgram, sqlite } from '../support/databases.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

const schema = `PRAGMA journal_mode = WAL;
  CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE orders(id INTEGER PRIMARY KEY AUTOINCREMENT, customer REFERENCES customers(id), total REAL);
  CREATE TABLE log(at INTEGER PRIMARY KEY, what TEXT);
  CREATE INDEX by_customer ON orders(customer);
  CREATE TRIGGER noted AFTER DELETE ON orders BEGIN INSERT INTO log(what) VALUES ('deleted ' || old.id); END;
  CREATE TRIGGER added AFTER INSERT ON orders BEGIN INSERT INTO log(what) VALUES ('inserted ' || new.id); END;
  INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
  INSERT INTO orders(customer, total) VALUES (1, 10), (1, 20), (2, 30);`;

function shop(): TestRepository & { file: string; first: string } {
  const repository = scratchRepository({ files: { '.gitignore': '*.db*\n' } });
  const file = repository.resolve('shop.db');
  sqlite(file, schema);
  repository.git('config', 'pitr.database.shop.path', 'shop.db');
  const taken = pitr(repository.path, ['snapshot', '-m', 'first', '--json']);
  return Object.assign(repository, { file, first: taken.json<{ snapshot: { id: string } }>().snapshot.id });
}

const ids = (file: string, table: string) =>
  sqlite(file, `SELECT group_concat(id, ' ') FROM (SELECT * FROM ${table} ORDER BY id)`);

describe('diff --db', () => {
  it('shows added, removed and changed rows, with old and new values, and definitions apart', () => {
    const { path, file } = shop();
    sqlite(
      file,
      "UPDATE orders SET total = 25 WHERE id = 2; INSERT INTO customers VALUES (3, 'two\nlines'); DELETE FROM customers WHERE id = 2; CREATE VIEW rich AS SELECT * FROM orders",
    );
    expect(pitr(path, ['diff', '--db', 'shop']).stdout).toBe(
      [
        'database shop: changed',
        'definitions',
        '  + view rich: CREATE VIEW rich AS SELECT * FROM orders',
        'table customers',
        "  - id 2: name 'Bob'",
        "  + id 3: name 'two\\nlines'",
        '  1 row added, 1 removed, 0 changed',
        'table orders',
        '  ~ id 2: total 20.0 -> 25.0',
        '  0 rows added, 0 removed, 1 changed',
        '',
      ].join('\n'),
    );
    expect(pitr(path, ['diff', '--db', 'shop', '--stat']).stdout).toContain(
      'table orders: 0 rows added, 0 removed, 1 changed\n',
    );
    expect(pitr(path, ['diff', '--db', 'shop.orders']).stdout).not.toContain('customers');
    expect(pitr(path, ['diff', '--db', 'shop.log']).stdout).toContain('Nothing differs');
    // Nothing of it was recorded.
    expect(pitr(path, ['list', '--json']).json<{ snapshots: unknown[] }>().snapshots).toHaveLength(1);
  });

  it('gives the same as JSON, for two snapshots', () => {
    const { path, file } = shop();
    sqlite(
      file,
      "UPDATE orders SET total = 25 WHERE id = 2; CREATE TABLE files(name TEXT PRIMARY KEY, size, body BLOB); INSERT INTO files VALUES ('a', 9007199254740993, x'00ff')",
    );
    pitr(path, ['snapshot']);
    const { databases } = pitr(path, ['diff', 'latest~1', 'latest', '--db', 'shop', '--json']).json<{
      databases: unknown[];
    }>();
    expect(databases).toEqual([
      {
        name: 'shop',
        status: 'changed',
        definitions: [
          {
            object: 'files',
            type: 'table',
            before: null,
            after: 'CREATE TABLE files(name TEXT PRIMARY KEY, size, body BLOB)',
          },
        ],
        tables: [
          { table: 'files', added: 1, removed: 0, changed: 0 },
          { table: 'orders', added: 0, removed: 0, changed: 1 },
        ],
        rows: [
          {
            table: 'files',
            change: 'added',
            key: { name: 'a' },
            before: null,
            after: { name: 'a', size: '9007199254740993', body: { base64: 'AP8=' } },
          },
          {
            table: 'orders',
            change: 'changed',
            key: { id: 2 },
            before: { id: 2, customer: 1, total: 20 },
            after: { id: 2, customer: 1, total: 25 },
          },
        ],
      },
    ]);
  });

  it('says which database or table it does not know, and why one cannot be read now', () => {
    const { path, file } = shop();
    expect(pitr(path, ['diff', '--db', 'nope'], { expectCode: 5 }).stderr).toContain('Registered: shop');
    expect(pitr(path, ['diff', '--db', 'shop.nope'], { expectCode: 5 }).stderr).toContain(
      'Tables: customers, log, orders',
    );
    pitr(path, ['diff', '--db', 'shop', '--name-only'], { expectCode: 2 });
    pitr(path, ['diff', '--db', 'shop', '--', '.gitignore'], { expectCode: 2 });
    sqlite(file, 'PRAGMA journal_mode = delete');
    scribble(file);
    expect(pitr(path, ['diff', '--db', 'shop'], { expectCode: 1 }).stderr).toContain('not a SQLite database');
  });
});

function scribble(file: string): void {
  writeFileSync(file, 'x'.repeat(5000));
}

describe('history', () => {
  it('lists each version of a row once, newest first, also where the table or the row was not there', () => {
    const { path, file } = shop();
    sqlite(file, 'UPDATE orders SET total = 25 WHERE id = 2');
    pitr(path, ['snapshot']);
    sqlite(file, 'UPDATE orders SET total = 1 WHERE id = 3');
    pitr(path, ['snapshot']);
    sqlite(file, 'DELETE FROM orders WHERE id = 2');
    pitr(path, ['snapshot']);
    const lines = pitr(path, ['history', '--db', 'shop.orders', '--key', '2']).stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^\w+ {2}\S+ \S+ \S+ {2}/, ''))).toEqual([
      'removed',
      'changed  total 20.0 -> 25.0',
      'added    id 2, customer 1, total 20.0',
    ]);
    const { versions } = pitr(path, ['history', '--db', 'shop.orders', '--key', '2', '--json']).json<{
      versions: { row: { total: number } | null; from: { id: string }; until: { id: string } }[];
    }>();
    expect(versions.map(({ row }) => row?.total)).toEqual([undefined, 25, 20]);
    // The middle one is in two snapshots.
    expect(versions.map(({ from, until }) => from.id === until.id)).toEqual([true, false, true]);
    expect(pitr(path, ['history', '--db', 'shop.orders', '--key', '99'], { expectCode: 5 }).stderr).toContain(
      'key 99',
    );
    expect(pitr(path, ['history', '--db', 'shop.nope', '--key', '1'], { expectCode: 5 }).stderr).toContain(
      'no table "nope"',
    );
    pitr(path, ['history', '--db', 'shop', '--key', '1'], { expectCode: 2 });
    pitr(path, ['history', '--db', 'shop.orders'], { expectCode: 2 });
  });
});

describe('restore --db NAME.TABLE', () => {
  it('brings back one table, fires no trigger, and leaves the others; undo takes it back', async () => {
    const { path, file } = shop();
    const other = new OtherProgram(file);
    await other.exec(
      "DELETE FROM orders WHERE id = 1; UPDATE orders SET total = 99 WHERE id = 3; INSERT INTO customers VALUES (9, 'New')",
    );
    const log = sqlite(file, 'SELECT count(*) FROM log');
    const plan = pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.orders', '--dry-run']).stdout;
    expect(plan).toContain('shop (sqlite), table orders: restore');
    expect(ids(file, 'orders')).toBe('2 3');
    pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.orders']);
    expect(await other.rows('SELECT id, total FROM orders')).toEqual([
      [1, 10],
      [2, 20],
      [3, 30],
    ]);
    expect(ids(file, 'customers')).toBe('1 2 9');
    expect(sqlite(file, 'SELECT count(*) FROM log')).toBe(log);
    // The triggers are there again, and the next commit of the other program is not lost.
    await other.exec('DELETE FROM orders WHERE id = 1');
    expect(sqlite(file, "SELECT count(*) FROM log WHERE what = 'deleted 1'")).toBe('2');
    expect(pitr(path, ['undo'], { expectCode: 4 }).stderr).toContain('shop');
    pitr(path, ['undo', '--force']);
    expect(sqlite(file, 'SELECT group_concat(total) FROM orders')).toBe('20.0,99.0');
    expect(ids(file, 'customers')).toBe('1 2 9');
    pitr(path, ['undo']);
    expect(sqlite(file, 'SELECT group_concat(total) FROM orders')).toBe('20.0,30.0');
    expect(sqlite(file, 'PRAGMA integrity_check')).toBe('ok');
  });

  it('is refused when rows would refer to what is not there, with all tables that must come along', () => {
    const { path, file, first } = shop();
    sqlite(
      file,
      "CREATE TABLE items(id INTEGER PRIMARY KEY, part_of REFERENCES orders(id)); DELETE FROM orders WHERE customer = 2; DELETE FROM customers WHERE id = 2; INSERT INTO customers VALUES (5, 'Eve'); INSERT INTO orders VALUES (7, 5, 1); INSERT INTO items VALUES (1, 7)",
    );
    const before = sqlite(file, '.dump');
    const alone = pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.customers', '--json'], {
      expectCode: 4,
    });
    const { error } = alone.json<{ error: { message: string; tables: string[]; hints: string[] } }>();
    expect(error.message).toContain('"customers"');
    expect(error.tables.toSorted()).toEqual(['customers', 'items', 'orders']);
    expect(sqlite(file, '.dump')).toBe(before);
    // Nothing is left behind that the next command would have to finish.
    const together = (error.hints[0] ?? '').split(': ').at(-1)?.split(' ') ?? [];
    pitr(path, ['restore', '--snapshot', first, ...together]);
    expect(ids(file, 'orders')).toBe('1 2 3');
    expect(sqlite(file, "SELECT count(*) FROM sqlite_schema WHERE name = 'items'")).toBe('0');
    expect(sqlite(file, 'PRAGMA foreign_key_check')).toBe('');
  });

  it('brings back what a table was: its columns, indexes and triggers; one that is gone, and one that was not there', () => {
    const { path, file } = shop();
    const then = sqlite(
      file,
      "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name IN ('orders', 'log') ORDER BY name",
    );
    sqlite(
      file,
      'DROP TRIGGER noted; DROP INDEX by_customer; ALTER TABLE orders ADD COLUMN extra; CREATE INDEX other ON orders(extra); DROP TABLE log; CREATE TABLE later(id INTEGER PRIMARY KEY)',
    );
    pitr(
      path,
      ['restore', '--snapshot', 'latest', '--db', 'shop.orders', '--db', 'shop.log', '--db', 'shop.later'],
      { expectCode: 'any' },
    );
    expect(
      sqlite(
        file,
        "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name IN ('orders', 'log') ORDER BY name",
      ),
    ).toBe(then);
    expect(ids(file, 'orders')).toBe('1 2 3');
    expect(sqlite(file, "SELECT count(*) FROM sqlite_schema WHERE name = 'later'")).toBe('0');
    // AUTOINCREMENT goes on from where it was.
    expect(sqlite(file, "SELECT seq FROM sqlite_sequence WHERE name = 'orders'")).toBe('3');
    pitr(path, ['undo']);
    expect(sqlite(file, "SELECT count(*) FROM sqlite_schema WHERE name IN ('later', 'other', 'log')")).toBe(
      '2',
    );
  });

  it('keeps rowids, tables without them, generated columns, letters of a NOCASE key, and a full-text index in step', () => {
    const { path, file } = shop();
    sqlite(
      file,
      `CREATE TABLE posts(title TEXT, body TEXT, words AS (length(body)) STORED); INSERT INTO posts(rowid, title, body) VALUES (5, 'a', 'hello there'), (9, 'b', 'good bye');
       CREATE VIRTUAL TABLE search USING fts5(title, body, content = 'posts'); INSERT INTO search(search) VALUES ('rebuild');
       CREATE TABLE tags(name TEXT COLLATE NOCASE PRIMARY KEY, n) WITHOUT ROWID; INSERT INTO tags VALUES ('Red', 1), ('blue', 1.0);`,
    );
    pitr(path, ['snapshot']);
    const all = 'SELECT rowid, title, body, words FROM posts; SELECT name, n, typeof(n) FROM tags';
    const then = sqlite(file, all);
    sqlite(
      file,
      "DELETE FROM posts WHERE rowid = 5; INSERT INTO search(search) VALUES ('rebuild'); UPDATE tags SET name = 'RED' WHERE name = 'red'; UPDATE tags SET n = 1",
    );
    pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.posts', '--db', 'shop.tags']);
    expect(sqlite(file, all)).toBe(then);
    expect(sqlite(file, "SELECT rowid FROM search WHERE search MATCH 'hello'")).toBe('5');
    expect(pitr(path, ['restore', '--snapshot', 'latest~1', '--db', 'shop.posts']).stdout).toContain(
      'is the same already',
    );
    sqlite(file, "INSERT INTO search(search) VALUES ('optimize'); INSERT INTO posts(title) VALUES ('c')");
    sqlite(file, "INSERT INTO search(rowid, title) VALUES (20, 'x')");
    expect(
      pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.search_data'], { expectCode: 4 }).stderr,
    ).toContain('FTS5');
  });

  it('waits for a write lock no longer than pitr.lockTimeout, and says so', async () => {
    const { path, file } = shop();
    sqlite(file, 'UPDATE orders SET total = 0');
    execFileSync('git', ['config', 'pitr.lockTimeout', '1s'], { cwd: path });
    const other = new OtherProgram(file);
    await other.exec('BEGIN IMMEDIATE');
    const start = Date.now();
    const busy = pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.orders'], { expectCode: 6 });
    expect(Date.now() - start).toBeLessThan(15_000);
    expect(busy.stderr).toContain('in use');
    await other.exec('COMMIT');
    expect(sqlite(file, 'SELECT sum(total) FROM orders')).toBe('0.0');
  });

  it('cannot be had with --into, or of a table that neither state has', () => {
    const { path } = shop();
    pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.orders', '--into', '../x'], {
      expectCode: 2,
    });
    expect(
      pitr(path, ['restore', '--snapshot', 'latest', '--db', 'shop.nope'], { expectCode: 5 }).stderr,
    ).toContain('no table "nope"');
  });
});
