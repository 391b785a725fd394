/** Rows of the design's table that are about databases. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TestRepository } from '../support/repository.ts';
import { compare, peakOf, pitr, type Row, run } from './measure.ts';

/** A shop's orders: numbers, names that repeat, text, and what does not compress. */
function makeShop(file: string, rows: number, filler: number): void {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})`;
  const body =
    filler === 0
      ? ''
      : `|| ' Some words about what was ordered, at what time and by whom: ' || hex(randomblob(${filler}))`;
  run(path.dirname(file), 'sqlite3', [
    file,
    `PRAGMA journal_mode = WAL;
     CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, note TEXT);
     CREATE INDEX by_customer ON orders(customer);
     INSERT INTO orders(customer, total, note) ${numbers}
       SELECT 'customer ' || (i % 5000), i * 0.25, 'order number ' || i || ' ' || hex(randomblob(12)) ${body} FROM n;`,
  ]);
}

function changeThree(file: string, turn: number | string): void {
  run(path.dirname(file), 'sqlite3', [
    file,
    `UPDATE orders SET note = 'changed in turn ${turn}' WHERE id IN (1000, 500000, 900000)`,
  ]);
}

function place(): { repository: TestRepository; store: string; file: string } {
  const repository = new TestRepository({ files: { '.gitignore': '*.db*\n' }, commit: true });
  repository.git('config', 'pitr.database.shop.path', 'shop.db');
  return {
    repository,
    store: mkdtempSync(path.join(tmpdir(), 'git-pitr-bench-')),
    file: repository.resolve('shop.db'),
  };
}

function resticIn(store: string, name: string) {
  const env = {
    RESTIC_REPOSITORY: path.join(store, name),
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: path.join(store, 'cache'),
  };
  run(store, 'restic', ['init', '--quiet'], { env });
  return (file: string) => run(store, 'restic', ['backup', '--quiet', file], { env });
}

/** A live database of 500 MB, with a connection's WAL beside it as it comes. */
function* liveRows(): Generator<Row> {
  const { repository, store, file } = place();
  const cwd = repository.path;
  makeShop(file, 1_100_000, 100);
  const size = `${Math.round(statSync(file).size / 1e6)} MB`;
  const refs = ['refs/pitr/main', 'refs/notes/pitr'];
  yield compare({
    work: `first capture of a live SQLite database of ${size}`,
    against: 'restic backup, first',
    target: 1,
    pairs: 2,
    prepare: (turn, side) => {
      if (side === 'theirs') return;
      for (const ref of refs) run(cwd, 'git', ['update-ref', '-d', ref]);
      rmSync(path.join(cwd, '.git/pitr'), { recursive: true, force: true });
      run(cwd, 'git', ['reflog', 'expire', '--expire=now', '--all']);
      run(cwd, 'git', ['gc', '--quiet', '--prune=now']);
      rmSync(path.join(store, `first-${turn}`), { recursive: true, force: true });
    },
    ours: () => pitr(cwd, ['snapshot', '-q']),
    theirs: () => {
      const name = `first-${performance.now()}`;
      resticIn(store, name)(file);
      rmSync(path.join(store, name), { recursive: true, force: true });
    },
  });
  for (const ref of refs) run(cwd, 'git', ['update-ref', '-d', ref]);
  rmSync(path.join(cwd, '.git/pitr'), { recursive: true, force: true });
  run(cwd, 'git', ['gc', '--quiet', '--prune=now']);
  const firstPeak = peakOf(cwd, ['snapshot', '-q']);
  const backup = resticIn(store, 'live');
  const copy = path.join(store, 'copy.db');
  const both = () => {
    rmSync(copy, { force: true });
    run(cwd, 'sqlite3', [file, `.backup '${copy}'`]);
    backup(copy);
  };
  both();
  const row = compare({
    work: `live SQLite database of ${size}, 3 rows changed`,
    against: 'sqlite3 .backup + restic backup',
    target: 0.6,
    pairs: 5,
    prepare: (turn, side) => changeThree(file, `${turn} ${side}`),
    ours: () => pitr(cwd, ['snapshot', '-q']),
    theirs: both,
  });
  changeThree(file, 'peak');
  const peak = Math.max(peakOf(cwd, ['snapshot', '-q']) ?? 0, firstPeak ?? 0);
  yield peak === 0 ? row : { ...row, peakMiB: peak };
  rmSync(cwd, { recursive: true, force: true });
  rmSync(store, { recursive: true, force: true });
}

/** Both sides tell which three rows of a million differ; the snapshots and the two files are there already. */
function* diffRow(filler: number): Generator<Row> {
  const { repository, store, file } = place();
  const cwd = repository.path;
  const [before, after] = [path.join(store, 'before.db'), path.join(store, 'after.db')];
  makeShop(file, 1_000_000, filler);
  for (const copy of [before, after]) {
    if (copy === after) changeThree(file, 'diff');
    pitr(cwd, ['snapshot', '-q']);
    run(cwd, 'sqlite3', [file, `.backup '${copy}'`]);
  }
  const size = `${Math.round(statSync(before).size / 1e6)} MB`;
  yield compare({
    work: `diff --db, 1,000,000 rows (${size}), 3 changed`,
    against: 'sqldiff',
    target: 0.2,
    pairs: 10,
    ours: () => {
      const shown = pitr(cwd, ['diff', 'latest~1', 'latest', '--db', 'shop']);
      if (!shown.includes('0 rows added, 0 removed, 3 changed')) throw new Error(shown);
    },
    theirs: () => {
      const shown = run(cwd, 'sqldiff', [before, after]);
      if (shown.split('\n').length !== 3) throw new Error(shown);
    },
  });
  rmSync(cwd, { recursive: true, force: true });
  rmSync(store, { recursive: true, force: true });
}

export function* databaseRows(): Generator<Row> {
  yield* diffRow(0);
  yield* diffRow(100);
  yield* liveRows();
}
