import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { copiesWithoutNote } from '../../src/databases/unnoted.ts';
import { findRepository } from '../../src/git/repository.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { scratchRepository } from '../support/scratch.ts';
import { MariadbServer, mariadbMissing } from './support/mariadbServer.ts';
import { PostgresServer, postgresMissing } from './support/servers.ts';

/** What is promised of databases on servers, whatever their engine, in the same words. */
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

    // In `npm test` for SQLite, in test/databases/sqlite/text.test.ts.
    it.runIf(process.env['PITR_CAMPAIGN'] === '1')(
      'a snapshot whose note is lost gives the database back, also when about.json is lost with it',
      {
        timeout: 120_000,
      },
      async () => {
        server.create('unnoted');
        server.sql('unnoted', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)');
        const repository = scratchRepository({ files: { 'a.txt': 'then' } });
        const folder = repository.path;
        const git = repository.git.bind(repository);
        git('config', 'pitr.database.shop.url', server.url('unnoted'));
        pitr(folder, ['snapshot']);
        const commit = git('rev-parse', 'refs/pitr/main');
        git('update-ref', '-d', 'refs/notes/pitr');
        const rows = () => server.sql('unnoted', 'SELECT COUNT(*) FROM t');
        server.sql('unnoted', 'DELETE FROM t');
        pitr(folder, ['restore', '--snapshot', 'latest', '--db', 'shop', '--force']);
        expect(rows()).toBe('2');
        pitr(folder, ['undo', '--force']);
        expect(rows()).toBe('0');

        expect(git('show', `${commit}:databases/shop/about.json`)).toContain('"engine"');
        const found = await findRepository(folder);
        const [whole] = await copiesWithoutNote(found, commit);
        const less = (...args: string[]) =>
          execFileSync('git', args, {
            cwd: folder,
            env: cleanEnvironment({ GIT_INDEX_FILE: `${folder}/.git/less` }),
            encoding: 'utf8',
          }).trim();
        less('read-tree', commit);
        less('update-index', '--force-remove', 'databases/shop/about.json');
        const bare = git(
          '-c',
          'user.name=x',
          '-c',
          'user.email=x',
          'commit-tree',
          less('write-tree'),
          '-m',
          'x',
        );
        const [left] = await copiesWithoutNote(found, bare);
        expect(left).toEqual({ ...whole, tree: git('rev-parse', `${bare}:databases/shop`) });
      },
    );
  });
