import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

/** Two snapshots of one state: the second must find nothing new. */
function created(repository: TestRepository): boolean[] {
  const take = () => pitr(repository.path, ['snapshot', '--json']).json<{ created: boolean }>().created;
  return [take(), take()];
}

test('a folder that lost its only recorded file to another configuration is recorded as empty at once', () => {
  const repository = scratchRepository({ files: { '.gitignore': '.env\n' }, commit: true });
  repository.write('conf/.env', 'SECRET=1\n');
  repository.git('config', 'pitr.include', '.env');
  expect(created(repository)).toEqual([true, false]);
  repository.git('config', '--unset', 'pitr.include');
  expect(created(repository)).toEqual([true, false]);
});

test('a folder whose only file has become too large is recorded as empty at once', () => {
  const repository = scratchRepository({ files: { 'big/file': 'small\n' }, commit: true });
  repository.git('config', 'pitr.maxFileSize', '100');
  expect(created(repository)).toEqual([true, false]);
  repository.write('big/file', 'x'.repeat(200));
  expect(created(repository)).toEqual([true, false]);
});
