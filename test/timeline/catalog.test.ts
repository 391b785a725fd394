import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';

test('a catalog read by the first command of a process is whole, however long its schema takes to load', () => {
  const repository = scratchRepository({ files: { 'a.txt': '1' }, commit: true });
  pitr(repository.path, ['snapshot']);
  for (let turn = 0; turn < 5; turn++) {
    pitr(repository.path, ['restore', '--at', 'today', '--dry-run']);
    expect(pitr(repository.path, ['list', '--json']).json<{ snapshots: unknown[] }>().snapshots).toHaveLength(
      1,
    );
  }
});
