import { beforeAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';
import { MariadbServer, mariadbMissing } from './support/mariadbServer.ts';
import { PostgresServer, postgresMissing } from './support/servers.ts';

/** What `undo` does about a database that the restore had to make: on every kind of server the same, in the same words. */
const engines = [
  ['PostgreSQL', postgresMissing, () => PostgresServer.start(), 'postgres'],
  ['MariaDB', mariadbMissing, () => MariadbServer.start(), ''],
] as const;

const left =
  'the database shop was left as it is: it was not there before the restore, and a database is never removed: do that yourself';

for (const [engine, missing, start, maintenance] of engines)
  describe.skipIf(missing !== undefined)(`${engine} (${missing ?? 'real server'})`, () => {
    let server: PostgresServer | MariadbServer;

    beforeAll(async () => {
      if (missing === undefined) server = await start();
    }, 120_000);

    it('undo says of a database that the restore made that it stays, and nothing of one that is gone again', {
      timeout: 120_000,
    }, async () => {
      server.create('shop');
      server.sql('shop', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)');
      const repository = scratchRepository({ files: { 'a.txt': 'then' } });
      const folder = repository.path;
      repository.git('config', 'pitr.database.shop.url', server.url('shop'));
      pitr(folder, ['snapshot']);
      server.sql(maintenance, 'DROP DATABASE shop');
      const restore = ['restore', '--snapshot', 'latest', '--db', 'shop', '--force'];
      pitr(folder, restore);
      const rows = () => server.sql('shop', 'SELECT COUNT(*) FROM t');
      expect(rows()).toBe('2');
      const undone = pitr(folder, ['undo', '--force'], { expectCode: 3 });
      expect(undone.stderr).toContain(left);
      expect(rows()).toBe('2');
      server.sql(maintenance, 'DROP DATABASE shop');
      expect(pitr(folder, ['undo', '--force']).stderr).not.toContain(left);
    });
  });
