import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { progressLine } from '../../src/cli/progress.ts';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { onTerminal } from '../support/terminal.ts';

/** A line on a terminal of 60 columns, by a clock that stands still until it is set. */
function line(columns = 60) {
  const at = { time: 0 };
  const written: string[] = [];
  const progress = progressLine(
    (text) => written.push(text),
    () => columns,
    () => at.time,
  );
  return { progress, at, written, last: () => written.at(-1)?.replace('\r\x1b[K', '') };
}

const MiB = 1024 ** 2;

describe('the line of progress', () => {
  test('does not appear in the first 300 ms', () => {
    const { progress, at, written } = line();
    progress.begin('recording', { files: 10, bytes: 1000 });
    at.time = 299;
    progress.advance({ files: 1, bytes: 100 }, 'a.txt');
    progress.end();
    expect(written).toEqual([]);
  });

  test('says files, bytes, rate, and how long it will take', () => {
    const { progress, at, last } = line(100);
    progress.begin('recording', { files: 10, bytes: 100 * MiB });
    at.time = 2000;
    progress.advance({ files: 2, bytes: 40 * MiB }, 'dir/a.txt');
    expect(last()).toBe('recording: 2/10 files, 40 MiB/100 MiB, 20 MiB/s, 3 s left  dir/a.txt');
    progress.end();
  });

  test('goes by files where nobody knows the bytes', () => {
    const { progress, at, last } = line(100);
    progress.begin('restoring', { files: 1000 });
    at.time = 500;
    progress.advance({ files: 250 });
    expect(last()).toBe('restoring: 250/1000 files, 500 files/s, 2 s left');
    progress.end();
  });

  test('says how long it has been where there is nothing to count', () => {
    const { progress, at, last } = line();
    progress.begin('looking for changes');
    at.time = 400;
    progress.advance({});
    expect(last()).toBe('looking for changes');
    at.time = 3100;
    progress.advance({});
    expect(last()).toBe('looking for changes: 3 s');
    progress.end();
  });

  test('counts each part of the work from its own beginning', () => {
    const { progress, at, last } = line(100);
    progress.begin('first', { files: 10 });
    at.time = 10_000;
    progress.advance({ files: 10 });
    progress.begin('second', { files: 4 });
    at.time = 11_000;
    progress.advance({ files: 1 });
    expect(last()).toBe('second: 1/4 files, 1 files/s, 3 s left');
    progress.end();
  });

  test('is redrawn ten times a second at most', () => {
    const { progress, at, written } = line();
    progress.begin('recording', { files: 10_000 });
    for (let n = 0; n < 10_000; n++) {
      at.time = 300 + n / 10;
      progress.advance({ files: 1 });
    }
    expect(written.length).toBeGreaterThan(5);
    expect(written.length).toBeLessThanOrEqual(11);
    progress.end();
  });

  test('is never wider than the terminal, and shows a newline in a name as what it is', () => {
    const { progress, at, last } = line(40);
    progress.begin('recording', { files: 10 });
    at.time = 1000;
    progress.advance({ files: 1 }, `a\nb${'x'.repeat(100)}`);
    expect(last()).toHaveLength(39);
    expect(last()).not.toContain('\n');
    progress.end();
  });

  test('goes away at the end, and does not come back', () => {
    const { progress, at, written } = line();
    progress.begin('recording', { files: 10 });
    at.time = 1000;
    progress.advance({ files: 1 });
    progress.end();
    expect(written.at(-1)).toBe('\r\x1b[K');
    const before = written.length;
    at.time = 5000;
    progress.advance({ files: 1 });
    progress.begin('more');
    progress.end();
    expect(written).toHaveLength(before);
  });
});

/** An environment in which `sync`, or some git commands, take half a second longer, as on a slow disk. */
function slow(...commands: string[]): Record<string, string> {
  const bin = path.join(scratchFolder(), 'bin');
  mkdirSync(bin);
  for (const program of ['git', 'sync']) {
    const asked = program === 'git' ? '$1' : 'sync';
    const wait = `case " ${commands.join(' ')} " in *" ${asked} "*) sleep 0.6 ;; esac`;
    const script = `#!/bin/sh\n${wait}\nPATH="\${PATH#*:}"\nexec ${program} "$@"\n`;
    writeFileSync(path.join(bin, program), script);
    chmodSync(path.join(bin, program), 0o755);
  }
  return { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
}

function worked(): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'b.txt': 'b\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\n');
  repository.write('new.txt', 'new\n');
  return repository;
}

