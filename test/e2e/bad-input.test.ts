/** What bad input gets: an error on stderr, the same as JSON, the exit code, and nothing changed. */
import { execFileSync } from 'node:child_process';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { command, type PitrOptions, pitr } from '../support/cli.ts';
import { sqlite } from '../support/databases.ts';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { everything, sha256sums } from '../support/fingerprint.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Failure {
  code: number;
  kind: string;
  message: string;
  hints: string;
  /** The whole error, with what it holds beside kind, message and hints. */
  error: Record<string, unknown>;
}

/** Runs a command that must fail, as text and as JSON, and checks that it changes nothing below `watched`. */
function failure(cwd: string, args: readonly string[], options: PitrOptions = {}, watched = cwd): Failure {
  const fingerprint = () => sha256sums(watched, ['*/objects/*', '*/pitr/lines/*/shadow/*', '*-shm']);
  const before = fingerprint();
  const text = pitr(cwd, args, { ...options, expectCode: 'any' });
  const [first, ...rest] = args;
  const asJson = pitr(cwd, [first ?? '', '--json', ...rest], { ...options, expectCode: 'any' });
  expect(fingerprint()).toEqual(before);
  expect(asJson.code).toBe(text.code);
  expect(text.stdout).not.toContain('error');
  const { error } = asJson.json<{
    error: Record<string, unknown> & { kind: string; message: string; hints: string[] };
  }>();
  expect(text.stderr).toContain(`error: ${error.message}\n`);
  for (const hint of error.hints) expect(text.stderr).toContain(hint);
  return { code: text.code, kind: error.kind, message: error.message, hints: error.hints.join('\n'), error };
}

function worked(): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
  pitr(repository.path, ['snapshot', '-m', 'good'], {
    env: { GIT_COMMITTER_DATE: '2026-11-20T12:00:00.000Z' },
  });
  repository.write('a.txt', 'changed\n');
  return repository;
}

/** For all cases that only fail: each checks that it left nothing changed. */
let shared: TestRepository;
beforeAll(() => {
  shared = worked();
});

const everyCommand = [
  ['init'],
  ['snapshot'],
  ['list'],
  ['show'],
  ['diff'],
  ['restore', '--at', 'now'],
  ['undo'],
];

describe('where there is nothing to work on', () => {
  it.each(everyCommand)('%s outside of a repository: exit 1, and the hint to run git init', (...args) => {
    const refused = failure(scratchFolder(), args);
    expect(refused).toMatchObject({ code: 1, kind: 'failed' });
    expect(refused.message).toContain('not in a Git repository');
    expect(refused.hints).toContain('git init');
  });

  it.each(everyCommand)('%s in a bare repository: exit 1, and where to go', (...args) => {
    const bare = scratchFolder();
    execFileSync('git', ['init', '--quiet', '--bare', bare], { env: cleanEnvironment() });
    const refused = failure(bare, args);
    expect(refused).toMatchObject({ code: 1, kind: 'failed' });
    expect(refused.message).toContain('bare');
    expect(refused.hints).toContain('worktree');
  });

  it('inside .git: exit 1, and where to go', () => {
    const repository = worked();
    const refused = failure(repository.resolve('.git'), ['snapshot'], {}, repository.path);
    expect(refused).toMatchObject({ code: 1, kind: 'failed' });
    expect(refused.hints).toContain('Change to the folder');
  });

  it('a folder that is gone: exit 1, without blaming git-pitr', () => {
    const repository = worked();
    const gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
    const ran = () =>
      execFileSync('sh', ['-c', gone, 'sh', process.execPath, command, 'list'], {
        cwd: repository.path,
        env: cleanEnvironment(),
        encoding: 'utf8',
        stdio: 'pipe',
      });
    expect(ran).toThrow(/The current folder is no longer there/);
    expect(ran).not.toThrow(/defect/);
  });

  it('GIT_DIR of another place, alone as hooks set it: it is not followed, and the error says so', () => {
    const repository = worked();
    const env = { GIT_DIR: repository.resolve('.git') };
    expect(failure(scratchFolder(), ['list'], { env }).hints).toContain(
      `GIT_DIR (${env.GIT_DIR}) counts only`,
    );
  });

  it('no snapshot yet: list says so, and the rest is exit 5 with the way to the first', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    expect(pitr(repository.path, ['list']).stdout).toContain('git pitr snapshot');
    expect(pitr(repository.path, ['list', '--json']).json()).toEqual({ snapshots: [] });
    for (const args of [['show'], ['diff'], ['restore', '--snapshot', 'latest'], ['restore', '--at', 'now']])
      expect(failure(repository.path, args)).toMatchObject({
        code: 5,
        hints: 'Take the first: git pitr snapshot',
      });
  });
});

