/** In the middle of a merge, rebase, cherry-pick, revert, bisect or am: recorded, shown, and not one state file moved. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';
import { git, recordedFiles, recordedState, restore, roundTrip, snapshot } from './support/round-trip.ts';

/** Two branches that conflict in f.txt; `main` is checked out, with a third commit on top. */
function conflicting(): TestRepository {
  const repository = scratchRepository({
    files: { 'f.txt': 'base\n', 'other.txt': 'other\n' },
    commit: true,
  });
  repository.git('checkout', '--quiet', '-b', 'topic');
  repository.write('f.txt', 'topic\n');
  repository.commit('topic');
  repository.git('checkout', '--quiet', 'main');
  repository.write('f.txt', 'main\n');
  repository.commit('main');
  return repository;
}

/** Runs git and expects it to stop at a conflict. */
function stops(repository: TestRepository, ...args: readonly string[]): void {
  let stopped = false;
  try {
    repository.git(...args);
  } catch {
    stopped = true;
  }
  expect(stopped, `git ${args.join(' ')} did not stop`).toBe(true);
}

interface Operation {
  name: string;
  /** Brings the repository into the middle of it. */
  begin: (repository: TestRepository) => void;
  /** A file or folder of .git that says that it is under way. */
  stateFile: string;
  conflict: boolean;
}

const operations: Operation[] = [
  {
    name: 'merge',
    begin: (repository) => stops(repository, 'merge', 'topic'),
    stateFile: 'MERGE_HEAD',
    conflict: true,
  },
  {
    name: 'rebase',
    begin: (repository) => stops(repository, 'rebase', 'topic'),
    stateFile: 'rebase-merge',
    conflict: true,
  },
  {
    name: 'rebase (apply)',
    begin: (repository) => stops(repository, 'rebase', '--apply', 'topic'),
    stateFile: 'rebase-apply',
    conflict: true,
  },
  {
    name: 'cherry-pick',
    begin: (repository) => stops(repository, 'cherry-pick', 'topic'),
    stateFile: 'CHERRY_PICK_HEAD',
    conflict: true,
  },
  {
    name: 'revert',
    begin: (repository) => stops(repository, 'revert', '--no-edit', 'HEAD~1'),
    stateFile: 'REVERT_HEAD',
    conflict: true,
  },
  {
    name: 'am',
    begin: (repository) => {
      const patch = repository.git('format-patch', '--stdout', '-1', 'topic');
      repository.write('.git/patch.mbox', `${patch}\n`);
      stops(repository, 'am', '--3way', repository.resolve('.git/patch.mbox'));
    },
    stateFile: 'rebase-apply',
    conflict: true,
  },
  {
    name: 'bisect',
    begin: (repository) => {
      repository.git('bisect', 'start');
      repository.git('bisect', 'bad');
      repository.git('bisect', 'good', 'HEAD~1');
    },
    stateFile: 'BISECT_START',
    conflict: false,
  },
];

interface Shown {
  snapshot: { operation?: string };
}

test.each(operations)(
  '$name: a round trip leaves every state file alone',
  ({ begin, stateFile, conflict }) => {
    const repository = conflicting();
    begin(repository);
    expect(existsSync(repository.resolve(`.git/${stateFile}`))).toBe(true);
    repository.write('untracked.txt', 'mine\n');
    const marked = repository.read('f.txt');
    const { snapshot: taken } = roundTrip(repository.path, () => {
      repository.write('f.txt', 'resolved in a hurry\n');
      repository.remove('untracked.txt');
      repository.write('other.txt', 'changed\n');
    });
    expect(repository.read('f.txt')).toBe(marked);
    expect(existsSync(repository.resolve(`.git/${stateFile}`))).toBe(true);
    expect(recordedFiles(repository.path, taken.commit).get('f.txt')).toBe(marked.replace(/\n$/, ''));
    const conflicts = recordedState(repository.path, taken.commit, 'conflicts');
    if (conflict) expect(conflicts.split('\n').map((line) => line.split('\t')[1])).toContain('f.txt');
    else expect(conflicts).toBe('');
  },
);

test.each(operations)(
  '$name: a snapshot says that it was under way, in show, --json and list',
  (operation) => {
    const repository = conflicting();
    operation.begin(repository);
    const { snapshot: taken } = snapshot(repository.path);
    const word = operation.name.split(' ')[0] ?? '';
    const shown = pitr(repository.path, ['show', '--json']).json<Shown>();
    expect(shown.snapshot.operation).toBe(word);
    expect(pitr(repository.path, ['show', taken.id]).stdout).toMatch(
      new RegExp(`in the middle of an? ${word}`),
    );
  },
);

