/** A disk that is full, one that is read-only, and folders that may not be written. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { giveToOrdinaryUser, pitrAsOrdinaryUser } from '../repositories/support/ordinary-user.ts';
import { git } from '../repositories/support/round-trip.ts';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository } from '../support/scratch.ts';
import { runAndKill } from './support/kill.ts';
import { canMount, remount, smallDisk } from './support/mounts.ts';

interface Listed {
  snapshots: { id: string; message: string }[];
}

function listed(folder: string): string[] {
  return pitr(folder, ['list', '--json'])
    .json<Listed>()
    .snapshots.map(({ id }) => id);
}

/** A repository with some files of data that does not compress. */
function repositoryIn(folder: string): string {
  const place = path.join(folder, 'work');
  git(folder, 'init', '--quiet', '--initial-branch=main', place);
  write(place, 'a.txt', 'a\n');
  write(place, 'dir/b.txt', 'b\n');
  git(place, 'add', '.');
  git(place, 'commit', '--quiet', '-m', 'first');
  return place;
}

function write(folder: string, file: string, content: string | Buffer): void {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), content);
}

function noise(kilobytes: number): Buffer {
  return Buffer.from(Array.from({ length: kilobytes * 1024 }, () => Math.floor(Math.random() * 256)));
}

/** Fills a disk up to so many KiB. */
function fill(folder: string, keepKilobytes: number): string {
  const ballast = path.join(folder, 'ballast');
  const { bavail, bsize } = statfsSync(folder);
  const size = bavail * bsize - keepKilobytes * 1024;
  for (let left = size; left > 0; left -= 65_536)
    appendFileSync(ballast, Buffer.alloc(Math.min(left, 65_536), 1));
  return ballast;
}

/** What the user's git directory must not keep. */
function strays(folder: string): string[] {
  return readdirSync(path.join(folder, '.git')).filter((name) => /\.lock$|crash/.test(name));
}

describe.skipIf(!canMount())('a full disk', () => {
  test.each([0, 4, 16, 40, 80, 160])(
    'with %i KiB left: a snapshot fails with a clear word or is whole, and works when there is space',
    (left) => {
      const disk = smallDisk(4096);
      const folder = repositoryIn(disk);
      pitr(folder, ['snapshot', '-m', 'before']);
      const before = listed(folder);
      for (let index = 0; index < 8; index++) write(folder, `new/${index}.bin`, noise(16));
      const files = hashTree(folder);
      const ballast = fill(disk, left);
      const { code, stderr } = pitr(folder, ['snapshot'], { expectCode: 'any' });
      if (code !== 0) {
        expect(code).toBe(1);
        expect(stderr).toMatch(/^error: The disk is full/);
        expect(stderr).not.toContain('defect');
      }
      rmSync(ballast);
      expect(strays(folder)).toEqual([]);
      expect(listed(folder)).toHaveLength(before.length + (code === 0 ? 1 : 0));
      git(folder, 'fsck', '--strict', '--no-dangling');
      expect(hashTree(folder)).toEqual(files);
      pitr(folder, ['snapshot']);
      expect(listed(folder)).toHaveLength(before.length + 1);
      const into = path.join(scratchFolder(), 'into');
      pitr(folder, ['restore', '--snapshot', 'latest', '--into', into]);
      expect(hashTree(into)).toEqual(files);
    },
  );

  test.each([0, 16, 64, 128, 256])(
    'with %i KiB left: the first snapshot of a repository leaves nothing half',
    (left) => {
      const disk = smallDisk(4096);
      const folder = repositoryIn(disk);
      for (let index = 0; index < 8; index++) write(folder, `new/${index}.bin`, noise(16));
      const ballast = fill(disk, left);
      const { code, stderr } = pitr(folder, ['snapshot'], { expectCode: 'any' });
      if (code !== 0) expect(stderr).toMatch(/^error: The disk is full/);
      rmSync(ballast);
      pitr(folder, ['snapshot']);
      expect(listed(folder)).toHaveLength(1);
      git(folder, 'fsck', '--strict', '--no-dangling');
    },
  );

  test.each([0, 8, 32, 64, 100, 140, 200])(
    'with %i KiB left: a restore is done whole, or changes nothing and says why',
    (left) => {
      const disk = smallDisk(4096);
      const folder = repositoryIn(disk);
      for (let index = 0; index < 8; index++) write(folder, `big/${index}.bin`, noise(16));
      const then = hashTree(folder);
      pitr(folder, ['snapshot', '-m', 'then']);
      rmSync(path.join(folder, 'big'), { recursive: true });
      write(folder, 'a.txt', 'changed\n');
      write(folder, 'later.txt', 'later\n');
      const now = hashTree(folder);
      pitr(folder, ['snapshot', '-m', 'now']);
      const ballast = fill(disk, left);
      const args = ['restore', '--snapshot', 'latest~1', '--yes'];
      const { code, stderr } = pitr(folder, args, { expectCode: 'any' });
      if (code === 8) {
        expect(stderr).toContain('restore --abort');
      } else if (code !== 0) {
        expect(stderr).toMatch(/disk is full/);
        expect(hashTree(folder)).toEqual(now);
      }
      rmSync(ballast);
      if (code === 8) {
        pitr(folder, ['restore', '--abort']);
        expect(hashTree(folder)).toEqual(now);
      }
      expect(strays(folder)).toEqual([]);
      expect(
        readdirSync(path.join(folder, '.git/pitr/lines/main')).filter((name) => /journal|tmp/.test(name)),
      ).toEqual([]);
      if (code !== 0) pitr(folder, ['restore', '--snapshot', listed(folder).at(-1) ?? '', '--yes']);
      expect(hashTree(folder)).toEqual(then);
      git(folder, 'fsck', '--strict', '--no-dangling');
    },
  );
});

