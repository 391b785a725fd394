/** What killed processes leave: no obstacle to the next command, and gone after it when it was ours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { sqlite } from '../support/databases.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { runAndKill } from './support/kill.ts';

/** A repository with a snapshot, and the lock of a process that was killed just now. */
function crashed(): TestRepository {
  const repository = scratchRepository({
    files: { 'a.txt': 'a\r\n', '.gitattributes': '* text=auto\n' },
    commit: true,
  });
  repository.git('config', 'pitr.lockTimeout', '10s');
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\r\n');
  return repository;
}

function line(repository: TestRepository, name = ''): string {
  return repository.resolve(path.join('.git/pitr/lines/main', name));
}

/** The lock of a process that is no more; it was taken a minute ago. */
function leaveLock(repository: TestRepository): void {
  const holder = {
    pid: 2 ** 22 + 1,
    started: '1',
    nonce: 'abc',
    purpose: 'snapshot',
    since: Date.now() - 60_000,
  };
  const host = readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();
  writeFileSync(line(repository, 'lock'), JSON.stringify({ ...holder, host, namespace: '' }));
}

function dead(): string {
  const host = readFileSync('/proc/sys/kernel/hostname', 'utf8')
    .trim()
    .replace(/[^\w-]/g, '_');
  return `${2 ** 22 + 1}.1..${host}.0123456789ab`;
}

function age(file: string, seconds: number): void {
  const then = new Date(Date.now() - seconds * 1000);
  utimesSync(file, then, then);
}

