/** Where the git directory and the working tree are, whose they are, and what the environment says about them. */
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { frozen, fsck, git, recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

interface Failure {
  error: { kind: string; message: string; hints: string[] };
}

function plain(): TestRepository {
  return scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
}

test('--separate-git-dir: a .git file that leads elsewhere', () => {
  const folder = path.join(scratchFolder(), 'work');
  const gitDir = path.join(scratchFolder(), 'store.git');
  mkdirSync(folder);
  git(folder, 'init', '--quiet', `--separate-git-dir=${gitDir}`, '.');
  writeFileSync(path.join(folder, 'a.txt'), 'a\n');
  git(folder, 'add', '.');
  git(folder, 'commit', '--quiet', '-m', 'first');
  roundTrip(folder, () => writeFileSync(path.join(folder, 'a.txt'), 'changed\n'), { gitDirs: [gitDir] });
  expect(readdirSync(folder).toSorted()).toEqual(['.git', 'a.txt']);
});

test.each([
  ['with nothing there that leads back', false],
  ['where another repository is', true],
])('core.worktree: the working tree is elsewhere, %s', (_, occupied) => {
  const repository = plain();
  const work = path.join(scratchFolder(), 'work');
  mkdirSync(work);
  if (occupied) {
    git(work, 'init', '--quiet');
    git(work, 'commit', '--quiet', '--allow-empty', '-m', 'of another');
  }
  const other = frozen(path.join(work, '.git'));
  repository.git('config', 'core.worktree', work);
  writeFileSync(path.join(work, 'w.txt'), 'work\n');
  const run = (...args: string[]) => pitr(repository.path, [...args, '--json']);
  const { snapshot: taken } = run('snapshot').json<{ snapshot: { id: string; commit: string } }>();
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['w.txt']);
  const then = hashTree(work);
  writeFileSync(path.join(work, 'w.txt'), 'changed\n');
  writeFileSync(path.join(work, 'new.txt'), 'new\n');
  run('restore', '--snapshot', taken.id, '--yes');
  expect(hashTree(work)).toEqual(then);
  run('undo', '--yes');
  expect(existsSync(path.join(work, 'new.txt'))).toBe(true);
  run('list');
  run('diff', taken.id);
  expect(frozen(path.join(work, '.git'))).toEqual(other);
  expect(repository.read('a.txt')).toBe('a\n');
  git(repository.path, 'fsck', '--strict', '--no-dangling');
});

test('GIT_DIR, GIT_INDEX_FILE and their like of another repository reach neither it nor the snapshot', () => {
  const repository = plain();
  const other = plain();
  const before = frozen(other.resolve('.git'));
  const env = {
    GIT_DIR: other.resolve('.git'),
    GIT_INDEX_FILE: other.resolve('.git/index'),
    GIT_WORK_TREE: other.path,
    GIT_OBJECT_DIRECTORY: other.resolve('.git/objects'),
    GIT_NAMESPACE: 'elsewhere',
    GIT_PREFIX: 'dir/',
    GIT_CONFIG_PARAMETERS: "'core.worktree=/'",
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'pitr.maxFileSize',
    GIT_CONFIG_VALUE_0: '1',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_ALTERNATE_OBJECT_DIRECTORIES: other.resolve('.git/objects'),
  };
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('a.txt', 'changed\n'), {
    env,
  });
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['a.txt', 'dir/b.txt']);
  expect(frozen(other.resolve('.git'))).toEqual(before);
});

test('GIT_DIR alone makes no repository of a folder that is none: the error names it', () => {
  const repository = plain();
  const env = { GIT_DIR: repository.resolve('.git') };
  const folder = scratchFolder();
  const { error } = pitr(folder, ['snapshot', '--json'], { env, expectCode: 1 }).json<Failure>();
  expect(error.message).toContain('not in a Git repository');
  expect(error.hints.join(' ')).toContain(env.GIT_DIR);
  expect(existsSync(repository.resolve('.git/pitr'))).toBe(false);
});

test('GIT_DIR with GIT_WORK_TREE, as for dotfiles, is honoured where the folder leads to no repository', () => {
  const work = scratchFolder();
  const store = path.join(scratchFolder(), 'dotfiles.git');
  git(work, 'init', '--quiet', '--bare', store);
  writeFileSync(path.join(work, '.profile'), 'profile\n');
  const dotfiles = (...args: string[]) => git(work, `--git-dir=${store}`, `--work-tree=${work}`, ...args);
  dotfiles('add', '.profile');
  dotfiles('commit', '--quiet', '-m', 'dotfiles');
  const env = { GIT_DIR: store, GIT_WORK_TREE: work };
  dotfiles('config', 'pitr.exclude', '*.cache');
  writeFileSync(path.join(work, 'x.cache'), 'cache\n');
  mkdirSync(path.join(work, 'below'));
  const { snapshot: taken } = snapshot(work, [], { env });
  expect(dotfiles('ls-tree', '-r', '--name-only', `${taken.commit}:files`)).toBe('.profile');
  writeFileSync(path.join(work, '.profile'), 'changed\n');
  restore(path.join(work, 'below'), [], { env });
  expect(dotfiles('status', '--porcelain', '--untracked-files=no')).toBe('');
  expect(readdirSync(work).toSorted()).toEqual(['.profile', 'below', 'x.cache']);
});

