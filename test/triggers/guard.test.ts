import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { command, pitr } from '../support/cli.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

/** Committed, changed, staged and untracked files. */
function busyRepository(): TestRepository {
  const repository = scratchRepository({ files: { kept: 'kept\n', changed: 'then\n' }, commit: true });
  repository.write('changed', 'an hour of work\n');
  repository.write('staged', 'staged\n');
  repository.git('add', 'staged');
  repository.write('untracked/deep', 'never added\n');
  return repository;
}

const snapshots = (repository: TestRepository) =>
  pitr(repository.path, ['list', '--json']).json<{
    snapshots: { id: string; type: string; trigger: string; message: string }[];
  }>().snapshots;

test('what a command destroyed comes back with the line that is printed', () => {
  const repository = busyRepository();
  const before = hashTree(repository.path);
  const staged = repository.git('ls-files', '-s');
  const destroy = 'git reset -q --hard && git clean -fdxq && echo done && exit 3';
  const { stdout, stderr } = pitr(repository.path, ['guard', '--', 'sh', '-c', destroy], { expectCode: 3 });
  expect(stdout).toBe('done\n');
  expect(hashTree(repository.path)).not.toEqual(before);
  const line = /git pitr (restore --snapshot [0-9a-f]+ --all --staged)/.exec(stderr)?.[1] ?? '';
  pitr(repository.path, [...line.split(' '), '--yes']);
  expect(hashTree(repository.path)).toEqual(before);
  expect(repository.git('ls-files', '-s')).toBe(staged);
});

test('a command that succeeds is passed through: input, output, arguments, exit code', () => {
  const repository = busyRepository();
  const script = 'printf "%s|" "$@"; cat';
  const { stdout, stderr } = pitr(
    repository.path,
    ['guard', '--', 'sh', '-c', script, 'sh', '--force', 'a b', ''],
    {
      input: 'from standard input',
    },
  );
  expect(stdout).toBe('--force|a b||from standard input');
  expect(stderr).toMatch(/^git-pitr: the state before is snapshot [0-9a-f]{12}\n$/);
});

test('--restore-on-failure brings all of it back, and undo goes forward again', () => {
  const repository = busyRepository();
  const before = hashTree(repository.path);
  const fail = [
    'guard',
    '--restore-on-failure',
    '--',
    'sh',
    '-c',
    'echo broken > changed; rm untracked/deep; exit 9',
  ];
  const { stderr } = pitr(repository.path, fail, { expectCode: 9 });
  expect(stderr).toContain('the command ended with 9; the state before it was brought back');
  expect(hashTree(repository.path)).toEqual(before);
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.read('changed')).toBe('broken\n');
  expect(existsSync(repository.resolve('untracked/deep'))).toBe(false);
});

test('a command is not run when the state before it could not be recorded', () => {
  const repository = busyRepository();
  const refused = ['guard', '--', 'touch', 'ran'];
  repository.git('config', 'pitr.maxSnapshotSize', '3');
  pitr(repository.path, refused, { expectCode: 4 });
  repository.git('config', '--unset', 'pitr.maxSnapshotSize');
  repository.git('config', 'pitr.database.app.path', 'no/such.db');
  repository.git('config', 'pitr.database.app.engine', 'sqlite');
  const { stderr } = pitr(repository.path, refused, { expectCode: 1 });
  expect(stderr).toContain('so the command was not run');
  expect(existsSync(repository.resolve('ran'))).toBe(false);
  pitr(repository.path, ['guard', '--no-databases', '--', 'touch', 'ran']);
  expect(existsSync(repository.resolve('ran'))).toBe(true);
});

test('arguments of the command, where passwords may be, are not recorded; --migration is', () => {
  const repository = busyRepository();
  pitr(repository.path, ['guard', '--migration', '--', '/bin/echo', 'postgres://me:s3cret@host/db']);
  expect(snapshots(repository)).toMatchObject([
    { type: 'migration', trigger: 'guard', message: 'before: echo' },
  ]);
  expect(repository.git('notes', '--ref=pitr', 'show', 'refs/pitr/main')).not.toContain('s3cret');
});

test.each([
  ['no-such-command', 127],
  ['./kept', 126],
])('%s ends with %i, as in a shell', (program, code) => {
  const repository = busyRepository();
  const { stderr } = pitr(repository.path, ['guard', '--', program], { expectCode: code });
  expect(stderr).toContain('nothing was run');
});

test('without a command, or with one that is not behind --, nothing is run', () => {
  const repository = busyRepository();
  pitr(repository.path, ['guard'], { expectCode: 2 });
  pitr(repository.path, ['guard', 'touch', 'ran'], { expectCode: 2 });
  expect(existsSync(repository.resolve('ran'))).toBe(false);
});

test('--json keeps standard output for its one document', () => {
  const repository = busyRepository();
  const script = 'echo loud; exit 2';
  const result = pitr(repository.path, ['guard', '--json', '--', 'sh', '-c', script], { expectCode: 2 });
  expect(result.stderr).toContain('loud');
  expect(result.json()).toMatchObject({
    command: ['sh', '-c', script],
    code: 2,
    signal: null,
    snapshot: { type: 'safety', trigger: 'guard' },
    restored: null,
  });
});

test('SIGTERM reaches the command, and how it ended is how the guard ends', async () => {
  const repository = busyRepository();
  const script = `trap 'echo told > told; trap - TERM; kill -TERM $$' TERM; echo ready; while :; do sleep 0.05; done`;
  const child = spawn(process.execPath, [command, 'guard', '--', 'sh', '-c', script], {
    cwd: repository.path,
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(createInterface({ input: child.stdout }), 'line');
  child.kill('SIGTERM');
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect([code, signal]).toEqual([null, 'SIGTERM']);
  expect(repository.read('told')).toBe('told\n');
});