describe('selectors', () => {
  it.each([
    ['an id that is none', 'ffffffffffff', 5],
    ['three digits', 'fff', 5],
    ['a branch', 'HEAD', 5],
    ['nothing', '', 5],
    ['further back than there are', 'latest~7', 5],
    ['a number that is none', 'latest~x', 5],
    ['a time before the first', '@{2026-11-19}', 5],
    ['a time that is none', '@{soonish}', 2],
    ['a time to come', '@{2999-01-01}', 2],
  ])('%s (%s): exit %i from every command that takes one', (_, selector, code) => {
    const repository = shared;
    const env = { GIT_COMMITTER_DATE: '2026-11-21T12:00:00.000Z' };
    for (const args of [
      ['show', selector],
      ['diff', selector],
      ['restore', '--snapshot', selector],
    ])
      expect(failure(repository.path, args, { env }).code).toBe(code);
  });

  it('what looks like an option is one for show and diff, and the value of --snapshot, as in git', () => {
    for (const args of [
      ['show', '--exec=ls'],
      ['diff', '--exec=ls'],
    ])
      expect(failure(shared.path, args).code).toBe(2);
    expect(failure(shared.path, ['restore', '--snapshot', '--exec=ls']).code).toBe(5);
  });

  it('an ambiguous prefix: exit 2, with all candidates in the hints and as JSON', () => {
    const repository = worked();
    const [one, two] = ['abcd00000001', 'abcd00000002'];
    for (const id of [one, two]) addSnapshot(repository, id);
    for (const args of [
      ['show', 'abcd'],
      ['restore', '--snapshot', 'abcd0000'],
      ['diff', 'latest', 'abcd'],
    ]) {
      const refused = failure(repository.path, args);
      expect(refused).toMatchObject({ code: 2, kind: 'usage', error: { candidates: [two, one] } });
      for (const id of [one, two]) expect(refused.hints).toContain(id);
    }
    expect(pitr(repository.path, ['show', one, '--json']).json()).toMatchObject({ snapshot: { id: one } });
  });
});

/** A snapshot with the id that a test needs: ids are random, and a clash by chance is rare. */
function addSnapshot(repository: TestRepository, id: string): void {
  const trailers = `Pitr-Id: ${id}\nPitr-Type: snapshot\nPitr-Trigger: manual\nPitr-Time: 2026-11-20T13:00:00.000Z\nPitr-Schema: 1`;
  const tip = 'refs/pitr/main';
  const commit = execFileSync('git', ['commit-tree', `${tip}^{tree}`, '-p', tip], {
    cwd: repository.path,
    env: cleanEnvironment(testIdentity),
    encoding: 'utf8',
    input: `snapshot: ${id}\n\n${trailers}\n`,
  }).trim();
  repository.git('update-ref', tip, commit);
}

describe('restore', () => {
  it('before the first snapshot: exit 5, and the earliest by id and time', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    const env = { GIT_COMMITTER_DATE: '2026-11-20T12:00:00.000Z', TZ: 'UTC' };
    const { snapshot } = pitr(repository.path, ['snapshot', '--json'], { env }).json<{
      snapshot: { id: string };
    }>();
    const refused = failure(repository.path, ['restore', '--at', '2026-11-20 11:59', '--force'], { env });
    expect(refused).toMatchObject({
      code: 5,
      kind: 'noMatch',
      error: { earliest: { id: snapshot.id, time: '2026-11-20T12:00:00.000Z' } },
    });
    expect(refused.message).toContain(`${snapshot.id} of 2026-11-20 12:00:00 +00:00 (UTC)`);
    expect(refused.hints).toContain(`git pitr restore --snapshot ${snapshot.id}`);
  });

  it.each([
    ['a path that is neither now nor then', ['--', 'nowhere.txt'], 5, 'nowhere.txt'],
    ['one such path among others', ['--', 'a.txt', 'nowhere.txt'], 5, 'nowhere.txt'],
    ['a pattern that fits nothing', ['--', '*.nothing'], 5, '*.nothing'],
    ['a path out of the working tree', ['--', '../other'], 2, '../other'],
    ['an absolute path out of the working tree', ['--', '/etc/passwd'], 2, '/etc/passwd'],
    ['pathspec magic that is none', ['--', ':(bogus)a.txt'], 2, 'bogus'],
    ['a database that is not registered', ['--db', 'shop'], 5, 'shop'],
    ['two databases, one not registered', ['--db', 'shop', '--db', 'other'], 5, 'shop'],
    ['--all with a path', ['--all', '--', 'a.txt'], 2, '--all'],
    ['--into without a name', ['--into', ''], 2, '--into'],
    ['--into the git directory', ['--into', '.git/out'], 4, '.git/out'],
    ['--into a file', ['--into', 'a.txt'], 4, 'a.txt'],
    ['--into a folder that is not empty', ['--into', 'dir'], 4, 'dir'],
    ['--into with --staged', ['--into', 'out', '--staged'], 2, '--staged'],
  ])('%s: exit code, and the name in the message', (_, args, code, name) => {
    const refused = failure(shared.path, ['restore', '--snapshot', 'latest', '--force', ...args]);
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(name);
  });

  it.each([
    ['neither --at nor --snapshot', []],
    ['both', ['--at', 'now', '--snapshot', 'latest']],
    ['--at twice', ['--at', 'now', '--at', '1 hour ago']],
    ['--at without a value', ['--at']],
    ['an option that is none', ['--snapshot', 'latest', '--hard']],
    ['a source that is none', ['--at', 'now', '--source', 'reflog']],
    ['history of a snapshot', ['--snapshot', 'latest', '--source', 'history']],
    ['--continue and --abort', ['--continue', '--abort']],
  ])('%s: exit 2', (_, args) => {
    expect(failure(shared.path, ['restore', ...args])).toMatchObject({ code: 2, kind: 'usage' });
  });

  it('--continue, --abort and undo with nothing to do: exit 5', () => {
    const repository = shared;
    for (const args of [['restore', '--continue'], ['restore', '--abort'], ['undo']])
      expect(failure(repository.path, args)).toMatchObject({ code: 5, kind: 'noMatch' });
  });

  it('the file of a registered database as a path: exit 5, and the option that restores it', () => {
    const repository = worked();
    sqlite(repository.resolve('dir/shop.db'), 'CREATE TABLE t(x)');
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    const refused = failure(
      repository.resolve('dir'),
      ['restore', '--snapshot', 'latest', '--', 'shop.db'],
      {},
      repository.path,
    );
    expect(refused.code).toBe(5);
    expect(refused.hints).toContain('--db shop');
  });
});

