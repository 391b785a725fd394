import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';

test('permissions that change in the second in which a file was recorded are in the next snapshot', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('secret', 'x\n', 0o600);
  const recorded = () => {
    pitr(repository.path, ['snapshot', '--allow-empty']);
    return repository.git('ls-tree', '-r', '--name-only', 'refs/pitr/main:state').includes('permissions')
      ? repository.git('show', 'refs/pitr/main:state/permissions')
      : '';
  };
  // Often enough that some of it falls into one second, on any machine.
  for (const [mode, state] of [
    [0o600, '0600 secret'],
    [0o644, ''],
    [0o640, '0640 secret'],
    [0o600, '0600 secret'],
    [0o644, ''],
  ] as const) {
    chmodSync(repository.resolve('secret'), mode);
    expect(recorded()).toBe(state);
  }
});

test('a file that was just recorded and is gone, or a folder now, is no hindrance to the next snapshot', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.write('dir/secret', 'x\n', 0o600);
  repository.write('other', 'x\n', 0o600);
  pitr(repository.path, ['snapshot']);
  repository.remove('dir');
  repository.write('dir', 'a file now\n');
  rmSync(repository.resolve('other'));
  mkdirSync(repository.resolve('other'));
  pitr(repository.path, ['snapshot']);
  expect(repository.git('ls-tree', '-r', '--name-only', 'refs/pitr/main:files').split('\n')).toEqual([
    'a.txt',
    'dir',
  ]);
});
