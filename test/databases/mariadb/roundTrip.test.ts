import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace } from './support.ts';

const everything = readFileSync(path.join(import.meta.dirname, 'everything.sql'), 'utf8');

const changes = `DROP TABLE no_key; CREATE TABLE later (id int PRIMARY KEY); DROP TRIGGER second_one;
  DELETE FROM orders WHERE id > 1; UPDATE customers SET name = 'x' WHERE id = 1; DROP VIEW a_on_z; DROP VIEW z_base;
  CREATE TABLE z_base (id int); ALTER TABLE aria ADD COLUMN w int; DROP TABLE myisam; CREATE VIEW myisam AS SELECT 1 AS one;
  CREATE FUNCTION later() RETURNS int RETURN 1; DROP VIEW with_function; DROP FUNCTION twice; ALTER EVENT off ENABLE; DROP EVENT nightly; DELETE HISTORY FROM history; TRUNCATE audit;
  CREATE TRIGGER later_one BEFORE DELETE ON customers FOR EACH ROW SET @a = 1; ALTER TABLE orders ALTER ticket DROP DEFAULT; DROP SEQUENCE odd; CREATE SEQUENCE even;
  ALTER DATABASE app CHARACTER SET latin1;`;

let server: MariadbServer;

/** Triggers are made anew, and with their names in backticks. */
function sameWords(dump: string): string {
  return dump.replace(/^(.*50003 TRIGGER )`?(\w+)`?( \w+ \w+ ON )`?(\w+)`?/gm, '$1$2$3$4');
}

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start();
}, 120_000);

describe.skipIf(mariadbMissing !== undefined)(`MariaDB (${mariadbMissing ?? 'real server'})`, () => {
  it('a restore brings back everything, and takes away what did not exist then', async () => {
    server.create('app', 'COLLATE utf8mb4_unicode_ci');
    server.sql('app', everything);
    const place = await mariadbPlace(server, 'app');
    const then = server.dump('app');
    const copy = await place.capture();
    expect(copy).toMatchObject({
      name: 'app',
      engine: 'mariadb',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    });
    expect(copy.tables).toMatchObject({
      orders: 4,
      customers: 4,
      no_key: 4,
      history: 3,
      empty_one: 0,
      myisam: 2,
    });
    expect((await place.capture(copy)).tree).toBe(copy.tree);

    server.sql('app', changes);
    const changed = server.dump('app');
    const now = await place.capture(copy);
    expect(now.tree).not.toBe(copy.tree);
    await place.restore(copy, now);
    expect(sameWords(server.dump('app'))).toBe(sameWords(then));
    expect(server.databases()).toEqual(['app']);
    expect(
      server.sql('app', 'INSERT INTO no_key VALUES (1, NEXTVAL(odd)); SELECT COUNT(*) FROM a_on_z'),
    ).toBe('4');
    server.sql('app', `DELETE FROM no_key WHERE a = 1 AND b <> 'y'`);
    await place.restore(copy, await place.capture());
    // Recorded again it is the very same copy, so nothing looks changed.
    expect((await place.capture(copy)).tree).toBe(copy.tree);

    await place.restore(now, copy);
    expect(sameWords(server.dump('app'))).toBe(sameWords(changed));
    expect(server.databases()).toEqual(['app']);
  });

  it('the recorded SQL rebuilds the database with plain git, tar and mariadb', async () => {
    server.create('plain', 'COLLATE utf8mb4_unicode_ci');
    server.sql('plain', everything);
    const place = await mariadbPlace(server, 'plain');
    const copy = await place.capture();
    server.create('rebuilt');
    const client = ['mariadb', ...server.clientArguments, '--user=root', 'rebuilt'].join(' ');
    execFileSync('sh', ['-c', `git archive ${copy.tree}:sql | tar -xO | ${client}`], {
      cwd: place.git.path,
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    expect(sameWords(server.dump('rebuilt').replaceAll('`rebuilt`', '`plain`'))).toBe(
      sameWords(server.dump('plain')),
    );
    const other = await mariadbPlace(server, 'rebuilt');
    expect((await other.capture()).tree).toBe(copy.tree);
  });
});
