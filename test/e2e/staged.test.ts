/** `restore --staged`: the index, all of it or the paths named; otherwise the index is never touched. */
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

const index = (repository: TestRepository) => repository.git('ls-files', '--stage');

function worked(): TestRepository {
  return scratchRepository({ files: { 'a.txt': 'a\n', 'b.txt': 'b\n', 'dir/c.txt': 'c\n' }, commit: true });
}

/** Snapshot with one index, change to another, restore. */
function stagedThenAndNow() {
  const repository = worked();
  repository.write('a.txt', 'staged then\n');
  repository.git('add', 'a.txt');
  repository.write('a.txt', 'edited after staging\n');
  repository.write('added.txt', 'added\n');
  repository.git('add', '--intent-to-add', 'added.txt');
  const then = { tree: repository.hashTree() };
  pitr(repository.path, ['snapshot']);
  repository.git('reset', '--quiet', '--hard');
  repository.write('b.txt', 'staged now\n');
  repository.git('add', 'b.txt');
  repository.git('rm', '--quiet', 'dir/c.txt');
  const now = { index: index(repository), tree: repository.hashTree() };
  return { repository, before: then, now };
}

it('without --staged the index stays as it is, whatever the files become', () => {
  const { repository, now } = stagedThenAndNow();
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  expect(index(repository)).toBe(now.index);
});

it('brings index and files back, staged content apart from the edits after it, and undo goes back', () => {
  const { repository, before, now } = stagedThenAndNow();
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes']);
  expect(repository.hashTree()).toEqual(before.tree);
  expect(repository.git('show', ':a.txt')).toBe('staged then');
  expect(repository.read('a.txt')).toBe('edited after staging\n');
  pitr(repository.path, ['undo', '--yes']);
  expect({ index: index(repository), tree: repository.hashTree() }).toEqual(now);
  expect(repository.git('fsck', '--strict', '--no-dangling')).toBe('');
});

it('an index that was HEAD then comes back as the HEAD of then, also after new commits', () => {
  const repository = worked();
  const then = index(repository);
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'committed later\n');
  repository.commit('later');
  const head = repository.git('rev-parse', 'HEAD');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes']);
  expect(index(repository)).toBe(then);
  expect(repository.git('rev-parse', 'HEAD')).toBe(head);
  expect(repository.git('status', '--porcelain')).toBe('M  a.txt');
  // A commit between restore and undo: the index of before is still the one of before.
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.git('status', '--porcelain')).toBe('');
});

describe('with paths', () => {
  it('only these paths of the index come back, by undo too; others keep what is staged in them now', () => {
    const { repository, now } = stagedThenAndNow();
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes', '--', 'a.txt']);
    expect(repository.git('show', ':a.txt')).toBe('staged then');
    expect(repository.git('show', ':b.txt')).toBe('staged now');
    expect(repository.git('ls-files', 'dir')).toBe('');
    repository.write('b.txt', 'staged after the restore\n');
    repository.git('add', 'b.txt');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.git('show', ':b.txt')).toBe('staged after the restore');
    repository.write('b.txt', 'staged now\n');
    repository.git('add', 'b.txt');
    expect(index(repository)).toBe(now.index);
  });

  it('a path that was not staged then leaves the index, and one that was removed from it comes back', () => {
    const repository = worked();
    pitr(repository.path, ['snapshot']);
    repository.write('dir/new.txt', 'new\n');
    repository.git('add', 'dir/new.txt', 'a.txt');
    repository.git('rm', '--cached', '--quiet', 'dir/c.txt');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes', '--', 'dir']);
    expect(repository.git('ls-files', 'dir')).toBe('dir/c.txt');
    expect(repository.git('status', '--porcelain')).toBe('');
  });

  it('from a subfolder, with a pattern', () => {
    const { repository } = stagedThenAndNow();
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes', '--', 'dir']);
    repository.git('rm', '--cached', '--quiet', 'dir/c.txt', 'a.txt');
    const id = pitr(repository.path, ['list', '--json'])
      .json<{ snapshots: { id: string }[] }>()
      .snapshots.at(-1)?.id;
    pitr(repository.resolve('dir'), ['restore', '--snapshot', id ?? '', '--staged', '--yes', '--', '*.txt']);
    expect(repository.git('ls-files', 'dir', 'a.txt')).toBe('dir/c.txt');
  });

  it('a conflict of one file comes back, and a resolution of another stays', () => {
    const repository = worked();
    repository.git('checkout', '--quiet', '-b', 'other');
    for (const file of ['a.txt', 'b.txt']) repository.write(file, 'theirs\n');
    repository.commit('theirs');
    repository.git('checkout', '--quiet', 'main');
    for (const file of ['a.txt', 'b.txt']) repository.write(file, 'ours\n');
    repository.commit('ours');
    expect(() => repository.git('merge', 'other')).toThrow(/CONFLICT|Command failed/);
    const conflict = repository.git('ls-files', '--unmerged', 'a.txt');
    pitr(repository.path, ['snapshot']);
    for (const file of ['a.txt', 'b.txt']) repository.write(file, 'resolved\n');
    repository.git('add', '--all');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes', '--', 'a.txt']);
    expect(repository.git('ls-files', '--unmerged')).toBe(conflict);
    expect(repository.read('a.txt')).toContain('<<<<<<<');
    expect(repository.read('b.txt')).toBe('resolved\n');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.git('ls-files', '--unmerged')).toBe('');
    expect(repository.git('show', ':a.txt')).toBe('resolved');
  });
});

it('the dry run says that the index is part of it, and leaves it alone', () => {
  const { repository, now } = stagedThenAndNow();
  const args = ['restore', '--snapshot', 'latest', '--staged', '--dry-run'];
  expect(pitr(repository.path, args).stdout).toContain('index');
  expect(pitr(repository.path, [...args, '--json']).json()).toMatchObject({ plan: { staged: true } });
  expect(index(repository)).toBe(now.index);
});

it('while another git holds index.lock, or a killed one has left it, nothing is restored: exit 6', () => {
  const { repository, now } = stagedThenAndNow();
  repository.git('config', 'pitr.lockTimeout', '200ms');
  repository.write('.git/index.lock', '');
  const failed = pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes'], {
    expectCode: 6,
  });
  expect(failed.stderr).toContain('index.lock');
  repository.remove('.git/index.lock');
  expect({ index: index(repository), tree: repository.hashTree() }).toEqual(now);
});
