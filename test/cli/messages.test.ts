import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository } from '../support/scratch.ts';

function recorded() {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'src/app.ts': 'one\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  return repository;
}

test('an error is told as git tells it: error: and then hint: lines, and as JSON with the same words', () => {
  const { stdout, stderr } = pitr(scratchFolder(), ['list', '--json'], { expectCode: 1 });
  const { error } = JSON.parse(stdout) as { error: { kind: string; message: string; hints: string[] } };
  expect(error.kind).toBe('failed');
  expect(stderr).toBe(`error: ${error.message}\n${error.hints.map((hint) => `hint: ${hint}\n`).join('')}`);
  expect(stderr).toContain('hint: Run git init here first, or change to your repository.');
});

test('a message that looks like an option is recorded as the message', () => {
  const repository = recorded();
  pitr(repository.path, ['snapshot', '-m', '-h']);
  pitr(repository.path, ['snapshot', '-m', '--quiet']);
  expect(pitr(repository.path, ['list']).stdout).toMatch(/ -h\n.*\n?/);
  const { snapshots } = pitr(repository.path, ['list', '--json']).json<{
    snapshots: { message: string }[];
  }>();
  expect(snapshots.map(({ message }) => message)).toEqual(['--quiet', '-h', '']);
});

test.each([
  [['list', '--json', '-h'], /^usage: git pitr list /],
  [['list', '-q', '--help'], /^usage: git pitr list /],
  [['help', '-q', 'restore'], /^usage: git pitr restore /],
  [['--version', '--json'], /^git-pitr \d/],
])('%j prints what was asked for by name, also under --json and --quiet', (args, shown) => {
  expect(pitr(scratchFolder(), args).stdout).toMatch(shown);
});

test.each([
  [['help', 'bogus'], '"bogus" is not a git pitr command.'],
  [['snapshoot'], 'Did you mean: git pitr snapshot?'],
  [['--json', 'list'], 'Options come after the command: git pitr <command> --json'],
])('%j is a usage error that says what to type', (args, says) => {
  expect(pitr(scratchFolder(), args, { expectCode: 2 }).stderr).toContain(says);
});

test('diff says where a path goes when one stands in the place of a snapshot', () => {
  const { stderr } = pitr(recorded().path, ['diff', 'src/app.ts'], { expectCode: 5 });
  expect(stderr).toContain('hint: A path comes after --: git pitr diff -- src/app.ts');
});

test('diff --name-only prints nothing but names of files on standard output', () => {
  const repository = recorded();
  repository.write('.git/info/exclude', '*.db\n');
  repository.write('b.txt', 'b\n');
  repository.git('config', 'pitr.database.app.path', 'app.db');
  repository.write('app.db', '');
  const { stdout, stderr } = pitr(repository.path, ['diff', '--name-only']);
  expect(stdout).toBe('b.txt\n');
  expect(stderr).toContain('database app: added');
});

test('diff that git could not finish is a failure, not an end', () => {
  const repository = recorded();
  const oid = repository.git('rev-parse', 'HEAD:a.txt');
  repository.write('a.txt', 'changed\n');
  rmSync(repository.resolve(`.git/objects/${oid.slice(0, 2)}/${oid.slice(2)}`));
  const { stderr } = pitr(repository.path, ['diff'], { expectCode: 1 });
  expect(stderr).toContain('error: git diff failed with 128');
});

test('snapshots that git cannot read are a failure, never "there is no snapshot"', () => {
  const repository = recorded();
  repository.git('config', 'diff.colorMoved', 'bogus');
  for (const args of [['list'], ['show'], ['restore', '--snapshot', 'latest']]) {
    const { stderr } = pitr(repository.path, args, { expectCode: 1 });
    expect(stderr).toContain('diff.colormoved');
    expect(stderr).not.toContain('no snapshot');
  }
});

test('a database that was not recorded is told, with what to do, under --quiet too', () => {
  const repository = recorded();
  repository.git('config', 'pitr.database.app.path', 'gone.db');
  const { stdout, stderr } = pitr(repository.path, ['snapshot', '--quiet'], { expectCode: 3 });
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^warning: the database app was not recorded: .*gone\.db does not exist\.$/m);
  expect(stderr).toContain('hint: If it has moved: git config pitr.database.app.path <file>');
});

test('a database that a restore leaves alone is told, under --quiet too', () => {
  const repository = recorded();
  repository.git('config', 'pitr.database.app.path', 'app.db');
  const { stderr } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes', '--quiet'], {
    expectCode: 3,
  });
  expect(stderr).toBe('warning: the database app was left as it is: the snapshot holds no copy of it\n');
});

test('a broken .pitrconfig names its line and what to do', () => {
  const repository = recorded();
  repository.write('.pitrconfig', '[pitr\n');
  const { stderr } = pitr(repository.path, ['snapshot'], { expectCode: 2 });
  expect(stderr).toMatch(
    /^error: \.pitrconfig cannot be read: bad config line 1 in file .*\. Nothing was changed\.$/m,
  );
});

test('a name that no database can have comes with the command that renames it', () => {
  const repository = recorded();
  repository.git('config', 'pitr.database.my app.path', 'app.db');
  const { stderr } = pitr(repository.path, ['snapshot'], { expectCode: 2 });
  expect(stderr).toContain('hint: git config --rename-section "pitr.database.my app" pitr.database.<name>');
  repository.git('config', '--rename-section', 'pitr.database.my app', 'pitr.database.my-app');
  pitr(repository.path, ['snapshot'], { expectCode: 3 });
});

test.each([
  [['--continue', '--at', 'now'], '--at'],
  [['--abort', '--all', 'src'], '--all src'],
])('restore %j is refused: it would look as if it had been done', (args, named) => {
  const { stderr } = pitr(recorded().path, ['restore', ...args], { expectCode: 2 });
  expect(stderr).toContain(`leave out ${named}.`);
});

test('a restore that brings back only an empty folder says how to undo it', () => {
  const repository = recorded();
  repository.write('empty/x', '');
  repository.remove('empty/x');
  pitr(repository.path, ['snapshot']);
  repository.remove('empty');
  const { stdout } = pitr(repository.path, ['restore', '--snapshot', 'latest']);
  expect(stdout).toContain('git pitr undo brings it back');
});

test('when all that differs was left alone, nobody is told that everything is as it was', () => {
  const repository = recorded();
  repository.write('a.txt', 'changed\n');
  const { stdout } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--keep-changes']);
  expect(stdout).toContain('Nothing was changed: all that differs was left alone.');
  expect(stdout).not.toContain('as it was then');
});

test('GIT_COMMITTER_DATE is the time of a snapshot and of the database copies in it', () => {
  const repository = recorded();
  repository.git('config', 'pitr.database.app.path', 'app.db');
  repository.write('app.db', '');
  const { snapshot } = pitr(repository.path, ['snapshot', '--json'], {
    env: { GIT_COMMITTER_DATE: '2026-11-20T14:05:00.123Z' },
  }).json<{ snapshot: { time: string; databases: { time: string }[] } }>();
  expect(snapshot.time).toBe('2026-11-20T14:05:00.123Z');
  expect(snapshot.databases.map(({ time }) => time)).toEqual(['2026-11-20T14:05:00.123Z']);
});