test('safe.directory: the repository of another user is refused with what to do, and nothing is written in it', () => {
  const repository = plain();
  for (const entry of ['', '.git']) chownSync(repository.resolve(entry), 65534, 65534);
  for (const command of [['snapshot'], ['list'], ['restore', '--snapshot', 'latest']]) {
    const { error } = pitr(repository.path, [...command, '--json'], { expectCode: 1 }).json<Failure>();
    expect(error.message).toMatch(/belongs to another user/);
    expect(error.hints.join(' ')).toContain('safe.directory');
  }
  expect(existsSync(repository.resolve('.git/pitr'))).toBe(false);
  const trusting = path.join(scratchFolder(), 'config');
  writeFileSync(trusting, `[safe]\n\tdirectory = ${repository.path}\n`);
  const env = { GIT_CONFIG_GLOBAL: trusting };
  snapshot(repository.path, [], { env });
  repository.write('a.txt', 'changed\n');
  restore(repository.path, [], { env });
  expect(repository.read('a.txt')).toBe('a\n');
});

test('a nested repository of another user is left out with the reason', () => {
  const repository = plain();
  const inner = repository.resolve('inner');
  mkdirSync(inner);
  git(inner, 'init', '--quiet');
  writeFileSync(path.join(inner, 'x.txt'), 'x\n');
  for (const folder of [inner, path.join(inner, '.git')]) chownSync(folder, 65534, 65534);
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.skipped).toEqual([
    { path: 'inner', reason: expect.stringContaining('belongs to another user') as string },
  ]);
});

test.each([
  ['blanks and quotes', `a "b" 'c' $(d) \`e\``],
  ['a line end', 'first\nsecond'],
  ['a tab and a backslash', 'tab\tback\\slash'],
  ['letters of other scripts', 'héllo-мир-日本'],
  ['a leading dash', '-rf'],
  ['a colon and a glob', ':(top)*?[x]'],
  ['a percent sign and a hash', '%s#comment;x'],
])('a worktree whose path has %s', (_, name) => {
  const repository = plain();
  const folder = path.join(scratchFolder(), name);
  renameSync(repository.path, folder);
  mkdirSync(repository.path);
  roundTrip(folder, () => {
    writeFileSync(path.join(folder, 'a.txt'), 'changed\n');
    writeFileSync(path.join(folder, 'dir/new.txt'), 'new\n');
  });
  writeFileSync(path.join(folder, 'dir/b.txt'), 'changed\n');
  pitr(path.join(folder, 'dir'), ['restore', '--snapshot', 'latest', '--yes', '--', 'b.txt']);
  expect(git(folder, 'status', '--porcelain')).toBe('');
});

test('a worktree reached through a symbolic link is the same worktree', () => {
  const repository = plain();
  const link = path.join(scratchFolder(), 'link');
  symlinkSync(repository.path, link);
  const { snapshot: taken } = snapshot(link);
  expect(snapshot(repository.path)).toMatchObject({ created: false, snapshot: { id: taken.id } });
  repository.write('dir/b.txt', 'changed\n');
  pitr(path.join(link, 'dir'), ['restore', '--snapshot', 'latest', '--yes', '--', 'b.txt']);
  expect(repository.read('dir/b.txt')).toBe('b\n');
});

test('.git as a symbolic link to a folder elsewhere', () => {
  const repository = plain();
  const store = path.join(scratchFolder(), 'store');
  renameSync(repository.resolve('.git'), store);
  symlinkSync(store, repository.resolve('.git'));
  roundTrip(repository.path, () => repository.write('a.txt', 'changed\n'), { gitDirs: [store] });
  fsck(repository.path);
  expect(repository.read('a.txt')).toBe('a\n');
});

test('a bare repository and the inside of a git directory are refused by name', () => {
  const bare = path.join(scratchFolder(), 'bare.git');
  git(scratchFolder(), 'init', '--quiet', '--bare', bare);
  const refusal = (folder: string) =>
    pitr(folder, ['snapshot', '--json'], { expectCode: 1 }).json<Failure>().error.message;
  expect(refusal(bare)).toContain('bare repository');
  const repository = plain();
  expect(refusal(repository.resolve('.git'))).toContain('inside the git directory');
  expect(refusal(repository.resolve('.git/objects'))).toContain('inside the git directory');
});

test('$HOME as a worktree is refused without --force, and nothing is recorded', () => {
  const repository = plain();
  const env = { HOME: repository.path };
  const { error } = pitr(repository.path, ['snapshot', '--json'], { env, expectCode: 4 }).json<Failure>();
  expect(error.message).toContain(repository.path);
  expect(error.hints.join(' ')).toContain('--force');
  expect(git(repository.path, 'for-each-ref', 'refs/pitr')).toBe('');
  expect(snapshot(repository.path, ['--force'], { env }).created).toBe(true);
});

test('$HOME is recognised through a symbolic link and with a trailing slash', () => {
  const repository = plain();
  const link = path.join(scratchFolder(), 'home');
  symlinkSync(repository.path, link);
  for (const home of [link, `${repository.path}/`, `${link}/.`])
    pitr(repository.path, ['snapshot'], { env: { HOME: home }, expectCode: 4 });
  expect(git(repository.path, 'for-each-ref', 'refs/pitr')).toBe('');
});

test('the root of the file system as a worktree is refused without --force', () => {
  const repository = plain();
  repository.git('config', 'core.worktree', '/');
  const { error } = pitr(repository.path, ['snapshot', '--json'], { expectCode: 4 }).json<Failure>();
  expect(error.message).toContain('root of the file system');
  expect(git(repository.path, 'for-each-ref', 'refs/pitr')).toBe('');
});
