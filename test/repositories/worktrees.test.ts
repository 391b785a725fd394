/** Linked worktrees: each has a timeline of its own, and none is part of another's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { command, pitr } from '../support/cli.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { frozen, fsck, git, recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

interface Listed {
  snapshots: { id: string; message: string }[];
}

function main(): TestRepository {
  return scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
}

/** A linked worktree with a branch of its name. */
function link(repository: TestRepository, name: string, folder = path.join(scratchFolder(), name)): string {
  repository.git('worktree', 'add', '--quiet', '-b', name, folder);
  return folder;
}

function write(folder: string, file: string, content: string): void {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), content);
}

function messages(folder: string): string[] {
  return pitr(folder, ['list', '--json'])
    .json<Listed>()
    .snapshots.map(({ message }) => message);
}

test('each linked worktree has a line of its own, and a restore in one leaves the others alone', () => {
  const repository = main();
  const one = link(repository, 'one');
  const two = link(repository, 'two');
  write(two, 'two.txt', 'two\n');
  const others = () => [hashTree(repository.path), hashTree(two)];
  const before = others();
  roundTrip(one, () => {
    write(one, 'a.txt', 'changed\n');
    write(one, 'new.txt', 'new\n');
    rmSync(path.join(one, 'dir'), { recursive: true });
  });
  expect(others()).toEqual(before);
  snapshot(two, ['-m', 'of two']);
  snapshot(repository.path, ['-m', 'of main']);
  expect(messages(two)).toEqual(['of two']);
  expect(messages(repository.path)).toEqual(['of main']);
  expect(repository.git('for-each-ref', '--format=%(refname)', 'refs/pitr').split('\n')).toEqual([
    ...['main', 'one', 'two'].map((line) => `refs/pitr/anchor/${line}`),
    'refs/pitr/main',
    'refs/pitr/one',
    'refs/pitr/two',
  ]);
});

test('a linked worktree that is called main does not share the line of the main worktree', () => {
  const repository = main();
  const linked = path.join(scratchFolder(), 'main');
  repository.git('worktree', 'add', '--quiet', '-b', 'other', linked);
  snapshot(linked, ['-m', 'linked']);
  snapshot(repository.path, ['-m', 'main']);
  expect(messages(linked)).toEqual(['linked']);
  expect(messages(repository.path)).toEqual(['main']);
});

test('a worktree inside the main worktree is not captured twice, not deleted, and its line is named', () => {
  const repository = main();
  snapshot(repository.path);
  const inside = link(repository, 'inside', repository.resolve('trees/inside'));
  write(inside, 'work.txt', 'work\n');
  repository.write('a.txt', 'changed\n');
  const { snapshot: taken } = snapshot(repository.path);
  expect([...recordedFiles(repository.path, taken.commit).keys()]).toEqual(['a.txt', 'dir/b.txt']);
  expect(taken.skipped).toEqual([
    { path: 'trees/inside', reason: expect.stringContaining('refs/pitr/inside') as string },
  ]);
  const before = hashTree(inside);
  restore(repository.path, ['--snapshot', 'latest~1']);
  expect(repository.read('a.txt')).toBe('a\n');
  expect(hashTree(inside)).toEqual(before);
  expect(git(inside, 'status', '--porcelain')).toBe('?? work.txt');
});

test('a worktree inside the main worktree round-trips on its own line', () => {
  const repository = main();
  const inside = link(repository, 'inside', repository.resolve('inside'));
  const outer = repository.read('a.txt');
  roundTrip(inside, () => {
    write(inside, 'a.txt', 'changed\n');
    write(inside, 'new/x.txt', 'new\n');
  });
  expect(repository.read('a.txt')).toBe(outer);
});

test('files that were in the place where a worktree is now are not written into it', () => {
  const repository = main();
  repository.write('place/old.txt', 'old\n');
  snapshot(repository.path);
  repository.remove('place');
  const inside = link(repository, 'place', repository.resolve('place'));
  const before = hashTree(inside);
  const { plan } = restore(repository.path, [], { expectCode: 3 });
  expect(hashTree(inside)).toEqual(before);
  expect(plan.protected.map((entry) => entry.path)).toContain('place/old.txt');
});

test('the main worktree inside a linked one is not captured by the linked one', () => {
  const folder = scratchFolder();
  const repository = main();
  const outside = path.join(folder, 'outside');
  link(repository, 'outside', outside);
  const moved = path.join(outside, 'main');
  renameSync(repository.path, moved);
  mkdirSync(repository.path); // the scratch folder is removed after the test
  git(moved, 'worktree', 'repair', outside);
  const { snapshot: taken } = snapshot(outside);
  expect([...recordedFiles(outside, taken.commit).keys()]).toEqual(['a.txt', 'dir/b.txt']);
  expect(taken.skipped).toEqual([
    { path: 'main', reason: expect.stringContaining('refs/pitr/main') as string },
  ]);
});

