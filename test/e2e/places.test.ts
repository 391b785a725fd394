/** Where and when people run it: subfolders, worktrees, hooks, the middle of a merge, before the first commit. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { command, pitr } from '../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { everything } from '../support/fingerprint.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

interface List {
  snapshots: { id: string; trigger: string; head: { branch: string | null; commit: string | null } }[];
}

const list = (folder: string) => pitr(folder, ['list', '--json']).json<List>().snapshots;

function worked(): TestRepository {
  return scratchRepository({
    files: { 'a.txt': 'a\n', 'dir/sub/b.txt': 'b\n', 'dir/c.txt': 'c\n' },
    commit: true,
  });
}

/** Snapshot, change, restore, undo, redo: what a place must not get in the way of. */
function roundTrip(folder: string, root: string, change: () => void): void {
  const then = hashTree(root);
  pitr(folder, ['snapshot', '-m', 'then']);
  change();
  const now = hashTree(root);
  expect(now).not.toEqual(then);
  pitr(folder, ['restore', '--snapshot', 'latest', '--yes']);
  expect(hashTree(root)).toEqual(then);
  pitr(folder, ['undo', '--yes']);
  expect(hashTree(root)).toEqual(now);
  pitr(folder, ['undo', '--yes']);
  expect(hashTree(root)).toEqual(then);
}

describe('in a subfolder', () => {
  it('snapshot, restore and undo are of the whole working tree', () => {
    const repository = worked();
    roundTrip(repository.resolve('dir/sub'), repository.path, () => {
      repository.write('a.txt', 'changed\n');
      repository.remove('dir/c.txt');
      repository.write('new/n.txt', 'new\n');
    });
  });

  it('paths are relative to it: plain, upwards, patterns and git magic', () => {
    const repository = worked();
    const taken = pitr(repository.path, ['snapshot', '--json']).json<{ snapshot: { id: string } }>();
    const from = repository.resolve('dir/sub');
    const back = (...paths: string[]) => {
      for (const file of ['a.txt', 'dir/c.txt', 'dir/sub/b.txt']) repository.write(file, 'changed\n');
      pitr(from, ['restore', '--snapshot', taken.snapshot.id, '--force', '--', ...paths]);
      return ['a.txt', 'dir/c.txt', 'dir/sub/b.txt'].filter((file) => repository.read(file) !== 'changed\n');
    };
    expect(back('b.txt')).toEqual(['dir/sub/b.txt']);
    expect(back('../c.txt')).toEqual(['dir/c.txt']);
    expect(back('../../a.txt', 'b.txt')).toEqual(['a.txt', 'dir/sub/b.txt']);
    expect(back('.')).toEqual(['dir/sub/b.txt']);
    expect(back('..')).toEqual(['dir/c.txt', 'dir/sub/b.txt']);
    expect(back('../*.txt')).toEqual(['dir/c.txt', 'dir/sub/b.txt']);
    expect(back(':/a.txt')).toEqual(['a.txt']);
    expect(back(':(top)dir', ':!../c.txt')).toEqual(['dir/sub/b.txt']);
    expect(back(repository.resolve('dir/c.txt'))).toEqual(['dir/c.txt']);
  });

  it('that the restore takes away, undo is told to be run elsewhere, and brings it back', () => {
    const repository = worked();
    pitr(repository.path, ['snapshot']);
    repository.write('later/x.txt', 'x\n');
    const restored = pitr(repository.resolve('later'), ['restore', '--snapshot', 'latest', '--yes']);
    expect(existsSync(repository.resolve('later'))).toBe(false);
    expect(restored.stderr).toContain('is gone');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('later/x.txt')).toBe('x\n');
  });
});

describe('list --path', () => {
  it('knows ./, .., absolute paths, and names that look like patterns', () => {
    const repository = worked();
    repository.write('gl[o]b', '1\n');
    pitr(repository.path, ['snapshot']);
    repository.write('dir/c.txt', 'changed\n');
    pitr(repository.path, ['snapshot']);
    const found = (folder: string, file: string) =>
      pitr(repository.resolve(folder), ['list', '--json', '--path', file]).json<List>().snapshots.length;
    for (const [folder, file, expected] of [
      ['.', 'dir/c.txt', 2],
      ['.', './dir/../dir/c.txt', 2],
      ['dir/sub', '../c.txt', 2],
      ['dir/sub', '../../a.txt', 1],
      ['dir', repository.resolve('dir/c.txt'), 2],
      ['dir', '.', 2],
      ['dir/sub', '.', 1],
      ['.', 'gl[o]b', 1],
      ['.', 'nowhere', 0],
    ] as const)
      expect([folder, file, found(folder, file)]).toEqual([folder, file, expected]);
  });
});

