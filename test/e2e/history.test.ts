/** Where no snapshot reaches back far enough, but the branch's history does. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { sqlite } from '../support/databases.ts';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { everything } from '../support/fingerprint.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

const [first, second] = ['2026-11-01T12:00:00Z', '2026-11-02T12:00:00Z'];
const between = '2026-11-01T18:00:00Z';

/** Two commits, a day apart: `edited` changes, `gone` is deleted, `added` is new in the second. */
function repositoryWithHistory(): TestRepository {
  const repository = scratchRepository();
  const commitAt = (date: string) => {
    const env = cleanEnvironment({ ...testIdentity, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date });
    execFileSync('git', ['add', '--all'], { cwd: repository.path, env });
    execFileSync('git', ['commit', '--quiet', '-m', date], { cwd: repository.path, env });
  };
  repository.write('edited.txt', 'one\n');
  repository.write('gone.txt', 'gone\n');
  commitAt(first);
  repository.write('edited.txt', 'two\n');
  repository.write('added.txt', 'added\n');
  repository.remove('gone.txt');
  commitAt(second);
  repository.write('untracked.txt', 'mine\n');
  return repository;
}

/** As after a clone, which knows no more than the commits. */
function withoutReflog(repository: TestRepository): TestRepository {
  rmSync(repository.resolve('.git/logs'), { recursive: true });
  return repository;
}

interface HistoryError {
  error: { kind: string; message: string; hints: string[]; history?: { commit: string; by: string } };
}

describe.each([
  ['reflog', repositoryWithHistory],
  ['commit date', () => withoutReflog(repositoryWithHistory())],
])('by %s', (by, make) => {
  it('the error names the commit and the option, with and without a later snapshot, and changes nothing', () => {
    const repository = make();
    const commit = repository.git('rev-parse', 'HEAD~1');
    const fails = () => {
      const before = everything(repository.path);
      const refused = pitr(repository.path, ['restore', '--at', between, '--json'], { expectCode: 5 });
      expect(everything(repository.path)).toEqual(before);
      const { error } = refused.json<HistoryError>();
      expect(error).toMatchObject({ kind: 'noMatch', history: { commit, by } });
      expect(error.hints.join('\n')).toContain('--source history');
      expect(refused.stderr).toContain(commit.slice(0, 10));
      return error.message;
    };
    expect(fails()).toContain('no snapshot here yet');
    pitr(repository.path, ['snapshot']);
    expect(fails()).toContain('the earliest is');
  });

  it('--source history brings the tracked files of then, leaves untracked ones, and undo goes back', () => {
    const repository = make();
    const before = repository.hashTree();
    const head = repository.git('rev-parse', 'HEAD');
    const index = repository.git('ls-files', '--stage');
    const args = ['restore', '--at', between, '--source', 'history'];
    const dry = pitr(repository.path, [...args, '--dry-run', '--json']).json<{ plan: unknown }>();
    expect(repository.hashTree()).toEqual(before);
    const done = pitr(repository.path, [...args, '--json']).json<{
      plan: unknown;
      snapshot: { commit: string };
    }>();
    expect(done.plan).toEqual(dry.plan);
    expect(done.snapshot.commit).toBe(repository.git('rev-parse', 'HEAD~1'));
    expect(repository.read('edited.txt')).toBe('one\n');
    expect(repository.read('gone.txt')).toBe('gone\n');
    expect(repository.read('untracked.txt')).toBe('mine\n');
    expect(repository.git('status', '--porcelain')).toBe(
      ' D added.txt\n M edited.txt\n?? gone.txt\n?? untracked.txt',
    );
    expect([repository.git('rev-parse', 'HEAD'), repository.git('ls-files', '--stage')]).toEqual([
      head,
      index,
    ]);
    pitr(repository.path, ['undo']);
    expect(repository.hashTree()).toEqual(before);
  });
});