test('a worktree removed and added again finds its timeline, and what the old one left behind harms nothing', () => {
  const repository = main();
  const folder = path.join(scratchFolder(), 'linked');
  link(repository, 'linked', folder);
  write(folder, 'a.txt', 'first\n');
  snapshot(folder, ['-m', 'first life']);
  write(folder, 'a.txt', 'changed\n');
  restore(folder);
  repository.git('worktree', 'remove', '--force', folder);
  repository.git('worktree', 'add', '--quiet', folder, 'linked');
  write(folder, 'untracked.txt', 'second life\n');
  expect(messages(folder)).toContain('first life');
  const now = hashTree(folder);
  // The restore of the first life was carried out in another folder: there is nothing here that it changed.
  pitr(folder, ['undo', '--yes'], { expectCode: 5 });
  expect(hashTree(folder)).toEqual(now);
  roundTrip(folder, () => write(folder, 'a.txt', 'again\n'));
});

test('an interrupted restore of a worktree that is gone does not hold up the one that took its name', () => {
  const repository = main();
  const folder = path.join(scratchFolder(), 'linked');
  link(repository, 'linked', folder);
  snapshot(folder);
  write(folder, 'a.txt', 'changed\n');
  expect(() =>
    pitr(folder, ['restore', '--snapshot', 'latest', '--yes'], { env: { PITR_CRASH_AT: 'journal-written' } }),
  ).toThrow(/SIGKILL/);
  expect(existsSync(repository.resolve('.git/pitr/lines/linked/journal.json'))).toBe(true);
  repository.git('worktree', 'remove', '--force', folder);
  repository.git('worktree', 'add', '--quiet', folder, 'linked');
  write(folder, 'a.txt', 'second life\n');
  snapshot(folder);
  roundTrip(folder, () => write(folder, 'a.txt', 'again\n'));
});

test('a worktree moved with git worktree move keeps its line', () => {
  const repository = main();
  const folder = path.join(scratchFolder(), 'linked');
  link(repository, 'linked', folder);
  snapshot(folder, ['-m', 'before the move']);
  const moved = path.join(scratchFolder(), 'elsewhere');
  repository.git('worktree', 'move', folder, moved);
  expect(messages(moved)).toEqual(['before the move']);
  roundTrip(moved, () => write(moved, 'a.txt', 'changed\n'));
});

test('worktree-specific configuration holds in its worktree alone', () => {
  const repository = main();
  const linked = link(repository, 'linked');
  repository.git('config', 'extensions.worktreeConfig', 'true');
  git(linked, 'config', '--worktree', 'pitr.exclude', '*.tmp');
  for (const folder of [repository.path, linked]) write(folder, 'x.tmp', 'tmp\n');
  const names = (folder: string) => [...recordedFiles(folder, snapshot(folder).snapshot.commit).keys()];
  expect(names(repository.path)).toContain('x.tmp');
  expect(names(linked)).not.toContain('x.tmp');
});

test('worktrees of a bare repository work like any others', () => {
  const repository = main();
  const bare = path.join(scratchFolder(), 'bare.git');
  git(repository.path, 'clone', '--quiet', '--bare', repository.path, bare);
  const folder = path.join(scratchFolder(), 'work');
  git(bare, 'worktree', 'add', '--quiet', folder, 'main');
  const head = frozen(path.join(bare, 'refs'));
  roundTrip(folder, () => write(folder, 'a.txt', 'changed\n'), { gitDirs: [bare] });
  expect(frozen(path.join(bare, 'refs'), (name) => /^(pitr|notes)/.test(name))).toEqual(head);
  fsck(bare);
});

test('snapshots of many worktrees at once are all recorded', async () => {
  const repository = main();
  const folders = ['one', 'two', 'three'].map((name) => link(repository, name));
  for (const folder of folders) write(folder, 'a.txt', `${folder}\n`);
  const codes = await Promise.all(
    [...folders, repository.path].map(async (cwd) => {
      const child = spawn(process.execPath, [command, 'snapshot', '-m', 'at once'], {
        cwd,
        env: cleanEnvironment(),
        stdio: 'ignore',
      });
      const [code] = (await once(child, 'close')) as [number | null];
      return code;
    }),
  );
  expect(codes).toEqual([0, 0, 0, 0]);
  for (const folder of [...folders, repository.path]) expect(messages(folder)).toEqual(['at once']);
  fsck(repository.path);
});