describe('on a terminal', () => {
  const restore = ['restore', '--snapshot', 'latest', '--yes'];
  const cases: [string, string[], string[], RegExp][] = [
    ['snapshot looks for changes', ['snapshot'], ['diff-files'], /looking for changes/],
    ['snapshot records files', ['snapshot'], ['update-index'], /recording: 0\/2 files, 0 B\/12 B/],
    ['snapshot is written', ['snapshot'], ['fast-import'], /writing the snapshot/],
    ['diff looks for changes', ['diff', '--stat'], ['diff-files'], /looking for changes/],
    ['diff records what it compares', ['diff', '--stat'], ['update-index'], /recording: 0\/2 files/],
    ['restore looks for changes', restore, ['diff-files'], /looking for changes/],
    ['restore records the state before', restore, ['update-index'], /recording: 0\/2 files, 0 B\/12 B/],
    ['restore writes the safety snapshot', restore, ['update-ref'], /writing the snapshot/],
    ['restore waits for the disk', restore, ['sync'], /waiting for the disk/],
    ['undo', ['undo', '--yes'], ['diff-files'], /looking for changes/],
    [
      'restore --into',
      ['restore', '--snapshot', 'latest', '--into', 'out'],
      ['sync'],
      /waiting for the disk/,
    ],
  ];

  test.each(cases)('%s: progress is shown and then gone', async (_, args, commands, shown) => {
    const repository = worked();
    if (args[0] === 'undo') pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    const { code, written, text } = await onTerminal(repository.path, args, { env: slow(...commands) });
    expect(code).toBe(0);
    expect(written).toMatch(shown);
    expect(text).not.toMatch(/looking for|recording|preparing|writing the|waiting/);
  });

  test('a database that is copied, recorded and restored is named, with its bytes', async () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
    const file = repository.resolve('shop.db');
    const database = new Database(file);
    database.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    repository.git('config', 'pitr.database.shop.path', 'shop.db');
    const snapshot = await onTerminal(repository.path, ['snapshot'], {
      env: slow('fast-import', 'cat-file'),
    });
    expect(snapshot.code).toBe(0);
    expect(snapshot.written).toMatch(/recording the database shop: (0 B|8\.0 KiB)\/8\.0 KiB/);
    database.exec('INSERT INTO t VALUES (2)');
    const args = ['restore', '--snapshot', 'latest', '--db', 'shop', '--yes'];
    const restore = await onTerminal(repository.path, args, { env: slow('cat-file') });
    expect(restore.code).toBe(0);
    expect(restore.written).toMatch(/preparing the database shop: (0 B|8\.0 KiB)\/8\.0 KiB/);
    expect(database.prepare('SELECT count(*) FROM t').pluck().get()).toBe(1);
    database.close();
  });

  test.each([['--quiet'], ['--json']])('none with %s', async (option) => {
    const repository = worked();
    const env = slow('diff-files', 'update-index');
    const { code, written } = await onTerminal(repository.path, ['snapshot', option], { env });
    expect(code).toBe(0);
    expect(written).not.toMatch(/looking for|recording:/);
  });

  test('an error is not printed behind the line of progress', async () => {
    const repository = worked();
    repository.git('config', 'pitr.maxSnapshotSize', '1');
    const { code, text } = await onTerminal(repository.path, ['snapshot'], { env: slow('diff-files') });
    expect(code).toBe(4);
    expect(text).toMatch(/^error: The snapshot would add/);
  });
});

test.each([
  ['snapshot', ['snapshot']],
  ['restore', ['restore', '--snapshot', 'latest', '--yes']],
])('%s shows no progress where standard error is no terminal', (_, args) => {
  const repository = worked();
  expect(pitr(repository.path, args, { env: slow('diff-files', 'update-index') }).stderr).toBe('');
});
