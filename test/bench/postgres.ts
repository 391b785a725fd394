/** The row of the design's table that is about PostgreSQL, on a server of its own. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { cleanEnvironment } from '../support/environment.ts';
import { removeFolder, temporaryFolder, TestRepository } from '../support/repository.ts';
import { compare, peakOf, pitr, type Row, run } from './measure.ts';

/** The server refuses to run as root. */
const ordinary = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

function binFolder(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  const newest = versions.toSorted((a, b) => b - a)[0];
  if (newest === undefined) throw new Error('PostgreSQL is not installed: apt install postgresql');
  return `${root}/${newest}/bin`;
}

function startServer(bin: string): { folder: string; stop: () => void } {
  const folder = temporaryFolder();
  const data = path.join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  chmodSync(folder, 0o755);
  if (ordinary.uid !== undefined)
    for (const dir of [folder, data]) chownSync(dir, ordinary.uid, ordinary.gid);
  const as = (program: string, ...args: string[]) =>
    execFileSync(path.join(bin, program), args, {
      ...ordinary,
      cwd: folder,
      env: cleanEnvironment(),
      stdio: 'ignore',
    });
  as('initdb', '--pgdata', data, '--username=postgres', '--auth=trust', '--no-sync', '--locale=C.UTF-8');
  as('pg_ctl', '-D', data, '-w', '-o', `-k ${folder} -h '' -F`, '-l', path.join(folder, 'log'), 'start');
  const stop = () => {
    as('pg_ctl', '-D', data, '-w', '-m', 'immediate', 'stop');
    removeFolder(folder);
  };
  return { folder, stop };
}

export function* postgresRows(pairs: number): Generator<Row> {
  const bin = binFolder();
  const { folder, stop } = startServer(bin);
  try {
    const env = { PGHOST: folder, PGUSER: 'postgres', PGDATABASE: 'postgres' };
    const sql = (text: string) => run(folder, path.join(bin, 'psql'), ['-X', '-q', '-c', text], { env });
    sql(
      `CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, state text NOT NULL, made timestamptz NOT NULL, total numeric(10, 2), address text, note text)`,
    );
    sql(`INSERT INTO orders SELECT i, i % 5000, (ARRAY['open', 'paid', 'sent'])[1 + i % 3], '2026-01-01'::timestamptz + i * interval '1 s', i % 1000 + 0.5,
      'Street ' || md5((i % 977)::text) || ', Town ' || i % 311, 'order ' || i || ' ' || md5(i::text) || ' some words about what was ordered, at what time and by whom' FROM generate_series(1, 1000000) i`);
    sql('VACUUM ANALYZE orders');
    const repository = new TestRepository({ files: { 'a.txt': '' }, commit: true });
    repository.git('config', 'pitr.database.shop.url', `host=${folder} user=postgres dbname=postgres`);
    pitr(repository.path, ['snapshot']);
    const change = (turn: number | string) =>
      sql(`UPDATE orders SET note = 'changed in turn ${turn}' WHERE id IN (1000, 500000, 900000)`);
    const row = compare({
      work: 'PostgreSQL, 1,000,000 rows, 3 changed',
      against: 'pg_dump | wc -c',
      target: 1.3,
      pairs,
      prepare: (turn, side) => void (side === 'ours' && change(turn)),
      ours: () => pitr(repository.path, ['snapshot']),
      theirs: () => run(folder, 'sh', ['-c', `${bin}/pg_dump | wc -c`], { env }),
    });
    change('last');
    const peakMiB = peakOf(repository.path, ['snapshot']);
    yield { ...row, ...(peakMiB === undefined ? {} : { peakMiB }) };
    repository.dispose();
  } finally {
    stop();
  }
}
