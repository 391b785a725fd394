import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { findSqliteFiles } from '../../../src/databases/sqlite/detect.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { sql } from '../support/engine.ts';

function database(root: string, file: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  sql(path.join(root, file), 'CREATE TABLE t(x)');
}

it('finds databases by their content, whatever their names, outside of dependencies', async () => {
  const root = scratchFolder();
  for (const file of [
    'app.db',
    'data/store',
    'data/deep/er/Größe.sqlite3',
    'node_modules/x/y.db',
    'sub/.venv/z.db',
    '.git/a.db',
    'sub/vendor/b.db',
  ])
    database(root, file);
  writeFileSync(path.join(root, 'empty.db'), '');
  writeFileSync(path.join(root, 'text.db'), 'x'.repeat(9000));
  writeFileSync(path.join(root, 'app.db-wal'), 'SQLite format 3\0'.repeat(100));
  symlinkSync('app.db', path.join(root, 'link.db'));
  symlinkSync('data', path.join(root, 'linked'));
  const found = await findSqliteFiles(root);
  expect(found.map(({ path, proposedName }) => [path, proposedName])).toEqual([
    ['app.db', 'app'],
    ['data/deep/er/Größe.sqlite3', 'Gro-e'],
    ['data/store', 'store'],
  ]);
  expect(found[0]?.bytes).toBe(8192);
});

it('tells equal names apart by folder, then by number, and makes them valid', async () => {
  const root = scratchFolder();
  for (const file of [
    'a/app.db',
    'b/app.sqlite',
    'App.db',
    'b/APP.db',
    '..odd..name.db',
    `${'long'.repeat(40)}.db`,
    '日本.db',
    'x/日本.db',
  ])
    database(root, file);
  const names = (await findSqliteFiles(root)).map(({ proposedName }) => proposedName);
  expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(8);
  for (const name of names) {
    expect(name).toMatch(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/);
    expect(name).not.toContain('..');
  }
  expect(names).toEqual(
    expect.arrayContaining(['App', 'a-app', 'b-APP', 'b-app-2', 'odd.name', 'database', 'x-database']),
  );
});

it('stops at its limits, with what is near the top', async () => {
  const root = scratchFolder();
  database(root, 'top.db');
  database(root, 'a/b/c/deep.db');
  for (let n = 0; n < 300; n++) writeFileSync(path.join(root, 'a/b', `f${n}`), '');
  const paths = async (options: Parameters<typeof findSqliteFiles>[1]) =>
    (await findSqliteFiles(root, options)).map(({ path }) => path);
  expect(await paths({})).toEqual(['a/b/c/deep.db', 'top.db']);
  expect(await paths({ maxDepth: 2 })).toEqual(['top.db']);
  expect(await paths({ maxEntries: 50 })).toEqual(['top.db']);
  expect(await paths({ exclude: [path.join(root, 'top.db')] })).toEqual(['a/b/c/deep.db']);
  expect(await findSqliteFiles(path.join(root, 'nowhere'))).toEqual([]);
});
