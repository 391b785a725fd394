/** What issue 2 asks to be shown, one test a point. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { OtherProgram, sqlite } from '../support/databases.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { everything, sha256sums } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Restored {
  plan: Record<'create' | 'overwrite' | 'delete' | 'mode' | 'protected', { path: string }[]> & {
    databases: { name: string; action: string; sha256: string }[];
  };
  applied: boolean;
  safety: { id: string; commit: string } | null;
}

const rows = 'SELECT * FROM orders ORDER BY id';

interface Scene {
  repository: TestRepository;
  other: OtherProgram;
  instant: string;
  before: { files: string[]; rows: unknown[][] };
  now: { files: string[]; rows: unknown[][]; status: string; index: string; head: string };
}

/** Snapshot, then a tracked file edited, one added, one deleted, and rows changed through a second open connection. */
async function scene(): Promise<Scene> {
  const repository = scratchRepository({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n', 'run.sh': '#!/bin/sh\n', '.gitignore': '*.db*\n' },
    commit: true,
  });
  repository.write('run.sh', '#!/bin/sh\n', 0o755);
  repository.write('notes.txt', 'untracked\n');
  const other = new OtherProgram(repository.resolve('shop.db'));
  await other.rows('PRAGMA journal_mode = wal');
  await other.exec(
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders(what) VALUES ('tea'), ('milk')",
  );
  pitr(repository.path, ['init', '--yes']);
  const files = () => sha256sums(repository.path, ['.git/*', 'shop.db*']);
  const before = { files: files(), rows: await other.rows(rows) };
  pitr(repository.path, ['snapshot'], { env: { GIT_COMMITTER_DATE: '2026-11-20T12:00:00.000Z' } });
  repository.write('a.txt', 'edited\n');
  repository.write('added.txt', 'added\n');
  repository.remove('dir/b.txt');
  repository.write('run.sh', '#!/bin/sh\n', 0o644);
  await other.exec("UPDATE orders SET what = 'gin'; INSERT INTO orders(what) VALUES ('rum')");
  const now = {
    files: files(),
    rows: await other.rows(rows),
    status: repository.git('status', '--porcelain'),
    index: repository.git('ls-files', '--stage'),
    head: repository.git('rev-parse', 'HEAD'),
  };
  return { repository, other, instant: '2026-11-20T12:00:00Z', before, now };
}