describe('the state of the repository', () => {
  it('before the first commit', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'staged.txt': 'staged\n' } });
    repository.git('add', 'staged.txt');
    roundTrip(repository.path, repository.path, () => {
      repository.write('a.txt', 'changed\n');
      repository.remove('staged.txt');
    });
    expect(list(repository.path)[0]?.head).toEqual({ branch: 'main', commit: null });
    expect(repository.git('status', '--short')).toBe('A  staged.txt\n?? a.txt');
  });

  it('without any file', () => {
    const repository = scratchRepository();
    pitr(repository.path, ['snapshot']);
    repository.write('a.txt', 'a\n');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    expect(repository.hashTree()).toEqual([]);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('a.txt')).toBe('a\n');
  });

  it('a detached HEAD stays where it is', () => {
    const repository = worked();
    repository.git('checkout', '--quiet', '--detach');
    const head = repository.git('rev-parse', 'HEAD');
    roundTrip(repository.path, repository.path, () => repository.write('a.txt', 'changed\n'));
    expect(repository.git('rev-parse', '--abbrev-ref', 'HEAD')).toBe('HEAD');
    expect(repository.git('rev-parse', 'HEAD')).toBe(head);
    expect(list(repository.path)[0]?.head).toEqual({ branch: null, commit: head });
  });

  it.each([
    ['merge', ['merge', 'other']],
    ['rebase', ['rebase', 'other']],
    ['cherry-pick', ['cherry-pick', 'other']],
    ['revert', ['revert', '--no-edit', 'HEAD~1']],
  ])('in the middle of a %s, which can go on afterwards', (_, args) => {
    const repository = worked();
    repository.git('checkout', '--quiet', '-b', 'other');
    repository.write('a.txt', 'theirs\n');
    repository.commit('theirs');
    repository.git('checkout', '--quiet', 'main');
    repository.write('a.txt', 'ours\n');
    repository.commit('ours');
    repository.write('a.txt', 'ours again\n');
    repository.commit('ours again');
    expect(() => repository.git(...args)).toThrow(/Command failed: git/);
    const status = repository.git('status');
    const unmerged = repository.git('ls-files', '--unmerged');
    expect(unmerged).not.toBe('');
    roundTrip(repository.path, repository.path, () => repository.write('a.txt', 'resolved, badly\n'));
    expect(repository.git('status')).toBe(status);
    expect(repository.git('ls-files', '--unmerged')).toBe(unmerged);
    // The resolution is thrown away by mistake: the index with its conflict comes back too, when asked.
    repository.git('add', 'a.txt');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes']);
    expect(repository.git('ls-files', '--unmerged')).toBe(unmerged);
  });

  it('while another git holds index.lock, and one that died has left it', () => {
    const repository = worked();
    repository.write('.git/index.lock', '');
    roundTrip(repository.path, repository.path, () => repository.write('a.txt', 'changed\n'));
    expect(existsSync(repository.resolve('.git/index.lock'))).toBe(true);
  });
});

describe('linked worktrees', () => {
  it('have a timeline each: a restore in one touches no other', () => {
    const repository = worked();
    const linked = `${scratchFolder()}/linked`;
    repository.git('worktree', 'add', '--quiet', linked, '-b', 'side');
    pitr(repository.path, ['snapshot']);
    expect(list(linked)).toEqual([]);
    roundTrip(linked, linked, () =>
      execFileSync('sh', ['-c', 'echo changed > a.txt; rm -r dir'], { cwd: linked }),
    );
    expect(list(repository.path)).toHaveLength(1);
    expect(repository.git('status', '--short')).toBe('');
    expect(repository.git('for-each-ref', '--format=%(refname)', 'refs/pitr')).toBe(
      ['anchor/linked', 'anchor/main', 'linked', 'main'].map((name) => `refs/pitr/${name}`).join('\n'),
    );
    expect(repository.git('fsck', '--strict')).toBe('');
  });

  it('one that is called main, or main in another folder, keeps apart from the main worktree', () => {
    const repository = worked();
    const parent = scratchFolder();
    for (const folder of ['one/main', 'two/main']) {
      repository.git('worktree', 'add', '--quiet', '--detach', `${parent}/${folder}`);
      pitr(`${parent}/${folder}`, ['snapshot', '-m', folder]);
    }
    pitr(repository.path, ['snapshot', '-m', 'the main one']);
    for (const folder of [`${parent}/one/main`, `${parent}/two/main`, repository.path])
      expect(list(folder)).toHaveLength(1);
  });
});

