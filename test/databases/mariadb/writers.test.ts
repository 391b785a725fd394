import { beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { readText } from '../../../src/databases/text/reader.ts';
import { MariadbProgram } from '../support/mariadbProgram.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace, type MariadbPlace } from './support.ts';

const captures = process.env['PITR_CAMPAIGN'] === '1' ? 100 : 10;

let server: MariadbServer;

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start();
}, 120_000);

/** The first numbers of a copy's rows, table by table. */
async function numbersOf(place: MariadbPlace, copy: CapturedDatabase): Promise<Record<string, number[]>> {
  const texts: Record<string, string> = {};
  for await (const { part, content } of readText(place.repository, copy.tree)) {
    const table = /^sql\/1-data\/\d+-(.*)$/.exec(part)?.[1];
    if (table !== undefined) texts[table] = (texts[table] ?? '') + content.toString();
  }
  return Object.fromEntries(
    Object.entries(texts).map(([table, text]) => [
      table,
      [...text.matchAll(/^\((\d+)/gm)].map(([, number]) => Number(number)),
    ]),
  );
}

/**
 * Round n, one transaction: row n in `log`, `log2` and `parts`, the counter at n. Every 10th empties `batch` and fills it
 * anew (a statement that ends transactions), every 15th writes `log` anew with another type, every 20th makes a table,
 * every 5th defines the function anew.
 */
const setUp = `
  CREATE TABLE log (n int PRIMARY KEY, sum varchar(40) NOT NULL);
  CREATE TABLE log2 (n int, FOREIGN KEY (n) REFERENCES log (n));
  CREATE TABLE counter (n int NOT NULL, id int PRIMARY KEY);
  CREATE TABLE batch (n int);
  CREATE TABLE parts (n int) PARTITION BY HASH (n) PARTITIONS 3;
  CREATE TABLE counted (id int PRIMARY KEY AUTO_INCREMENT, n int);
  INSERT INTO counter VALUES (0, 1);`;
const round = [
  { sql: 'BEGIN' },
  { sql: `INSERT INTO log VALUES ($n, MD5('$n')); INSERT INTO log2 VALUES ($n)` },
  { sql: 'UPDATE counter SET n = $n' },
  { sql: 'INSERT INTO parts VALUES ($n); INSERT INTO counted (n) VALUES ($n)' },
  { sql: 'COMMIT' },
  { every: 10, sql: 'TRUNCATE batch; BEGIN; INSERT INTO batch SELECT $n FROM seq_1_to_50; COMMIT' },
  { every: 15, sql: 'ALTER TABLE log MODIFY sum varchar(41); ALTER TABLE log MODIFY sum varchar(40)' },
  { every: 20, sql: 'CREATE TABLE made_$n AS SELECT $n AS n' },
  { every: 5, sql: 'CREATE OR REPLACE FUNCTION latest() RETURNS int DETERMINISTIC RETURN $n' },
];

/** Error unless a copy is exactly the state after some round, or between its statements that each commit. */
function requireCommitted(numbers: Record<string, number[]>, schema: string): number {
  const n = numbers['counter']?.[0] ?? 0;
  const upTo = Array.from({ length: n }, (_, index) => index + 1);
  const sorted = (table: string) => (numbers[table] ?? []).toSorted((a, b) => a - b);
  for (const table of ['log', 'log2', 'parts', 'counted'])
    expect([table, sorted(table)]).toEqual([table, upTo]);
  const filled = Math.floor(n / 10) * 10;
  const full = (value: number) => (value === 0 ? [] : Array<number>(50).fill(value));
  // In round 10 the old rows may still be there, or no row.
  const possible = n % 10 === 0 ? [full(filled), [], full(filled - 10)] : [full(filled)];
  expect(possible).toContainEqual(sorted('batch'));
  const made = upTo.filter((number) => number % 20 === 0);
  const there = (schema.match(/^CREATE TABLE `made_/gm) ?? []).length;
  expect(n % 20 === 0 ? [made.length, made.length - 1] : [made.length]).toContain(there);
  const counter = Number(/CREATE TABLE `counted` [^;]*AUTO_INCREMENT=(\d+)/s.exec(schema)?.[1] ?? 1);
  // The counter is in no transaction: a row that is not committed yet may have taken a number.
  expect(n === 0 ? [1, 2] : [n + 1, n + 2]).toContain(counter);
  const latest = Number(/FUNCTION `latest`[^;]*RETURN (\d+)/s.exec(schema)?.[1] ?? 0);
  expect(n % 5 === 0 ? [n, n - 5] : [Math.floor(n / 5) * 5]).toContain(latest);
  return n;
}

describe.skipIf(mariadbMissing !== undefined)(`MariaDB (${mariadbMissing ?? 'real server'})`, () => {
  it('each copy beside a writer is exactly one committed state, also beside TRUNCATE and DDL', {
    timeout: 900_000,
  }, async () => {
    server.create('busy');
    server.sql('busy', setUp);
    const place = await mariadbPlace(server, 'busy', { lockTimeout: 60_000 });
    const writer = await MariadbProgram.start(server.socket, 'busy');
    await writer.repeat(round);
    const seen = new Set<number>();
    const copies: CapturedDatabase[] = [];
    let last = 0;
    for (let turn = 0; turn < captures; turn++) {
      // Half of them without an earlier copy to know the tables from.
      const copy = await place.capture(turn % 2 === 0 ? undefined : copies.at(-1));
      copies.push(copy);
      let schema = '';
      for await (const { content } of readText(place.repository, copy.tree, [
        'sql/0-pre-data',
        'sql/2-post-data',
      ]))
        schema += content.toString();
      const n = requireCommitted(await numbersOf(place, copy), schema);
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
    await place.restore(chosen, await place.capture());
    expect((await place.capture()).tree).toBe(chosen.tree);
    console.log(
      `MariaDB: ${captures} copies beside ${rounds} transactions, 0 torn, ${seen.size} different states`,
    );
  });
});