describe('2: restore --at <instant> --all --yes', () => {
  it('brings files and rows back, leaves HEAD and the index alone, and undo brings the later state back', async () => {
    const { repository, other, instant, before, now } = await scene();
    const files = () => sha256sums(repository.path, ['.git/*', 'shop.db*']);
    const shown = pitr(repository.path, ['restore', '--at', instant, '--all', '--yes']).stdout;
    expect(shown).toContain('2026-11-20');
    expect(shown).toContain('git pitr undo');
    expect({ files: files(), rows: await other.rows(rows) }).toEqual(before);
    expect(repository.git('rev-parse', 'HEAD')).toBe(now.head);
    expect(repository.git('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    expect(repository.git('ls-files', '--stage')).toBe(now.index);
    // What differs from HEAD now is what differed then: the x bit and the untracked file.
    expect(repository.git('status', '--porcelain')).toBe(' M run.sh\n?? notes.txt');
    pitr(repository.path, ['undo', '--yes']);
    expect({ files: files(), rows: await other.rows(rows) }).toEqual({ files: now.files, rows: now.rows });
    expect(repository.git('status', '--porcelain')).toBe(now.status);
    expect(repository.git('rev-parse', 'HEAD')).toBe(now.head);
  });
});

describe('3: --dry-run', () => {
  it.each([
    ['all', ['--all', '--yes']],
    ['files', ['--force']],
    ['one path', ['--force', '--', 'dir']],
    ['a database', ['--db', 'shop']],
    ['what was not changed', ['--all', '--keep-changes']],
    ['what was there then', ['--force', '--keep-new']],
  ])('of %s changes nothing, and its plan is what the real run then does', async (_, scope) => {
    const { repository, other, instant } = await scene();
    const before = everything(repository.path);
    const refs = repository.git('for-each-ref');
    const rowsBefore = await other.rows(rows);
    const separator = scope.indexOf('--');
    const options = separator === -1 ? scope : scope.slice(0, separator);
    const paths = separator === -1 ? [] : scope.slice(separator);
    const run = (...more: string[]) =>
      pitr(repository.path, [
        'restore',
        '--at',
        instant,
        '--json',
        ...options,
        ...more,
        ...paths,
      ]).json<Restored>();

    const dry = run('--dry-run');
    expect(everything(repository.path)).toEqual(before);
    expect(repository.git('for-each-ref')).toBe(refs);
    expect(await other.rows(rows)).toEqual(rowsBefore);
    expect(dry).toMatchObject({ applied: false, safety: null });

    const real = run();
    expect(real.applied).toBe(true);
    expect(real.plan).toEqual(dry.plan);
    expect(doneByFiles(before, everything(repository.path))).toEqual({
      create: dry.plan.create.map((entry) => entry.path),
      overwrite: dry.plan.overwrite.map((entry) => entry.path),
      delete: dry.plan.delete.map((entry) => entry.path),
    });
    const restores = dry.plan.databases.some(({ action }) => action === 'restore');
    expect((await other.rows(rows)).length).toBe(restores ? 2 : 3);
  });

  it('of undo changes nothing, and its plan is what undo then does', async () => {
    const { repository, instant } = await scene();
    pitr(repository.path, ['restore', '--at', instant, '--all', '--yes']);
    const before = everything(repository.path);
    const dry = pitr(repository.path, ['undo', '--dry-run', '--json']).json<Restored>();
    expect(everything(repository.path)).toEqual(before);
    const real = pitr(repository.path, ['undo', '--json']).json<Restored>();
    expect(real.plan).toEqual(dry.plan);
    expect(real.plan.mode.map((entry) => entry.path)).toEqual(['run.sh']);
  });
});

/** What happened to the files of the worktree, by their hashes. */
function doneByFiles(before: readonly string[], after: readonly string[]) {
  const hashes = (lines: readonly string[]) =>
    new Map(
      lines
        .map((line) => [line.slice(68), line.slice(0, 64)] as const)
        .filter(([name]) => !name.startsWith('.git/') && !name.startsWith('shop.db')),
    );
  const [was, is] = [hashes(before), hashes(after)];
  return {
    create: [...is.keys()].filter((name) => !was.has(name)),
    overwrite: [...is]
      .filter(([name, hash]) => was.has(name) && was.get(name) !== hash)
      .map(([name]) => name),
    delete: [...was.keys()].filter((name) => !is.has(name)),
  };
}

describe('4: uncommitted changes and no terminal', () => {
  it('refuses with exit 4, names the paths and both ways on, and changes nothing', async () => {
    const { repository, instant } = await scene();
    const before = everything(repository.path);
    const refused = pitr(repository.path, ['restore', '--at', instant, '--json'], { expectCode: 4 });
    expect(refused.json()).toMatchObject({
      error: { kind: 'refused', uncommitted: ['a.txt', 'added.txt'] },
    });
    expect(refused.stderr).toContain('--force');
    expect(refused.stderr).toContain('--keep-changes');
    expect(everything(repository.path)).toEqual(before);
  });

  it('--keep-changes restores the rest and leaves just those paths alone', async () => {
    const { repository, instant } = await scene();
    const done = pitr(repository.path, [
      'restore',
      '--at',
      instant,
      '--keep-changes',
      '--json',
    ]).json<Restored>();
    expect(done.plan.protected.map((entry) => entry.path)).toEqual(['a.txt', 'added.txt']);
    expect(repository.read('a.txt')).toBe('edited\n');
    expect(repository.read('added.txt')).toBe('added\n');
    expect(repository.read('dir/b.txt')).toBe('b\n');
  });

  it('--force restores all, and undo gives the changes back', async () => {
    const { repository, instant, before, now } = await scene();
    const files = () => sha256sums(repository.path, ['.git/*', 'shop.db*']);
    pitr(repository.path, ['restore', '--at', instant, '--force']);
    expect(files()).toEqual(before.files);
    pitr(repository.path, ['undo']);
    expect(files()).toEqual(now.files);
    expect(repository.read('a.txt')).toBe('edited\n');
  });

  it.each([
    ['a change that is staged', (repository: TestRepository) => repository.git('add', 'a.txt')],
    [
      'an untracked file',
      (repository: TestRepository) => repository.git('rm', '--cached', '--quiet', 'a.txt'),
    ],
  ])('%s counts as uncommitted', async (_, make) => {
    const { repository, instant } = await scene();
    make(repository);
    const before = everything(repository.path);
    pitr(repository.path, ['restore', '--at', instant, '--', 'a.txt'], { expectCode: 4 });
    expect(everything(repository.path)).toEqual(before);
  });

  it('a change that is committed does not stop a restore: git has it', async () => {
    const { repository, instant } = await scene();
    repository.commit('keep');
    const head = repository.git('rev-parse', 'HEAD');
    pitr(repository.path, ['restore', '--at', instant]);
    expect(repository.read('a.txt')).toBe('a\n');
    expect(repository.git('rev-parse', 'HEAD')).toBe(head);
  });
});

describe('5: what plain git and tar say of it', () => {
  it('fsck --strict finds nothing after snapshots, a restore and an undo', async () => {
    const { repository, instant } = await scene();
    pitr(repository.path, ['restore', '--at', instant, '--all', '--yes']);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.git('fsck', '--strict', '--no-dangling')).toBe('');
    repository.git('gc', '--prune=now', '--quiet');
    expect(repository.git('fsck', '--strict')).toBe('');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('a.txt')).toBe('a\n');
  });

  it('git log and git notes show a snapshot so that a person can read it', async () => {
    const { repository } = await scene();
    pitr(repository.path, [
      'snapshot',
      '-m',
      'before the upgrade\nmore about it',
      '--type',
      'archive',
      '--pin',
    ]);
    const log = repository.git('log', '--no-notes', '--format=%an <%ae>%n%B', '-1', 'refs/pitr/main');
    expect(log).toMatch(
      /^git-pitr <git-pitr@localhost>\narchive: before the upgrade\n\nPitr-Id: [0-9a-f]{12}\nPitr-Type: archive\nPitr-Trigger: manual\nPitr-Time: \S+Z\nPitr-Schema: 1\nPitr-Anchor: [0-9a-f]{40}\n*$/,
    );
    const note = repository.git('notes', '--ref=pitr', 'show', 'refs/pitr/main');
    expect(note.split('\n').length).toBeGreaterThan(10);
    expect(JSON.parse(note)).toMatchObject({
      schema: 1,
      message: 'before the upgrade\nmore about it',
      pinned: true,
      head: { branch: 'main', commit: repository.git('rev-parse', 'HEAD') },
      databases: [{ name: 'shop', engine: 'sqlite', tables: { orders: 3 } }],
    });
  });

  it('a note is one that can be read back, whatever is in it', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    const table = `long ${'name '.repeat(200)}`;
    sqlite(repository.resolve('shop.db'), `CREATE TABLE "${table}"(x)`);
    pitr(repository.path, ['init', '--yes']);
    const message = 'm'.repeat(65_536);
    pitr(repository.path, ['snapshot', '-m', message]);
    const { stderr, json } = pitr(repository.path, ['list', '--json']);
    expect(stderr).toBe('');
    expect(json()).toMatchObject({ snapshots: [{ message, databases: [{ name: 'shop' }] }] });
  });

  it('git archive and tar give a database that opens, with the rows of then, and the files of then', async () => {
    const { repository, before } = await scene();
    const out = repository.resolve('.git/out.db');
    const script = `git archive 'refs/pitr/main:databases/shop/image' | tar -xO > .git/out.db
      mkdir .git/out && git archive refs/pitr/main:files | tar -x -C .git/out`;
    execFileSync('sh', ['-ec', script], { cwd: repository.path, env: cleanEnvironment() });
    expect(sqlite(out, 'PRAGMA integrity_check')).toBe('ok');
    const taken = sqlite(out, 'SELECT json_group_array(json_array(id, what)) FROM orders');
    expect(JSON.parse(taken)).toEqual(before.rows);
    expect(sha256sums(path.join(repository.path, '.git/out'))).toEqual(before.files);
  });
});