describe('variables that git sets', () => {
  it('in a hook: the index of the commit under way is left alone, and the commit holds what was meant', () => {
    const repository = worked();
    repository.write(
      '.git/hooks/pre-commit',
      `#!/bin/sh\nexec "${process.execPath}" "${command}" snapshot --trigger hook:pre-commit\n`,
      0o755,
    );
    repository.write('a.txt', 'a2\n');
    repository.write('dir/c.txt', 'c2\n');
    repository.write('untracked.txt', 'u\n');
    // --only: git commits through a temporary index, and names it in GIT_INDEX_FILE.
    repository.git('commit', '--quiet', '-m', 'only one', '--only', 'a.txt');
    expect(repository.git('show', '--name-only', '--format=%s', 'HEAD')).toBe('only one\n\na.txt');
    expect(repository.git('status', '--short')).toBe(' M dir/c.txt\n?? untracked.txt');
    expect(list(repository.path)).toMatchObject([{ trigger: 'hook:pre-commit' }]);
    expect(repository.git('show', 'refs/pitr/main:files/dir/c.txt')).toBe('c2');
    repository.git('commit', '--quiet', '--all', '-m', 'the rest');
    expect(repository.git('status', '--short')).toBe('?? untracked.txt');
    expect(repository.git('fsck', '--strict')).toBe('');
  });

  it.each([
    ['GIT_DIR', (other: TestRepository) => ({ GIT_DIR: other.resolve('.git') })],
    [
      'GIT_WORK_TREE',
      (other: TestRepository) => ({ GIT_DIR: other.resolve('.git'), GIT_WORK_TREE: other.path }),
    ],
    ['GIT_INDEX_FILE', (other: TestRepository) => ({ GIT_INDEX_FILE: other.resolve('.git/index') })],
    [
      'GIT_OBJECT_DIRECTORY',
      (other: TestRepository) => ({ GIT_OBJECT_DIRECTORY: other.resolve('.git/objects') }),
    ],
    ['GIT_COMMON_DIR', (other: TestRepository) => ({ GIT_COMMON_DIR: other.resolve('.git') })],
    ['GIT_NAMESPACE', () => ({ GIT_NAMESPACE: 'elsewhere' })],
    ['GIT_LITERAL_PATHSPECS', () => ({ GIT_LITERAL_PATHSPECS: '1', GIT_ICASE_PATHSPECS: '1' })],
    [
      'GIT_CONFIG',
      () => ({ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'core.worktree', GIT_CONFIG_VALUE_0: '/tmp' }),
    ],
    ['GIT_DIFF_OPTS', () => ({ GIT_DIFF_OPTS: '--stat', GIT_EXTERNAL_DIFF: '/bin/false', GIT_TRACE: '1' })],
  ])(
    '%s of another repository: the one around the current folder is meant, and the other is not touched',
    (_, variables) => {
      const [repository, other] = [worked(), worked()];
      const before = everything(other.path);
      const env = variables(other);
      pitr(repository.path, ['snapshot'], { env });
      repository.write('a.txt', 'changed\n');
      pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--', '*.txt'], { env });
      expect(repository.read('a.txt')).toBe('a\n');
      pitr(repository.path, ['undo', '--yes'], { env });
      expect(repository.read('a.txt')).toBe('changed\n');
      expect(list(repository.path)).toHaveLength(3);
      expect(everything(other.path)).toEqual(before);
      expect(repository.git('fsck', '--strict')).toBe('');
    },
  );
});