describe.skipIf(!canMount())('a read-only file system', () => {
  test('nothing is recorded or restored, with a clear word; reading works; and later everything does', () => {
    const disk = smallDisk(4096);
    const folder = repositoryIn(disk);
    pitr(folder, ['snapshot', '-m', 'then']);
    const then = hashTree(folder);
    write(folder, 'a.txt', 'changed\n');
    const now = hashTree(folder);
    remount(disk, 'ro');
    try {
      for (const command of [['snapshot'], ['restore', '--snapshot', 'latest', '--yes']]) {
        const { stderr } = pitr(folder, command, { expectCode: 1 });
        expect(stderr).toMatch(/^error: The file system is read-only/);
        expect(stderr).not.toContain('defect');
      }
      expect(listed(folder)).toHaveLength(1);
      for (const command of [
        ['show', 'latest'],
        ['diff', 'latest', 'latest'],
      ])
        pitr(folder, command);
      const into = path.join(scratchFolder(), 'into');
      pitr(folder, ['restore', '--snapshot', 'latest', '--into', into]);
      expect(hashTree(into)).toEqual(then);
    } finally {
      remount(disk, 'rw');
    }
    expect(hashTree(folder)).toEqual(now);
    pitr(folder, ['snapshot']);
    pitr(folder, ['restore', '--snapshot', 'latest~1', '--yes']);
    expect(listed(folder)).toHaveLength(2);
  });
});

describe.skipIf(!canMount())('a linked worktree on another file system', () => {
  test('a restore that is killed leaves no staging in it, and no snapshot holds any', async () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
    const folder = path.join(smallDisk(4096), 'linked');
    repository.git('worktree', 'add', '--quiet', folder);
    onTestFinished(() => void repository.git('worktree', 'remove', '--force', folder));
    pitr(folder, ['snapshot', '-m', 'then']);
    write(folder, 'a.txt', 'changed\n');
    write(folder, 'b.txt', 'b\n');
    const now = hashTree(folder);
    expect(
      await runAndKill(folder, ['restore', '--snapshot', 'latest', '--yes'], { at: 'journal-written' }),
    ).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('.git-pitr'))).toHaveLength(1);
    pitr(folder, ['restore', '--abort']);
    expect(hashTree(folder)).toEqual(now);
    for (const commit of git(folder, 'rev-list', 'refs/pitr/linked').split('\n'))
      expect(git(folder, 'ls-tree', '-r', '--name-only', `${commit}:files`)).not.toContain('.git-pitr');
  });
});

describe('what may not be written', () => {
  function owned(): string {
    const folder = path.join(scratchFolder(), 'owned');
    mkdirSync(folder);
    const place = repositoryIn(folder);
    chmodSync(path.dirname(folder), 0o755);
    return place;
  }

  test('a folder in the middle of a restore: everything is as it was before, and it says which', () => {
    const folder = owned();
    for (const name of ['a.txt', 'dir/b.txt', 'locked/c.txt', 'z.txt']) write(folder, name, 'then\n');
    giveToOrdinaryUser(path.dirname(folder));
    pitrAsOrdinaryUser(folder, ['snapshot']);
    for (const name of ['a.txt', 'dir/b.txt', 'locked/c.txt', 'z.txt']) write(folder, name, 'now\n');
    giveToOrdinaryUser(folder);
    const now = hashTree(folder);
    const locked = path.join(folder, 'locked');
    chmodSync(locked, 0o555);
    try {
      const { error } = pitrAsOrdinaryUser<{ error: { message: string } }>(
        folder,
        ['restore', '--snapshot', 'latest', '--yes'],
        1,
      );
      expect(error.message).toContain('locked/c.txt');
      expect(error.message).toContain('everything is as it was before');
    } finally {
      chmodSync(locked, 0o755);
    }
    expect(hashTree(folder)).toEqual(now);
    pitrAsOrdinaryUser(folder, ['restore', '--snapshot', 'latest~1', '--yes']);
    expect(hashTree(folder).filter((line) => line.includes('file'))).not.toEqual(
      now.filter((line) => line.includes('file')),
    );
  });

  test.each(['objects', 'pitr/lines/main', 'refs/pitr'])(
    '.git/%s: a snapshot says so, and nothing is listed',
    (name) => {
      const folder = owned();
      giveToOrdinaryUser(path.dirname(folder));
      pitrAsOrdinaryUser(folder, ['snapshot']);
      write(folder, 'a.txt', 'changed\n');
      const place = path.join(folder, '.git', name);
      const folders = [
        place,
        ...(name === 'objects' ? readdirSync(place).map((inner) => path.join(place, inner)) : []),
      ];
      for (const inner of folders) chmodSync(inner, 0o555);
      try {
        const { error } = pitrAsOrdinaryUser<{ error: { message: string; hints: string[] } }>(
          folder,
          ['snapshot'],
          1,
        );
        expect(error.message).toMatch(/^Permission was denied/);
        expect(error.hints.join(' ')).not.toContain('defect');
      } finally {
        for (const inner of folders) chmodSync(inner, 0o755);
      }
      expect(existsSync(path.join(folder, '.git/index.lock'))).toBe(false);
      pitrAsOrdinaryUser(folder, ['snapshot']);
      expect(pitrAsOrdinaryUser<Listed>(folder, ['list']).snapshots).toHaveLength(2);
    },
  );
});