test('with no operation under way, nothing is said of one', () => {
  const repository = conflicting();
  snapshot(repository.path);
  expect(pitr(repository.path, ['show', '--json']).json<Shown>().snapshot.operation).toBeUndefined();
  expect(pitr(repository.path, ['show']).stdout).not.toContain('in the middle');
});

test.each(operations.filter(({ conflict }) => conflict))(
  '$name: conflicts come back with --staged, and the operation can be carried on',
  ({ begin, name }) => {
    const repository = conflicting();
    begin(repository);
    const unmerged = repository.git('ls-files', '-u');
    const { snapshot: taken } = snapshot(repository.path);
    repository.write('f.txt', 'resolved wrongly\n');
    repository.git('add', 'f.txt');
    expect(repository.git('ls-files', '-u')).toBe('');
    restore(repository.path, ['--snapshot', taken.id, '--staged']);
    expect(repository.git('ls-files', '-u')).toBe(unmerged);
    repository.write('f.txt', 'resolved well\n');
    repository.git('add', 'f.txt');
    const [command = ''] = name.split(' ');
    repository.git('-c', 'core.editor=true', command, '--continue');
    expect(repository.git('show', 'HEAD:f.txt')).toBe('resolved well');
  },
);

test('every kind of conflict is recorded and restored: both added, deleted by us, deleted by them, renamed', () => {
  const repository = scratchRepository({
    files: { 'ours-gone.txt': '1\n', 'theirs-gone.txt': '2\n', 'link.txt': '3\n', 'sp ace\ttab.txt': '4\n' },
    commit: true,
  });
  repository.git('checkout', '--quiet', '-b', 'topic');
  repository.remove('theirs-gone.txt');
  repository.write('ours-gone.txt', 'theirs\n');
  repository.write('added.txt', 'theirs\n');
  repository.write('sp ace\ttab.txt', 'theirs\n');
  repository.commit('topic');
  repository.git('checkout', '--quiet', 'main');
  repository.remove('ours-gone.txt');
  repository.write('theirs-gone.txt', 'ours\n');
  repository.write('added.txt', 'ours\n');
  repository.write('sp ace\ttab.txt', 'ours\n');
  repository.commit('main');
  stops(repository, 'merge', 'topic');
  const unmerged = git(repository.path, 'ls-files', '-u', '-z');
  expect(unmerged.split('\0').length).toBeGreaterThan(8);
  const { snapshot: taken } = snapshot(repository.path);
  repository.git('merge', '--abort');
  restore(repository.path, ['--snapshot', taken.id, '--staged']);
  expect(git(repository.path, 'ls-files', '-u', '-z')).toBe(unmerged);
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.git('status', '--porcelain')).toBe('');
});

test('a stash is recorded by its commit, and a restore leaves it alone', () => {
  const repository = conflicting();
  repository.write('f.txt', 'stashed\n');
  repository.git('stash', 'push', '--quiet');
  const stash = repository.git('rev-parse', 'refs/stash');
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('f.txt', 'later\n'));
  expect(recordedState(repository.path, taken.commit, 'refs')).toContain(`${stash}\trefs/stash`);
});

test("git's own index.lock, held by another process, is no hindrance to a snapshot or a restore of files", () => {
  const repository = conflicting();
  repository.write('.git/index.lock', 'held');
  roundTrip(repository.path, () => repository.write('f.txt', 'changed\n'));
  expect(readFileSync(repository.resolve('.git/index.lock'), 'utf8')).toBe('held');
});

test('an index with nothing in it is recorded as that, and comes back with --staged', () => {
  const repository = conflicting();
  repository.git('rm', '--quiet', '--cached', '-r', '.');
  const { snapshot: taken } = snapshot(repository.path);
  expect(recordedState(repository.path, taken.commit, 'staged')).toBe('empty');
  repository.git('reset', '--quiet');
  restore(repository.path, ['--snapshot', taken.id, '--staged']);
  expect(repository.git('ls-files')).toBe('');
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.git('ls-files').split('\n')).toEqual(['f.txt', 'other.txt']);
});

test('--staged brings back the index of then, also when HEAD has moved on since', () => {
  const repository = conflicting();
  const then = repository.git('ls-files', '--stage');
  const { snapshot: taken } = snapshot(repository.path);
  repository.write('f.txt', 'next\n');
  repository.commit('next');
  const now = repository.git('ls-files', '--stage');
  restore(repository.path, ['--snapshot', taken.id, '--staged']);
  expect(repository.git('ls-files', '--stage')).toBe(then);
  expect(repository.git('log', '-1', '--format=%s')).toBe('next');
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.git('ls-files', '--stage')).toBe(now);
});
