import { expect, it } from 'vitest';
import { pitr } from '../../support/cli.ts';
import { sqlite } from '../../support/databases.ts';
import { scratchRepository } from '../../support/scratch.ts';

const rows = process.env['PITR_CAMPAIGN'] === '1' ? 1_000_000 : 200_000;

it(`three changed rows of ${rows.toLocaleString('en')} add less than 1 MiB to the repository, and are what diff shows`, () => {
  const repository = scratchRepository({ files: { '.gitignore': '*.db*\n' } });
  const { path } = repository;
  const file = repository.resolve('app.db');
  sqlite(
    file,
    `PRAGMA journal_mode = WAL; CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, note TEXT); CREATE INDEX by_customer ON orders(customer);
     INSERT INTO orders(customer, total, note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT 'customer ' || (i % 5000), i * 0.25, hex(randomblob(20)) FROM n;`,
  );
  repository.git('config', 'pitr.database.app.path', 'app.db');
  const packed = () => {
    repository.git('gc', '--quiet', '--prune=now');
    return Number(/size-pack: (\d+)/.exec(repository.git('count-objects', '-v'))?.[1]) * 1024;
  };
  pitr(path, ['snapshot']);
  const before = packed();
  sqlite(
    file,
    `UPDATE orders SET total = -1 WHERE id = ${rows / 2}; DELETE FROM orders WHERE id = 77; INSERT INTO orders VALUES (${rows + 5}, 'new', 1, 'n')`,
  );
  pitr(path, ['snapshot']);
  const added = packed() - before;
  expect(added).toBeLessThan(1024 ** 2);
  // Else nothing was recorded.
  expect(added).toBeGreaterThan(0);
  const lines = pitr(path, ['diff', 'latest~1', 'latest', '--db', 'app']).stdout.split('\n');
  expect(lines.filter((line) => /^ {2}[-+~]/.test(line)).map((line) => line.split(':')[0])).toEqual([
    '  - id 77',
    `  ~ id ${rows / 2}`,
    `  + id ${rows + 5}`,
  ]);
});
