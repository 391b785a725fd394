/** `doctor` finds damage that was done by hand, mends what can be mended, and says plainly what cannot. */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { thisProcess } from '../../src/system/processes.ts';
import { pitr } from '../support/cli.ts';
import { flipByteOf } from '../support/damage.ts';
import { everything } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Report {
  ok: boolean;
  findings: {
    kind: string;
    severity: string;
    what: string;
    reason: string;
    remedy: string;
    repaired?: string;
  }[];
}

interface Listed {
  snapshots: { id: string; message: string; pinned: boolean; files: number; fromTrailers?: boolean }[];
}

function doctor(repository: TestRepository, args: readonly string[] = [], expectCode = 0): Report {
  return pitr(repository.path, ['doctor', ...args, '--json'], { expectCode }).json<Report>();
}

function damages({ findings }: Report): string[] {
  return findings
    .filter(({ severity }) => severity === 'damage')
    .map(({ kind, repaired }) => `${kind}${repaired === undefined ? '' : ' mended'}`);
}

function list(repository: TestRepository): Listed['snapshots'] {
  return pitr(repository.path, ['list', '--json']).json<Listed>().snapshots;
}

/** Three snapshots with messages; the first is pinned. */
function story(): TestRepository {
  const repository = scratchRepository({ files: { 'src/a.txt': 'a\n', 'b.txt': 'b\n' }, commit: true });
  for (const name of ['one', 'two', 'three']) {
    repository.write('b.txt', `${name}\n`);
    pitr(repository.path, ['snapshot', '-m', name, ...(name === 'one' ? ['--pin'] : [])]);
  }
  return repository;
}

/** Without --repair nothing is written; with it, all is as it was, and nothing is found again. */
function mends(repository: TestRepository, kind: string): void {
  const before = everything(repository.path);
  expect(damages(doctor(repository, [], 7))).toEqual([kind]);
  expect(everything(repository.path)).toEqual(before);
  expect(damages(doctor(repository, ['--repair']))).toEqual([`${kind} mended`]);
  expect(damages(doctor(repository))).toEqual([]);
  pitr(repository.path, ['verify', '--all']);
}

function removeObject(repository: TestRepository, oid: string): void {
  rmSync(repository.resolve(`.git/objects/${oid.slice(0, 2)}/${oid.slice(2)}`));
}

test('a sound timeline has no damage; what is found in the settings has a reason and a remedy, and is left alone', () => {
  const repository = story();
  repository.git('config', 'gc.pruneExpire', 'now');
  repository.git('config', 'remote.backup.mirror', 'true');
  const report = doctor(repository, ['--repair']);
  expect(damages(report)).toEqual([]);
  const warnings = report.findings.filter(({ severity }) => severity === 'warning').map(({ what }) => what);
  expect(warnings).toEqual(['remote.backup.mirror = true', 'gc.pruneExpire = now']);
  expect(report.findings.every(({ reason, remedy }) => reason !== '' && remedy !== '')).toBe(true);
  expect(repository.git('config', 'gc.pruneExpire')).toBe('now');
});