describe('other commands', () => {
  it.each([
    ['a command that is none', ['snapshoot'], 2, 'snapshot'],
    ['a type that is none', ['snapshot', '--type', 'yearly'], 2, 'archive'],
    ['a trigger that is none', ['snapshot', '--trigger', 'cron'], 2, 'hook:<name>'],
    ['words after snapshot', ['snapshot', 'before', 'lunch'], 2, ''],
    ['a message that no note could hold', ['snapshot', '-m', 'x'.repeat(65_537)], 2, ''],
    ['a list of a type that is none', ['list', '--type', 'yearly'], 2, 'archive'],
    ['a number that is none', ['list', '-n', 'few'], 2, ''],
    ['a list of a path outside', ['list', '--path', '../x'], 2, ''],
    ['a diff of three', ['diff', 'latest', 'latest', 'latest'], 2, ''],
    ['a diff of a path that is nowhere', ['diff', '--', 'nowhere.txt'], 5, ''],
    ['a diff of a path outside', ['diff', '--', '../x'], 2, ''],
    ['a diff of a database that is not registered', ['diff', '--db', 'shop'], 5, ''],
  ])('%s: exit code and hint', (_, args, code, hint) => {
    const refused = failure(shared.path, args);
    expect(refused.code).toBe(code);
    expect(refused.hints).toContain(hint);
  });

  it.each([
    ['pitr.maxFileSize', 'large'],
    ['pitr.lockTimeout', 'soon'],
    ['pitr.database.shop.format', 'xml'],
    ['pitr.database.a b.path', 'x.db'],
  ])('a configuration that is none (%s = %s): exit 2, naming key and value', (key, value) => {
    const repository = worked();
    repository.git('config', key, value);
    const refused = failure(repository.path, ['snapshot']);
    expect(refused.code).toBe(2);
    expect(refused.message).toContain(/database\.(.* .*)\./.exec(key)?.[1] ?? key);
  });

  it('a GIT_COMMITTER_DATE that is no time: exit 2, naming it', () => {
    const env = { GIT_COMMITTER_DATE: 'yesterday' };
    expect(failure(shared.path, ['snapshot'], { env })).toMatchObject({ code: 2, kind: 'usage' });
  });
});

describe('a corrupt SQLite file', () => {
  it.each<[string, (file: string) => void]>([
    ['without its header', (file) => writeFileSync(file, 'garbage'.repeat(2000))],
    ['cut off in the middle', (file) => truncateSync(file, 6000)],
    ['of which nothing is left', (file) => rmSync(file)],
  ])('%s: the snapshot records the rest, says so, and ends with 3', (_, damage) => {
    const repository = worked();
    const file = repository.resolve('shop.db');
    sqlite(
      file,
      'CREATE TABLE t(x); CREATE INDEX i ON t(x); INSERT INTO t SELECT hex(randomblob(100)) FROM generate_series(1, 100)',
    );
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    damage(file);
    repository.write('later.txt', 'later\n');
    const before = everything(repository.path).filter((line) => !line.includes('.git/refs/'));
    const taken = pitr(repository.path, ['snapshot', '--json'], { expectCode: 3 });
    expect(taken.json()).toMatchObject({
      created: true,
      snapshot: { databases: [], failedDatabases: [{ name: 'shop' }], changes: { added: 1 } },
    });
    expect(taken.stderr).toContain(file);
    expect(everything(repository.path).filter((line) => !line.includes('.git/refs/'))).toEqual(before);
    expect(repository.git('show', 'refs/pitr/main:files/later.txt')).toBe('later');
    expect(pitr(repository.path, ['show']).stdout).toContain('Not recorded: database shop');
    // What is there cannot be recorded, so it stays; the last good copy is named.
    const left = pitr(repository.path, ['restore', '--at', 'now', '--all', '--dry-run', '--json'], {
      expectCode: 3,
    });
    expect(JSON.stringify(left.json())).toMatch(/git pitr restore --snapshot [0-9a-f]{12} --db shop/);
  });
});
