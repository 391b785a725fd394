/** What cannot be recorded: named with its reason by snapshot, show and the plan, and never touched by a restore. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';
import { giveToOrdinaryUser, pitrAsOrdinaryUser } from './support/ordinary-user.ts';
import {
  fsck,
  recordedFiles,
  restore,
  roundTrip,
  snapshot,
  type RestoreShown,
  type SnapshotShown,
} from './support/round-trip.ts';

function plain(): TestRepository {
  return scratchRepository({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n', '.gitignore': '*.log\n' },
    commit: true,
  });
}

async function socket(file: string): Promise<void> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => {
    // A path longer than 107 bytes is cut by the kernel: named from its folder.
    process.chdir(path.dirname(file));
    server.listen(path.basename(file), resolve);
  });
  process.chdir('/');
  onTestFinished(() => void server.close());
}

function pipe(file: string): void {
  execFileSync('mkfifo', [file]);
}

function skippedIn(folder: string): { path: string; reason: string }[] {
  return pitr(folder, ['show', '--json']).json<{ snapshot: SnapshotShown }>().snapshot.skipped;
}

test('sockets and pipes, tracked folder or not, are named by snapshot, show and the plan', async () => {
  const repository = plain();
  await socket(repository.resolve('top.sock'));
  await socket(repository.resolve('dir/deep.sock'));
  mkdirSync(repository.resolve('only'));
  pipe(repository.resolve('only/pipe'));
  repository.write('new/x.txt', 'x\n');
  pipe(repository.resolve('new/pipe'));
  pipe(repository.resolve('ignored.log'));
  const expected = [
    { path: 'dir/deep.sock', reason: 'it is a socket' },
    { path: 'new/pipe', reason: 'it is a named pipe' },
    { path: 'only/pipe', reason: 'it is a named pipe' },
    { path: 'top.sock', reason: 'it is a socket' },
  ];
  const sorted = (entries: { path: string; reason: string }[]) =>
    entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const { snapshot: taken, plan } = roundTrip(repository.path, () => {
    repository.write('a.txt', 'changed\n');
    repository.write('dir/c.txt', 'new\n');
  });
  expect(sorted(taken.skipped)).toEqual(expected);
  expect(sorted(skippedIn(repository.path))).toEqual(expected);
  expect(sorted(plan.protected).map((entry) => entry.path)).toEqual(expected.map((entry) => entry.path));
  expect(pitr(repository.path, ['snapshot', '-m', 'again']).stderr).toContain(
    'left out: top.sock: it is a socket',
  );
});

test('a socket that comes later is named by the next snapshot that changes its folder, and by every plan', async () => {
  const repository = plain();
  snapshot(repository.path);
  await socket(repository.resolve('dir/late.sock'));
  repository.write('a.txt', 'changed\n');
  const { plan } = pitr(repository.path, [
    'restore',
    '--snapshot',
    'latest',
    '--dry-run',
    '--json',
  ]).json<RestoreShown>();
  expect(plan.protected.map((entry) => entry.path)).toEqual(['dir/late.sock']);
  repository.write('dir/b.txt', 'changed\n');
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.skipped.map((entry) => entry.path)).toEqual(['dir/late.sock']);
});

test('a socket or a pipe in the place of a recorded file stays, and the plan says why', async () => {
  const repository = plain();
  const { snapshot: taken } = snapshot(repository.path);
  repository.remove('a.txt');
  repository.remove('dir');
  await socket(repository.resolve('a.txt'));
  pipe(repository.resolve('dir'));
  const before = hashTree(repository.path);
  const { plan } = restore(repository.path, ['--snapshot', taken.id], { expectCode: 3 });
  expect(hashTree(repository.path)).toEqual(before);
  expect(plan.protected.map((entry) => entry.path)).toEqual(['a.txt', 'dir/b.txt', 'dir']);
  expect(lstatSync(repository.resolve('a.txt')).isSocket()).toBe(true);
});

test('a folder that holds a socket is not removed with its files', async () => {
  const repository = plain();
  const { snapshot: taken } = snapshot(repository.path);
  repository.write('run/state.txt', 'state\n');
  await socket(repository.resolve('run/app.sock'));
  restore(repository.path, ['--snapshot', taken.id]);
  expect(existsSync(repository.resolve('run/state.txt'))).toBe(false);
  expect(lstatSync(repository.resolve('run/app.sock')).isSocket()).toBe(true);
});

test('a file over pitr.maxFileSize: new, grown, shrunk, and never deleted by a restore', () => {
  const repository = plain();
  repository.git('config', 'pitr.maxFileSize', '1k');
  const { snapshot: before } = snapshot(repository.path);
  repository.write('big.bin', 'x'.repeat(2000));
  repository.write('a.txt', 'y'.repeat(2000));
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.skipped.map((entry) => entry.path).toSorted()).toEqual(['a.txt', 'big.bin']);
  expect(taken.skipped[0]?.reason).toMatch(/larger than pitr\.maxFileSize \(2000 > 1024 bytes\)/);
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['.gitignore', 'dir/b.txt']);
  const now = hashTree(repository.path);
  const { plan } = restore(repository.path, ['--snapshot', before.id], { expectCode: 3 });
  expect(hashTree(repository.path)).toEqual(now);
  expect(plan.protected.map((entry) => entry.path).toSorted()).toEqual(['a.txt', 'big.bin']);
  repository.write('a.txt', 'small again\n');
  const again = snapshot(repository.path).snapshot;
  expect(recordedFiles(repository.path, again.commit).get('a.txt')).toBe('small again');
  // Going to a snapshot that left it out leaves what is there now alone.
  const { plan: second } = restore(repository.path, ['--snapshot', taken.id]);
  expect(repository.read('a.txt')).toBe('small again\n');
  expect(second.protected.map((entry) => entry.path).toSorted()).toEqual(['a.txt', 'big.bin']);
});

test('a limit that is raised brings in what was left out, without a change of the file', () => {
  const repository = plain();
  repository.git('config', 'pitr.maxFileSize', '1k');
  repository.write('big.bin', 'x'.repeat(2000));
  expect(snapshot(repository.path).snapshot.skipped).toHaveLength(1);
  repository.git('config', 'pitr.maxFileSize', '0');
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.skipped).toEqual([]);
  expect(recordedFiles(repository.path, taken.commit).get('big.bin')).toHaveLength(2000);
});

test('more than pitr.maxSnapshotSize is refused, says what is big, and nothing is recorded or changed', () => {
  const repository = plain();
  repository.git('config', 'pitr.maxSnapshotSize', '100k');
  const { snapshot: before } = snapshot(repository.path);
  for (let turn = 0; turn < 10; turn++) repository.write(`data/${turn}.bin`, 'x'.repeat(10_000 + turn));
  repository.write('huge.bin', 'x'.repeat(50_000));
  const refused = pitr(repository.path, ['snapshot', '--json'], { expectCode: 4 });
  const { error } = refused.json<{
    error: { message: string; hints: string[]; largest: { path: string; bytes: number }[] };
  }>();
  expect(error.message).toMatch(/would add 150045 bytes in 11 files.*pitr\.maxSnapshotSize \(102400\)/);
  expect(error.largest[0]).toEqual({ path: 'huge.bin', bytes: 50_000 });
  expect(error.hints.join('\n')).toContain('huge.bin (50000 bytes)');
  const { snapshots } = pitr(repository.path, ['list', '--json']).json<{ snapshots: { id: string }[] }>();
  expect(snapshots.map(({ id }) => id)).toEqual([before.id]);
  // The same words when a restore has to record the present state first: nothing is changed then.
  repository.write('a.txt', 'changed\n');
  const now = hashTree(repository.path);
  pitr(repository.path, ['restore', '--snapshot', before.id, '--yes'], { expectCode: 4 });
  expect(hashTree(repository.path)).toEqual(now);
  repository.git('config', '--add', 'pitr.exclude', '*.bin');
  snapshot(repository.path);
  restore(repository.path, ['--snapshot', before.id]);
  expect(repository.read('a.txt')).toBe('a\n');
  expect(existsSync(repository.resolve('huge.bin'))).toBe(true);
});

test('a sparse file of 5 GB is skipped by its size, not read', () => {
  const repository = plain();
  repository.write('disk.img', '');
  truncateSync(repository.resolve('disk.img'), 5 * 1024 ** 3);
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.skipped).toEqual([
    { path: 'disk.img', reason: expect.stringContaining('5368709120 > 104857600') as string },
  ]);
});

interface Taken {
  created: boolean;
  snapshot: SnapshotShown;
}

test('unreadable files and folders are left out with the reason, the rest is recorded, and they are protected', () => {
  const repository = plain();
  repository.write('secret.txt', 'secret\n');
  repository.write('locked/inside.txt', 'inside\n');
  repository.write('unlisted/inside.txt', 'inside\n');
  repository.write('new-locked/inside.txt', 'inside\n');
  repository.git('add', 'locked', 'unlisted');
  repository.git('commit', '--quiet', '-m', 'tracked');
  giveToOrdinaryUser(repository.path);
  const run = <Document>(args: string[], code = 0) =>
    pitrAsOrdinaryUser<Document>(repository.path, args, code);
  const { snapshot: before } = run<Taken>(['snapshot']);
  expect(before.skipped).toEqual([]);
  const hidden: [string, number][] = [
    ['secret.txt', 0o000],
    ['locked', 0o000],
    ['unlisted', 0o111],
    ['new-locked', 0o000],
  ];
  for (const [name, mode] of hidden) chmodSync(repository.resolve(name), mode);
  onTestFinished(() => {
    for (const [name] of hidden) chmodSync(repository.resolve(name), 0o755);
  });
  writeFileSync(repository.resolve('a.txt'), 'changed\n');
  const { snapshot: taken } = run<Taken>(['snapshot']);
  const paths = taken.skipped.map((entry) => entry.path).toSorted();
  expect(paths).toEqual(['locked', 'new-locked', 'secret.txt', 'unlisted']);
  for (const { reason } of taken.skipped) expect(reason).toMatch(/cannot be read \(permission denied\)/);
  const { plan } = run<RestoreShown>(['restore', '--snapshot', before.id, '--yes'], 3);
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['a.txt']);
  expect(plan.delete).toEqual([]);
  for (const [name] of hidden) chmodSync(repository.resolve(name), 0o755);
  for (const file of ['locked/inside.txt', 'unlisted/inside.txt', 'new-locked/inside.txt'])
    expect(readFileSync(repository.resolve(file), 'utf8')).toBe('inside\n');
  expect(readFileSync(repository.resolve('secret.txt'), 'utf8')).toBe('secret\n');
  const { snapshot: after } = run<Taken>(['snapshot']);
  expect(after.skipped).toEqual([]);
  expect(after.files).toBe(before.files);
});

test('a folder that cannot be written to stops a restore before anything is half done', () => {
  const repository = plain();
  giveToOrdinaryUser(repository.path);
  const run = <Document>(args: string[], code = 0) =>
    pitrAsOrdinaryUser<Document>(repository.path, args, code);
  const { snapshot: before } = run<Taken>(['snapshot']);
  for (const file of ['a.txt', 'dir/b.txt']) writeFileSync(repository.resolve(file), 'changed\n');
  const now = hashTree(repository.path);
  chmodSync(repository.resolve('dir'), 0o555);
  onTestFinished(() => chmodSync(repository.resolve('dir'), 0o755));
  const failed = run<{ error: { message: string } }>(['restore', '--snapshot', before.id, '--yes'], 1);
  expect(failed.error.message).toMatch(/dir\/b\.txt.*everything is as it was before/);
  chmodSync(repository.resolve('dir'), 0o755);
  expect(hashTree(repository.path)).toEqual(now);
  run(['restore', '--snapshot', before.id, '--yes']);
  expect(repository.read('dir/b.txt')).toBe('b\n');
});

test('a device is left out by name', () => {
  const repository = plain();
  const device = repository.resolve('null');
  try {
    execFileSync('mknod', [device, 'c', '1', '3'], { stdio: 'ignore' });
  } catch {
    // Only root may make one, and not in every container: a link to one is then all that can be tried.
    repository.symlink('null', '/dev/null');
  }
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('a.txt', 'changed\n'));
  const isDevice = lstatSync(device).isCharacterDevice();
  expect(taken.skipped).toEqual(isDevice ? [{ path: 'null', reason: 'it is a device' }] : []);
  expect([...recordedFiles(repository.path, taken.commit).keys()].includes('null')).toBe(!isDevice);
});

test('a symbolic link to what cannot be recorded is only a link', async () => {
  const repository = plain();
  await socket(repository.resolve('ignored.log'));
  repository.symlink('to-socket', 'ignored.log');
  repository.symlink('to-nothing', 'nowhere');
  repository.symlink('to-folder', '/');
  repository.symlink('to-itself', 'to-itself');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    for (const name of ['to-socket', 'to-nothing', 'to-folder', 'to-itself'])
      rmSync(repository.resolve(name));
  });
  expect(taken.skipped).toEqual([]);
});

test('one bad file among many never fails a snapshot, and the good ones are all there', () => {
  const repository = plain();
  for (let turn = 0; turn < 300; turn++) repository.write(`many/${turn}.txt`, `${turn}\n`);
  giveToOrdinaryUser(repository.path);
  for (const turn of [0, 7, 150, 299]) chmodSync(repository.resolve(`many/${turn}.txt`), 0o000);
  const { snapshot: taken } = pitrAsOrdinaryUser<Taken>(repository.path, ['snapshot']);
  expect(taken.skipped.map((entry) => entry.path).toSorted()).toEqual(
    [0, 150, 299, 7].map((turn) => `many/${turn}.txt`),
  );
  expect(taken.files).toBe(3 + 296);
});

test('fsck finds every snapshot with skipped files sound', () => {
  const repository = plain();
  repository.git('config', 'pitr.maxFileSize', '10');
  repository.write('big.txt', 'more than ten bytes\n');
  pipe(repository.resolve('pipe'));
  snapshot(repository.path);
  fsck(repository.path);
  expect(
    skippedIn(repository.path)
      .map((entry) => entry.path)
      .toSorted(),
  ).toEqual(['big.txt', 'pipe']);
});