test('a deleted timeline ref is found again, with the private folder or without', () => {
  const repository = story();
  const before = list(repository);
  repository.git('update-ref', '-d', 'refs/pitr/main');
  mends(repository, 'timeline');
  expect(list(repository).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  repository.git('update-ref', '-d', 'refs/pitr/main');
  rmSync(repository.resolve('.git/pitr'), { recursive: true });
  mends(repository, 'timeline');
  expect(list(repository).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
});

test('a timeline ref that was moved back, or to a commit of the branch, leads to the newest snapshot again', () => {
  const repository = story();
  for (const to of ['refs/pitr/main~1', 'main']) {
    repository.git('update-ref', 'refs/pitr/main', to);
    mends(repository, 'timeline');
    expect(list(repository).map(({ message }) => message)).toEqual(['three', 'two', 'one']);
  }
});

test('a deleted notes ref comes back as it was; when git has taken the notes, they are made anew', () => {
  const repository = story();
  const before = list(repository);
  repository.git('update-ref', '-d', 'refs/notes/pitr');
  mends(repository, 'notes');
  expect(list(repository).map(({ id, pinned }) => `${id} ${pinned}`)).toEqual(
    before.map(({ id, pinned }) => `${id} ${pinned}`),
  );
  repository.git('update-ref', '-d', 'refs/notes/pitr');
  repository.git('gc', '--quiet', '--prune=now');
  mends(repository, 'notes');
  const anew = list(repository).map(({ id, message, files }) => [id, message, files]);
  expect(anew).toEqual(before.map(({ id, message, files }) => [id, message, files]));
});

test('a truncated note comes back as it was', () => {
  const repository = story();
  const commit = repository.git('rev-parse', 'refs/pitr/main~2');
  const note = repository.git('notes', '--ref=pitr', 'show', commit);
  repository.git('notes', '--ref=pitr', 'add', '-f', '-m', note.slice(0, 100), commit);
  mends(repository, 'notes');
  expect(list(repository).at(-1)).toMatchObject({ message: 'one', pinned: true });
});

test('a missing snapshot commit is left out of the chain: those before and after it are listed, with their notes', () => {
  const repository = story();
  removeObject(repository, repository.git('rev-parse', 'refs/pitr/main~1'));
  mends(repository, 'chain');
  const [three, one] = list(repository);
  expect([three, one]).toMatchObject([{ message: 'three' }, { message: 'one', pinned: true }]);
  pitr(repository.path, ['restore', '--snapshot', 'latest~1', '--force', '--', 'b.txt']);
  expect(repository.read('b.txt')).toBe('one\n');
});

test('a lost object is written again from the file that still is the same; what cannot be mended is said, with its paths', () => {
  const repository = story();
  removeObject(repository, repository.git('rev-parse', 'refs/pitr/main:files/b.txt'));
  mends(repository, 'object');
  removeObject(repository, repository.git('rev-parse', 'refs/pitr/main~1:files/b.txt'));
  const report = doctor(repository, ['--repair'], 7);
  expect(damages(report)).toEqual(['object']);
  const [finding] = report.findings;
  expect(finding?.what).toContain(`${list(repository)[1]?.id ?? ''}:files/b.txt`);
  expect(finding?.remedy).toContain('cannot be mended');
});

test('a flipped byte in a pack is mended from the file that still is the same', () => {
  const repository = story();
  repository.git('repack', '-adq');
  flipByteOf(repository, repository.git('rev-parse', 'refs/pitr/main:files/b.txt'));
  expect(damages(doctor(repository, ['--repair'], 0))).toEqual(['object mended']);
  repository.write('b.txt', 'changed\n');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--force', '--', 'b.txt']);
  expect(repository.read('b.txt')).toBe('three\n');
});

test('a deleted anchor ref is made again, and keeps a branch of that time through gc', () => {
  const repository = story();
  repository.git('checkout', '--quiet', '-b', 'topic');
  repository.commit('work');
  const work = repository.git('rev-parse', 'HEAD');
  pitr(repository.path, ['snapshot', '-m', 'four']);
  repository.git('checkout', '--quiet', 'main');
  repository.git('update-ref', '-d', 'refs/pitr/anchor/main');
  mends(repository, 'anchors');
  repository.git('branch', '--quiet', '-D', 'topic');
  repository.git('reflog', 'expire', '--expire=now', '--expire-unreachable=now', '--all');
  repository.git('gc', '--quiet', '--prune=now');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--branch', 'topic']);
  expect(repository.git('rev-parse', 'topic')).toBe(work);
});

test('locks of dead processes are found and removed', () => {
  const repository = story();
  const lock = repository.resolve('.git/refs/pitr/main.lock');
  writeFileSync(lock, '');
  utimesSync(lock, 1, 1);
  const dead = spawnSync('true').pid;
  const holder = { ...thisProcess(), pid: dead, nonce: 'ab', purpose: 'snapshot', since: 1 };
  writeFileSync(repository.resolve('.git/pitr/lines/main/lock'), JSON.stringify(holder));
  const report = doctor(repository, [], 7);
  expect(report.findings.filter(({ kind }) => kind === 'lock')).toHaveLength(2);
  expect(damages(doctor(repository, ['--repair']))).toEqual(['lock mended']);
  expect(damages(doctor(repository))).toEqual([]);
  expect(readdirSync(repository.resolve('.git/refs/pitr'))).not.toContain('main.lock');
});