async function running(program: string, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', `${program}; console.log('up'); setInterval(() => {}, 1e6)`], {
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

/** A process whose parent has ended: its pid. */
async function orphaned(env: NodeJS.ProcessEnv): Promise<number> {
  const parent = spawn('sh', ['-c', 'sleep 1000 >/dev/null & echo $!'], {
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(parent, 'exit');
  const [output] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(String(output));
  onTestFinished(() => {
    if (isThere(pid)) process.kill(pid, 'SIGKILL');
  });
  await ended;
  return pid;
}

/** True for a process that has not ended; one that nobody has waited for yet has. */
function isThere(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('after a crash the next command', () => {
  test('removes the scratch folders of the dead, and no others', () => {
    const repository = crashed();
    const living = JSON.parse(JSON.stringify(dead())) as string;
    const own = living.replace(/^\d+\.1\./, `${process.pid}..`);
    const folders = [
      line(repository, 'stage'),
      line(repository, 'scratch'),
      repository.resolve('.git/pitr/import'),
    ];
    for (const folder of folders)
      for (const name of [dead(), own]) mkdirSync(path.join(folder, name, 'files'), { recursive: true });
    leaveLock(repository);
    pitr(repository.path, ['snapshot']);
    expect(folders.map((folder) => readdirSync(folder))).toEqual(folders.map(() => [own]));
  });

  test("removes what a killed git was writing, and leaves other people's files", async () => {
    const repository = crashed();
    const objects = repository.resolve('.git/objects');
    const file = (name: string) => path.join(objects, name);
    const names = [
      'pack/tmp_pack_dead01',
      'pack/tmp_idx_dead01',
      '00/tmp_obj_dead01',
      'pack/.tmp-12-pack-dead',
    ];
    mkdirSync(file('00'), { recursive: true });
    for (const name of [...names, 'pack/tmp_pack_open01', 'pack/tmp_pack_older1', 'pack/other'])
      writeFileSync(file(name), 'x');
    age(file('pack/tmp_pack_older1'), 3600);
    await running(`require('fs').openSync(${JSON.stringify(file('pack/tmp_pack_open01'))})`);
    leaveLock(repository);
    pitr(repository.path, ['snapshot']);
    expect(names.filter((name) => existsSync(file(name)))).toEqual([]);
    for (const name of ['pack/tmp_pack_open01', 'pack/tmp_pack_older1', 'pack/other'])
      expect(existsSync(file(name))).toBe(true);
  });

  test('ends git processes that the dead one left at work on the shadow, and only those', async () => {
    const repository = crashed();
    const shadow = { GIT_DIR: line(repository, 'shadow') };
    const orphan = await orphaned(shadow);
    const others = [
      (await running('', shadow)).pid ?? 0, // its parent lives, and works without the lock
      await orphaned({ GIT_DIR: repository.resolve('.git') }),
    ];
    leaveLock(repository);
    pitr(repository.path, ['snapshot']);
    expect(isThere(orphan)).toBe(false);
    expect(others.map(isThere)).toEqual([true, true]);
  });

  test('lets the user have the index that a killed restore had locked', async () => {
    const repository = crashed();
    repository.git('add', 'a.txt');
    const args = ['restore', '--snapshot', 'latest', '--staged', '--yes'];
    expect(await runAndKill(repository.path, args, { at: 'index-locked' })).toBe(true);
    expect(existsSync(repository.resolve('.git/index.lock'))).toBe(true);
    pitr(repository.path, ['restore', '--abort']);
    expect(existsSync(repository.resolve('.git/index.lock'))).toBe(false);
    repository.git('add', 'a.txt');
  });

  test.each(['index', 'staged-index', 'conflict-index'])(
    'is not kept out by a lock on the %s of the shadow',
    (name) => {
      const repository = crashed();
      writeFileSync(line(repository, `shadow/${name}.lock`), '');
      repository.write('b.txt', 'b\n');
      repository.git('add', 'b.txt');
      pitr(repository.path, ['snapshot']);
      expect(repository.git('show', 'refs/pitr/main:staged/b.txt')).toBe('b');
    },
  );

  test.each(['refs/pitr/main.lock', 'refs/notes/pitr.lock'])(
    'takes away a dead lock on a ref of ours (%s)',
    (name) => {
      const repository = crashed();
      const lock = repository.resolve(path.join('.git', name));
      writeFileSync(lock, '');
      age(lock, 60);
      pitr(repository.path, ['snapshot']);
      expect(existsSync(lock)).toBe(false);
      expect(repository.git('show', 'refs/pitr/main:files/a.txt')).toBe('changed\r');
    },
  );

  test.each(['HEAD', 'config', 'info/attributes', 'info/exclude'])(
    'writes anew what a full disk or a loss of power left empty in the shadow (%s)',
    (name) => {
      const repository = crashed();
      writeFileSync(line(repository, `shadow/${name}`), '');
      pitr(repository.path, ['snapshot']);
      expect(repository.git('show', 'refs/pitr/main:files/a.txt')).toBe('changed\r');
    },
  );

  test.each(['HEAD', 'config'])('writes anew what was left empty in the reader (%s)', (name) => {
    const repository = crashed();
    writeFileSync(repository.resolve(`.git/pitr/reader/${name}`), '');
    pitr(repository.path, ['snapshot']);
    pitr(repository.path, ['diff', 'latest~1', 'latest']);
    expect(repository.git('fsck', '--strict')).toBe('');
  });

  test('removes a database that was not yet in its place, and no snapshot holds it', async () => {
    const repository = crashed();
    sqlite(repository.resolve('app-2.db'), 'CREATE TABLE t(v); INSERT INTO t VALUES (1);');
    repository.git('config', 'pitr.database.app.path', 'app-2.db');
    pitr(repository.path, ['snapshot']);
    renameSync(repository.resolve('app-2.db'), path.join(scratchFolder(), 'away.db'));
    const args = ['restore', '--snapshot', 'latest', '--db', 'app', '--yes'];
    expect(await runAndKill(repository.path, args, { at: 'database-built' })).toBe(true);
    expect(readdirSync(repository.path).filter((name) => name.includes('.pitr-'))).toHaveLength(1);
    pitr(repository.path, ['restore', '--continue']);
    expect(readdirSync(repository.path).filter((name) => name.includes('.pitr-'))).toEqual([]);
    for (const commit of repository.git('rev-list', 'refs/pitr/main').split('\n'))
      expect(repository.git('ls-tree', '-r', '--name-only', `${commit}:files`)).not.toContain('.pitr-');
  });
});

describe('an import', () => {
  test('leaves no trace in the git directory of the user, even when it fails', () => {
    const repository = crashed();
    const before = readdirSync(repository.resolve('.git')).toSorted();
    // A tip that fast-import cannot go on from.
    const tip = repository.git('rev-parse', 'refs/pitr/main');
    rmSync(repository.resolve(`.git/objects/${tip.slice(0, 2)}/${tip.slice(2)}`));
    expect(pitr(repository.path, ['snapshot'], { expectCode: 'any' }).code).not.toBe(0);
    expect(readdirSync(repository.resolve('.git')).toSorted()).toEqual(before);
    expect(readdirSync(repository.resolve('.git/pitr/import'))).toEqual([]);
  });

  test('gives packs, objects and folders the modes of core.sharedRepository', () => {
    const repository = crashed();
    repository.git('config', 'core.sharedRepository', 'group');
    sqlite(
      repository.resolve('app.db'),
      'CREATE TABLE t(v); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT randomblob(500) FROM n;',
    );
    repository.git('config', 'pitr.database.app.path', 'app.db');
    const objects = repository.resolve('.git/objects');
    const before = new Set(readdirSync(objects, { recursive: true, encoding: 'utf8' }));
    const mask = process.umask(0o077);
    onTestFinished(() => void process.umask(mask));
    pitr(repository.path, ['snapshot', '-m', 'base']);
    const lines = (middle: string) => `1\n2\n3\n${middle}\n5\n6\n7\n`;
    repository.write('merged.txt', lines('4'));
    pitr(repository.path, ['snapshot', '-m', 'then']);
    repository.write('merged.txt', lines('four'));
    pitr(repository.path, ['snapshot', '-m', 'unwanted']);
    repository.write('merged.txt', `${lines('four')}8\n`);
    pitr(repository.path, ['restore', '--merge', '--snapshot', 'latest~1', '--yes']);
    expect(repository.read('merged.txt')).toBe(`${lines('4')}8\n`);
    const added = readdirSync(objects, { recursive: true, encoding: 'utf8' }).filter(
      (name) => !before.has(name),
    );
    expect(added.some((name) => name.endsWith('.pack'))).toBe(true);
    const isShared = (name: string) => {
      const { mode } = statSync(path.join(objects, name));
      return (mode & 0o170000) === 0o040000 ? (mode & 0o2070) === 0o2070 : (mode & 0o040) === 0o040;
    };
    expect(added.filter((name) => !isShared(name))).toEqual([]);
  });
});

test('a restore that was killed leaves its staging behind until the next command, and no longer', async () => {
  const repository = crashed();
  const before = hashTree(repository.path);
  expect(
    await runAndKill(repository.path, ['restore', '--snapshot', 'latest', '--yes'], { at: 'staged' }),
  ).toBe(true);
  expect(readdirSync(line(repository, 'stage'))).toHaveLength(1);
  pitr(repository.path, ['snapshot']);
  expect(readdirSync(line(repository, 'stage'))).toEqual([]);
  expect(hashTree(repository.path)).toEqual(before);
});
