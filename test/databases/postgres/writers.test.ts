import { beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { readText } from '../../../src/databases/text/reader.ts';
import { PgProgram } from '../support/pg-program.ts';
import { PostgresServer, postgresMissing } from '../support/servers.ts';
import { postgresPlace, type PostgresPlace } from './support.ts';

const captures = process.env['PITR_CAMPAIGN'] === '1' ? 100 : 10;

let server: PostgresServer;

beforeAll(async () => {
  if (postgresMissing === undefined) server = await PostgresServer.start();
});

/** The rows of a copy, table by table. */
async function rowsOf(place: PostgresPlace, copy: CapturedDatabase): Promise<Record<string, string[][]>> {
  const texts: Record<string, string> = {};
  for await (const { part, content } of readText(place.repository, copy.tree)) {
    const table = /^sql\/1-data\/\d+-public\.(.*)$/.exec(part)?.[1];
    if (table !== undefined) texts[table] = (texts[table] ?? '') + content.toString();
  }
  return Object.fromEntries(
    Object.entries(texts).map(([table, text]) => [
      table,
      text
        .split('\n')
        .slice(1, -2)
        .map((line) => line.split('\t')),
    ]),
  );
}

/**
 * Round n, one transaction: row n in `log`, the counter at n, `part` moved on; every 200th empties `batch` and fills it
 * anew, every 700th writes `log` anew with another type, every 100th makes a table.
 */
const setUp = `
  CREATE TABLE log (n int PRIMARY KEY, check_sum text NOT NULL);
  CREATE TABLE log2 (n int REFERENCES log DEFERRABLE INITIALLY DEFERRED, t text);
  CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL);
  CREATE TABLE batch (n int);
  CREATE TABLE kept (n int) PARTITION BY RANGE (n);
  CREATE TABLE kept_low PARTITION OF kept FOR VALUES FROM (0) TO (500);
  CREATE TABLE kept_high PARTITION OF kept FOR VALUES FROM (500) TO (1000000);
  INSERT INTO counter VALUES (1, 0);`;
const round = [
  'BEGIN',
  `INSERT INTO log2 VALUES ($n, 'row $n')`,
  `INSERT INTO log VALUES ($n, md5('$n'))`,
  'UPDATE counter SET n = $n',
  'INSERT INTO kept VALUES ($n)',
  { every: 200, sql: 'TRUNCATE batch' },
  { every: 200, sql: 'INSERT INTO batch SELECT $n FROM generate_series(1, 100)' },
  { every: 700, sql: 'ALTER TABLE log ALTER n TYPE bigint; ALTER TABLE log ALTER n TYPE int' },
  { every: 100, sql: 'CREATE TABLE made_$n AS SELECT $n AS n' },
  'COMMIT',
];

/** Error unless a copy is exactly the state after some round. Gives the round. */
function requireCommitted(rows: Record<string, string[][]>, schema: string): number {
  const n = Number(rows['counter']?.[0]?.[1]);
  const numbers = (table: string) => (rows[table] ?? []).map(([first]) => Number(first));
  const upTo = Array.from({ length: n }, (_, index) => index + 1);
  expect(numbers('log')).toEqual(upTo);
  expect(numbers('log2').toSorted((a, b) => a - b)).toEqual(upTo);
  expect([...numbers('kept_low'), ...numbers('kept_high')].toSorted((a, b) => a - b)).toEqual(upTo);
  const filled = Math.floor(n / 200) * 200;
  expect(numbers('batch')).toEqual(filled === 0 ? [] : Array<number>(100).fill(filled));
  const made = upTo.filter((number) => number % 100 === 0);
  for (const number of made) expect(numbers(`made_${number}`)).toEqual([number]);
  expect(schema.match(/^CREATE TABLE public\.made_/gm) ?? []).toHaveLength(made.length);
  return n;
}

describe.skipIf(postgresMissing !== undefined)(`PostgreSQL (${postgresMissing ?? 'real server'})`, () => {
  it('each copy beside a writer is exactly one committed state, also beside TRUNCATE and DDL', {
    timeout: 600_000,
  }, async () => {
    server.create('busy');
    server.sql('busy', setUp);
    const place = await postgresPlace(server, 'busy', { lockTimeout: 30_000 });
    const writer = await PgProgram.start({ host: server.folder, port: server.port, database: 'busy' });
    await writer.repeat(round);
    const seen = new Set<number>();
    const copies: CapturedDatabase[] = [];
    let copy: CapturedDatabase | undefined;
    let last = 0;
    for (let turn = 0; turn < captures; turn++) {
      copy = await place.capture(copy);
      copies.push(copy);
      let schema = '';
      for await (const { content } of readText(place.repository, copy.tree, ['sql/0-pre-data']))
        schema += content.toString();
      const n = requireCommitted(await rowsOf(place, copy), schema);
      expect(n).toBeGreaterThanOrEqual(last);
      last = n;
      seen.add(n);
    }
    const rounds = await writer.stop();
    expect(last).toBeLessThanOrEqual(rounds);
    // Else the writer stood still, and nothing was shown.
    expect(seen.size).toBeGreaterThan(captures / 2);
    await writer.end();
    const chosen = copies[Math.floor(copies.length / 2)] as CapturedDatabase;
    await place.restore(chosen, await place.capture(copy));
    const back = await place.capture();
    expect(await rowsOf(place, back)).toEqual(await rowsOf(place, chosen));
    console.log(
      `PostgreSQL: ${captures} copies beside ${rounds} transactions, 0 torn, ${seen.size} different states`,
    );
  });
});