describe('repositories laid out otherwise', () => {
  it('reached through a symbolic link', () => {
    const repository = worked();
    const link = `${scratchFolder()}/link`;
    symlinkSync(repository.path, link);
    roundTrip(link, repository.path, () => repository.write('a.txt', 'changed\n'));
    pitr(`${link}/dir`, ['restore', '--snapshot', 'latest~2', '--yes', '--', `${link}/a.txt`]);
  });

  it('with its git directory elsewhere', () => {
    const folder = realpathSync(scratchFolder());
    mkdirSync(`${folder}/work`);
    const env = cleanEnvironment(testIdentity);
    execFileSync('git', ['init', '--quiet', `--separate-git-dir=${folder}/elsewhere.git`, `${folder}/work`], {
      env,
    });
    execFileSync('sh', ['-c', 'echo a > a.txt'], { cwd: `${folder}/work` });
    roundTrip(`${folder}/work`, `${folder}/work`, () =>
      execFileSync('sh', ['-c', 'echo b > a.txt'], { cwd: `${folder}/work` }),
    );
  });

  it.each([
    ['spaces', 'my  project '],
    ['quotes', `it's "mine"`],
    ['a leading dash', '-n'],
    ['characters of other scripts', 'проект 仕事 é'],
    ['characters that shells and globs know', 'a$b;c*[d]?{e}\\f'],
  ])('in a folder with %s in its name', (_, name) => {
    const folder = `${realpathSync(scratchFolder())}/${name}`;
    mkdirSync(folder);
    const env = cleanEnvironment(testIdentity);
    execFileSync('git', ['init', '--quiet', '--initial-branch=main'], { cwd: folder, env });
    execFileSync('sh', ['-c', 'echo a > a.txt; mkdir sub; echo b > sub/b.txt'], { cwd: folder });
    execFileSync('sqlite3', ['./app.db', 'CREATE TABLE t(x); INSERT INTO t VALUES (1)'], { cwd: folder });
    pitr(folder, ['init', '--yes']);
    const change = () => execFileSync('sh', ['-c', 'echo c > a.txt; rm -r sub'], { cwd: folder });
    const rows = () =>
      execFileSync('sqlite3', ['./app.db', 'SELECT x FROM t'], { cwd: folder, encoding: 'utf8' });
    pitr(folder, ['snapshot']);
    change();
    execFileSync('sqlite3', ['./app.db', 'UPDATE t SET x = 2'], { cwd: folder });
    pitr(folder, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    expect(execFileSync('cat', ['a.txt', 'sub/b.txt'], { cwd: folder, encoding: 'utf8' })).toBe('a\nb\n');
    expect(rows()).toBe('1\n');
    pitr(folder, ['undo', '--yes']);
    expect(rows()).toBe('2\n');
  });

  it('whose private folder was removed: the timeline stands, and all goes on', () => {
    const repository = worked();
    pitr(repository.path, ['snapshot']);
    repository.remove('.git/pitr');
    repository.write('a.txt', 'changed\n');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    expect(repository.read('a.txt')).toBe('a\n');
  });
});

/** Root may write anywhere; without these two capabilities it obeys permissions like anybody. */
function withoutPrivileges(folder: string, args: readonly string[]) {
  const drop =
    process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : ['env'];
  const [start = '', ...before] = drop;
  return spawnSync(start, [...before, process.execPath, command, ...args], {
    cwd: folder,
    env: cleanEnvironment(),
    encoding: 'utf8',
  });
}

it('a folder that must not be written to: the restore is taken back whole, and the error names the path', () => {
  const repository = worked();
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\n');
  repository.write('dir/c.txt', 'changed\n');
  repository.write('dir/new.txt', 'new\n');
  const before = repository.hashTree();
  chmodSync(repository.resolve('dir'), 0o555);
  const failed = withoutPrivileges(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  chmodSync(repository.resolve('dir'), 0o755);
  expect(failed.status).toBe(1);
  expect(failed.stderr).toMatch(/^error: Could not \w+ dir\/\S+ \(EACCES: permission denied\)\. /);
  expect(failed.stderr).toContain('as it was before');
  expect(repository.hashTree()).toEqual(before);
  pitr(repository.path, ['restore', '--snapshot', 'latest~1', '--yes']);
  expect(repository.read('dir/c.txt')).toBe('c\n');
});

it('a git directory that must not be written to: nothing is recorded, nothing is restored, and the error says why', () => {
  const repository = worked();
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\n');
  const before = everything(repository.path);
  const folders = execFileSync('find', ['.git', '-type', 'd'], { cwd: repository.path, encoding: 'utf8' })
    .trim()
    .split('\n');
  for (const folder of folders) chmodSync(repository.resolve(folder), 0o555);
  for (const args of [['snapshot'], ['restore', '--snapshot', 'latest', '--yes']]) {
    const failed = withoutPrivileges(repository.path, args);
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(/permission/i);
  }
  for (const folder of folders) chmodSync(repository.resolve(folder), 0o755);
  expect(everything(repository.path)).toEqual(before);
  expect(list(repository.path)).toHaveLength(1);
});