it('the reflog tells what was checked out, which a commit date cannot: another branch at that time', () => {
  const repository = repositoryWithHistory();
  const at = (date: string, ...args: string[]) =>
    execFileSync('git', args, {
      cwd: repository.path,
      env: cleanEnvironment({ ...testIdentity, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }),
      stdio: 'pipe',
    });
  // On the 3rd somebody looks at the commit of the 1st, and goes back on the 4th.
  at('2026-11-03T12:00:00Z', 'checkout', '--quiet', 'HEAD~1');
  at('2026-11-04T12:00:00Z', 'checkout', '--quiet', 'main');
  pitr(repository.path, ['restore', '--at', '2026-11-03T18:00:00Z', '--source', 'history']);
  expect(repository.read('edited.txt')).toBe('one\n');
  pitr(repository.path, ['undo']);
  pitr(repository.path, ['restore', '--at', '2026-11-02T18:00:00Z', '--source', 'history']);
  expect(repository.read('edited.txt')).toBe('two\n');
});

it('an instant before the first commit: exit 5, with and without --source history, and no hint that leads nowhere', () => {
  const repository = withoutReflog(repositoryWithHistory());
  pitr(repository.path, ['snapshot']);
  const early = ['restore', '--at', '2026-10-01'];
  const plain = pitr(repository.path, [...early, '--json'], { expectCode: 5 }).json<HistoryError>();
  expect(plain.error.hints.join('\n')).not.toContain('history');
  pitr(repository.path, [...early, '--source', 'history'], { expectCode: 5 });
});

it('uncommitted changes are guarded as in any restore', () => {
  const repository = repositoryWithHistory();
  repository.write('edited.txt', 'not committed\n');
  repository.write('gone.txt', 'an untracked file of that name\n');
  const before = everything(repository.path);
  const args = ['restore', '--at', between, '--source', 'history'];
  const refused = pitr(repository.path, [...args, '--json'], { expectCode: 4 });
  expect(refused.json()).toMatchObject({ error: { uncommitted: ['edited.txt', 'gone.txt'] } });
  expect(everything(repository.path)).toEqual(before);
  pitr(repository.path, [...args, '--force']);
  expect(repository.read('edited.txt')).toBe('one\n');
  pitr(repository.path, ['undo']);
  expect(repository.read('edited.txt')).toBe('not committed\n');
  expect(repository.read('gone.txt')).toBe('an untracked file of that name\n');
});

it('paths narrow it, --into writes it elsewhere, and --staged brings the index of that commit', () => {
  const repository = repositoryWithHistory();
  const args = ['restore', '--at', between, '--source', 'history'];
  pitr(repository.path, [...args, '--', 'gone.txt']);
  expect(repository.read('gone.txt')).toBe('gone\n');
  expect(repository.read('edited.txt')).toBe('two\n');
  pitr(repository.path, ['undo']);
  const folder = scratchFolder();
  pitr(repository.path, [...args, '--into', `${folder}/out`]);
  expect(
    execFileSync('cat', [`${folder}/out/edited.txt`, `${folder}/out/gone.txt`], { encoding: 'utf8' }),
  ).toBe('one\ngone\n');
  pitr(repository.path, [...args, '--staged']);
  expect(repository.git('write-tree')).toBe(repository.git('rev-parse', 'HEAD~1^{tree}'));
});

it('a database is in no commit: --all leaves it alone and ends with 3', () => {
  const repository = repositoryWithHistory();
  repository.write('.git/info/exclude', '*.db\n');
  sqlite(repository.resolve('shop.db'), 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
  pitr(repository.path, ['init', '--yes']);
  pitr(repository.path, ['restore', '--at', between, '--source', 'history', '--all'], { expectCode: 3 });
  expect(repository.read('edited.txt')).toBe('one\n');
  expect(sqlite(repository.resolve('shop.db'), 'SELECT x FROM t')).toBe('1');
  pitr(repository.path, ['restore', '--at', between, '--source', 'history', '--db', 'shop'], {
    expectCode: 5,
  });
});

it('files come as a checkout makes them, and as the text says: of a commit, not of a snapshot', () => {
  const repository = scratchRepository();
  repository.write('.gitattributes', '*.txt text eol=crlf\n');
  repository.write('a.txt', 'one\r\n');
  repository.commit('crlf');
  repository.write('a.txt', 'two\r\n');
  const shown = pitr(repository.path, ['restore', '--at', 'now', '--source', 'history', '--force']).stdout;
  expect(repository.read('a.txt')).toBe('one\r\n');
  expect(shown).toContain('The tracked files of commit');
  expect(shown).not.toMatch(/^Snapshot/m);
});
