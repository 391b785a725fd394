import { renameSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { failure } from '../support/engine.ts';
import { MariadbProgram } from '../support/mariadbProgram.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace } from './support.ts';

/**
 * MariaDB lists the files of definitions, and `ALTER TABLE` takes one away before it puts the new one there. What holds
 * for microseconds is held here: the file is moved, and what makes `ALTER TABLE` wait in that step is a lock on a child.
 */
let server: MariadbServer;

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start();
}, 120_000);

const tables = `
  CREATE TABLE parent (id int PRIMARY KEY, v varchar(9)); CREATE TABLE alone (id int PRIMARY KEY);
  CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id));
  INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (1, 1); INSERT INTO alone VALUES (7);`;
const whole = { parent: 2, child: 1, alone: 1 };

/** Takes the file of a table's definition away; gives what puts it back. */
function takeAway(database: string, table: string): () => void {
  const file = path.join(server.folder, 'data', database, `${table}.frm`);
  renameSync(file, `${file}-away`);
  return () => renameSync(`${file}-away`, file);
}

async function placeOf(database: string, lockTimeout: number) {
  server.create(database);
  server.sql(database, tables);
  return mariadbPlace(server, database, { lockTimeout });
}

/** An `ALTER TABLE alone` that has come to its last step and waits there for `reader`, who is in another database. */
async function alterInMidair(database: string) {
  server.create('elsewhere');
  server.sql(
    'elsewhere',
    `CREATE TABLE c (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES ${database}.alone (id))`,
  );
  const reader = await MariadbProgram.start(server.socket, 'elsewhere');
  await reader.sql('BEGIN');
  await reader.sql('SELECT * FROM c FOR UPDATE');
  const altering = await MariadbProgram.start(server.socket, database);
  const altered = altering.sql('ALTER TABLE alone ADD COLUMN w int, ALGORITHM=COPY');
  const midair = `SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'Rename result table'`;
  while ((await reader.sql(midair)).length === 0);
  return { reader, altered };
}

describe.skipIf(mariadbMissing !== undefined)(`MariaDB (${mariadbMissing ?? 'real server'})`, () => {
  it('no copy lacks a table that an earlier one had, or a foreign key leads to, while the server does not list it', async () => {
    const place = await placeOf('unlisted', 700);
    const before: CapturedDatabase = await place.capture();
    for (const table of ['alone', 'parent']) {
      const putBack = takeAway('unlisted', table);
      expect(
        server.sql('', `SELECT table_name FROM information_schema.tables WHERE table_schema = 'unlisted'`),
      ).not.toContain(table);
      const busy = await failure(place.capture(table === 'alone' ? before : undefined));
      expect(busy).toMatchObject({
        kind: 'busy',
        message: expect.stringContaining(`the table "${table}" was being changed`),
      });
      putBack();
      expect((await place.capture(before)).tables).toEqual(whole);
    }
  });

  it('beside an ALTER TABLE in its last step nothing is recorded, whatever is listed; after it, all is', async () => {
    const place = await placeOf('midair', 700);
    const { reader, altered } = await alterInMidair('midair');
    // Nobody else tells of this table: no earlier copy, no foreign key in this database.
    const putBack = takeAway('midair', 'alone');
    const busy = await failure(place.capture());
    expect(busy).toMatchObject({ kind: 'busy', message: expect.stringContaining('is changing a table') });
    putBack();
    const patient = (await mariadbPlace(server, 'midair', { lockTimeout: 30_000 })).capture();
    await reader.sql('COMMIT');
    await altered;
    expect((await patient).tables).toEqual(whole);
  });

  it('a table that others change all the time is in every copy, with its rows', async () => {
    const place = await placeOf('restless', 30_000);
    const altering = await MariadbProgram.start(server.socket, 'restless');
    await altering.repeat([
      {
        sql: 'ALTER TABLE alone ADD COLUMN w int, ALGORITHM=COPY; ALTER TABLE alone DROP COLUMN w, ALGORITHM=COPY',
      },
      { every: 3, sql: 'DO SLEEP(0.15)' },
    ]);
    const copies = process.env['PITR_CAMPAIGN'] === '1' ? 100 : 5;
    for (let turn = 0; turn < copies; turn++) expect((await place.capture()).tables).toEqual(whole);
    const rounds = await altering.stop();
    console.log(`MariaDB: ${copies} copies beside ${2 * rounds} ALTER TABLE, 0 without a table`);
  });
});
