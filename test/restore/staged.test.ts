import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Restored {
  plan: { index: { path: string; uncommitted: boolean }[]; overwrite: { path: string }[] };
  applied: boolean;
}

/** All that an index says, and what git makes of it: entries with their stages and bits, and what is intended. */
function indexOf(repository: TestRepository): string[] {
  return [
    ...lines(repository.git('ls-files', '-s', '-v')),
    ...lines(repository.git('diff', '--name-only', '--diff-filter=A')).map((path) => `new ${path}`),
  ];
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function snapshot(repository: TestRepository): string {
  return pitr(repository.path, ['snapshot', '--allow-empty', '--json']).json<{ snapshot: { id: string } }>()
    .snapshot.id;
}

function restore(repository: TestRepository, id: string, ...args: string[]) {
  return pitr(repository.path, [
    'restore',
    '--snapshot',
    id,
    '--staged',
    '--yes',
    '--json',
    ...args,
  ]).json<Restored>();
}

/** Tries a restore of the state that there is, over the state that `change` leaves, its undo and its redo; fails itself. */
function roundTrip(repository: TestRepository, change: () => void): 'intact' {
  const status = () => repository.git('status', '-s');
  const [files, index, head, then] = [
    repository.hashTree(),
    indexOf(repository),
    headOf(repository),
    status(),
  ];
  const id = snapshot(repository);
  change();
  const [laterFiles, later] = [repository.hashTree(), indexOf(repository)];
  expect(later).not.toEqual(index);
  restore(repository, id);
  expect(indexOf(repository)).toEqual(index);
  expect(repository.hashTree()).toEqual(files);
  if (headOf(repository) === head) expect(status()).toBe(then);
  pitr(repository.path, ['undo', '--yes']);
  expect(indexOf(repository)).toEqual(later);
  expect(repository.hashTree()).toEqual(laterFiles);
  pitr(repository.path, ['undo', '--yes']);
  expect(indexOf(repository)).toEqual(index);
  repository.git('fsck', '--strict');
  expect(existsSync(repository.resolve('.git/index.lock'))).toBe(false);
  return 'intact';
}

function headOf(repository: TestRepository): string {
  return repository.git('for-each-ref', 'refs/heads');
}

function worked(): TestRepository {
  return scratchRepository({
    files: { 'a.txt': 'a\n', 'b.txt': 'b\n', 'c.txt': 'c\n', 'dir/d.txt': 'd\n' },
    commit: true,
  });
}

/** Changed, added, deleted and moved in the index, and changed again in the file. */
function stageSome(repository: TestRepository): void {
  repository.write('a.txt', 'staged\n');
  repository.write('new file.txt', 'new\n');
  repository.git('rm', '--quiet', '--cached', 'b.txt');
  repository.git('mv', 'c.txt', 'moved.txt');
  repository.git('add', 'a.txt', 'new file.txt');
  repository.write('a.txt', 'and changed again\n');
}

describe('restore --staged', () => {
  test('brings back what was staged, over a reset', () => {
    const repository = worked();
    stageSome(repository);
    expect(roundTrip(repository, () => repository.git('reset', '--quiet', '--hard'))).toBe('intact');
  });

  test('brings back what was staged, over a commit of it and further staged changes', () => {
    const repository = worked();
    stageSome(repository);
    const heads: string[] = [];
    expect(
      roundTrip(repository, () => {
        repository.commit('later');
        repository.write('later.txt', 'later\n');
        repository.git('add', 'later.txt');
        heads.push(repository.git('rev-parse', 'HEAD'));
      }),
    ).toBe('intact');
    expect(repository.git('rev-parse', 'HEAD')).toBe(heads[0]);
  });

  test('brings back an index that was the tree of a HEAD that has moved since', () => {
    const repository = worked();
    expect(
      roundTrip(repository, () => {
        repository.write('a.txt', 'committed later\n');
        repository.commit('later');
      }),
    ).toBe('intact');
  });

  test('brings back an index before the first commit', () => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' } });
    repository.git('add', 'a.txt');
    expect(
      roundTrip(repository, () => {
        repository.write('b.txt', 'b\n');
        repository.git('add', 'b.txt');
      }),
    ).toBe('intact');
  });

  test('brings back an empty index: everything was removed from it', () => {
    const repository = worked();
    repository.git('rm', '--quiet', '-r', '--cached', '.');
    expect(roundTrip(repository, () => repository.git('reset', '--quiet'))).toBe('intact');
  });

  test('brings back names that are hard to write', () => {
    const repository = worked();
    for (const name of [' lead', 'new\nline', '"quoted"', 'tab\t', 'back\\slash', '-dash', 'é', ':(top)x'])
      repository.write(name, `${name}\n`);
    repository.git('add', '--all');
    expect(roundTrip(repository, () => repository.git('rm', '--quiet', '-r', '-f', '.'))).toBe('intact');
  });

  test('brings back a folder in the place of a file, and a file in the place of a folder', () => {
    const repository = worked();
    expect(
      roundTrip(repository, () => {
        repository.remove('a.txt');
        repository.remove('dir');
        repository.write('a.txt/inside', 'a folder now\n');
        repository.write('dir', 'a file now\n');
        repository.git('add', '--all');
        snapshot(repository);
      }),
    ).toBe('intact');
  });

  test('lists in a dry run exactly the paths of the index that it then changes', () => {
    const repository = worked();
    stageSome(repository);
    const id = snapshot(repository);
    repository.git('reset', '--quiet', '--hard');
    const index = readFileSync(repository.resolve('.git/index'));
    const dry = pitr(repository.path, [
      'restore',
      '--snapshot',
      id,
      '--staged',
      '--dry-run',
      '--json',
    ]).json<Restored>();
    expect(readFileSync(repository.resolve('.git/index')).equals(index)).toBe(true);
    expect(dry.plan.index.map(({ path }) => path)).toEqual([
      'a.txt',
      'b.txt',
      'c.txt',
      'moved.txt',
      'new file.txt',
    ]);
    expect(restore(repository, id).plan).toEqual(dry.plan);
    expect(restore(repository, id).plan.index).toEqual([]);
  });

  test('leaves the index alone without --staged', () => {
    const repository = worked();
    stageSome(repository);
    snapshot(repository);
    repository.git('reset', '--quiet', '--hard');
    const index = indexOf(repository);
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    expect(lines(repository.git('ls-files', '-s', '-v'))).toEqual(index);
  });
});

describe('restore --staged with paths', () => {
  test('brings back these paths of the index and no other, from a subfolder too', () => {
    const repository = worked();
    stageSome(repository);
    repository.write('dir/d.txt', 'staged d\n');
    repository.git('add', 'dir/d.txt');
    const id = snapshot(repository);
    repository.git('reset', '--quiet', '--hard');
    const before = lines(repository.git('ls-files', '-s'));
    pitr(repository.resolve('dir'), [
      'restore',
      '--snapshot',
      id,
      '--staged',
      '--yes',
      '--',
      '../a.txt',
      'd.txt',
    ]);
    const changed = lines(repository.git('ls-files', '-s')).filter((line) => !before.includes(line));
    expect(changed.map((line) => line.split('\t')[1])).toEqual(['a.txt', 'dir/d.txt']);
    expect(repository.git('status', '-s')).toBe('MM a.txt\nM  dir/d.txt');
    pitr(repository.path, ['undo', '--yes']);
    expect(lines(repository.git('ls-files', '-s'))).toEqual(before);
  });

  test('brings back the conflicts and bits of these paths and no other', () => {
    const repository = conflicted();
    repository.git('update-index', '--assume-unchanged', 'kept.txt', 'other.txt');
    const id = snapshot(repository);
    repository.git('merge', '--abort');
    repository.git('update-index', '--no-assume-unchanged', 'kept.txt', 'other.txt');
    restore(repository, id, '--', 'both modified.txt', 'o*.txt');
    expect(lines(repository.git('ls-files', '-u')).map((line) => line.slice(48))).toEqual([
      '1\tboth modified.txt',
      '2\tboth modified.txt',
      '3\tboth modified.txt',
    ]);
    expect(lines(repository.git('ls-files', '-v')).filter((line) => line.startsWith('h'))).toEqual([
      'h other.txt',
    ]);
  });
});

/** In the middle of a merge with a conflict of each kind. */
function conflicted(): TestRepository {
  const base = 'one\ntwo\nthree\n';
  const repository = scratchRepository({
    files: {
      'both modified.txt': base,
      'deleted by us.txt': base,
      'deleted by them.txt': base,
      'kept.txt': 'kept\n',
      'other.txt': 'other\n',
      'becomes a folder': base,
    },
    commit: true,
  });
  repository.git('checkout', '--quiet', '-b', 'theirs');
  repository.write('both modified.txt', 'one\ntheirs\nthree\n');
  repository.write('deleted by us.txt', 'one\ntheirs\nthree\n');
  repository.remove('deleted by them.txt');
  repository.write('both added.txt', 'theirs\n');
  repository.remove('becomes a folder');
  repository.write('becomes a folder/file', 'theirs\n');
  repository.commit('theirs');
  repository.git('checkout', '--quiet', 'main');
  repository.write('both modified.txt', 'one\nours\nthree\n');
  repository.remove('deleted by us.txt');
  repository.write('deleted by them.txt', 'one\nours\nthree\n');
  repository.write('both added.txt', 'ours\n');
  repository.write('becomes a folder', 'one\nours\nthree\n');
  repository.commit('ours');
  expect(() => repository.git('merge', 'theirs')).toThrow(/git merge theirs/);
  return repository;
}

describe('conflicts in the index', () => {
  test('of each kind are recorded with their contents and come back as stages 1 to 3', () => {
    const repository = conflicted();
    const unmerged = repository.git('ls-files', '-u');
    expect(new Set(lines(unmerged).map((line) => line.split('\t')[1])).size).toBeGreaterThanOrEqual(5);
    expect(roundTrip(repository, () => repository.git('merge', '--abort'))).toBe('intact');
    expect(repository.git('ls-files', '-u')).toBe(unmerged);
    expect(repository.git('show', 'refs/pitr/main~1:state/conflicts')).toBe(unmerged);
  });

  test('come back when the merge was resolved and committed since', () => {
    const repository = conflicted();
    expect(
      roundTrip(repository, () => {
        repository.git('checkout', '--quiet', '--ours', '--', 'both modified.txt');
        repository.commit('merged');
      }),
    ).toBe('intact');
  });

  test('survive a gc that takes the commits they came from', () => {
    const repository = conflicted();
    const contents = lines(repository.git('ls-files', '-u')).map((line) => line.split(' ')[1] ?? '');
    const id = snapshot(repository);
    repository.git('merge', '--abort');
    repository.git('branch', '--quiet', '-D', 'theirs');
    repository.git('reset', '--quiet', '--hard', 'HEAD~1');
    repository.git('reflog', 'expire', '--expire=now', '--all');
    repository.git('gc', '--quiet', '--prune=now');
    restore(repository, id);
    for (const oid of contents) expect(repository.git('cat-file', '-t', oid)).toBe('blob');
    expect(lines(repository.git('ls-files', '-u')).map((line) => line.split(' ')[1] ?? '')).toEqual(contents);
    repository.git('fsck', '--strict');
  });

  test('of files that became links or changed their mode come back', () => {
    const repository = scratchRepository({ files: { 'a.sh': 'a\n' }, commit: true });
    repository.git('checkout', '--quiet', '-b', 'theirs');
    repository.remove('a.sh');
    repository.symlink('a.sh', 'target');
    repository.commit('theirs');
    repository.git('checkout', '--quiet', 'main');
    repository.write('a.sh', 'ours\n', 0o755);
    repository.commit('ours');
    expect(() => repository.git('merge', 'theirs')).toThrow(/git merge theirs/);
    expect(roundTrip(repository, () => repository.git('merge', '--abort'))).toBe('intact');
  });
});

describe('bits of the index', () => {
  test('an intent to add comes back, and a snapshot of it alone says that nothing is staged', () => {
    const repository = worked();
    repository.write('intended.txt', 'not yet\n');
    repository.write('also intended', 'x\n');
    repository.git('add', '--intent-to-add', 'intended.txt', 'also intended');
    expect(roundTrip(repository, () => repository.git('reset', '--quiet'))).toBe('intact');
    expect(repository.git('ls-tree', '--name-only', 'refs/pitr/main~1')).toBe('files\nstate');
  });

  test('an intent to add goes when it was not there then', () => {
    const repository = worked();
    repository.write('intended.txt', 'not yet\n');
    expect(roundTrip(repository, () => repository.git('add', '--intent-to-add', 'intended.txt'))).toBe(
      'intact',
    );
  });

  test('an intent to add that has become an addition since comes back', () => {
    const repository = worked();
    repository.write('intended.txt', 'not yet\n');
    repository.git('add', '--intent-to-add', 'intended.txt');
    expect(roundTrip(repository, () => repository.git('add', 'intended.txt'))).toBe('intact');
  });

  test.each(['assume-unchanged', 'skip-worktree'])('%s comes back, and goes', (bit) => {
    const repository = worked();
    repository.git('update-index', `--${bit}`, 'a.txt', 'b.txt');
    expect(
      roundTrip(repository, () => {
        repository.git('update-index', `--no-${bit}`, 'a.txt');
        repository.git('update-index', `--${bit}`, 'dir/d.txt');
        repository.git('rm', '--quiet', '--cached', 'c.txt');
      }),
    ).toBe('intact');
  });

  test('both bits of one path come back together with its content', () => {
    const repository = worked();
    repository.git('update-index', '--assume-unchanged', 'a.txt');
    repository.git('update-index', '--skip-worktree', 'a.txt');
    expect(
      roundTrip(repository, () => {
        repository.git('update-index', '--no-skip-worktree', 'a.txt');
        repository.git('update-index', '--no-assume-unchanged', 'a.txt');
        repository.write('a.txt', 'changed\n');
        repository.git('add', 'a.txt');
      }),
    ).toBe('intact');
  });
});

describe('kinds of index files', () => {
  const kinds: Record<string, (repository: TestRepository) => void> = {
    'a split index': (repository) => repository.git('update-index', '--split-index'),
    'a split index by configuration': (repository) => repository.git('config', 'core.splitIndex', 'true'),
    'an index of version 4': (repository) => repository.git('update-index', '--index-version', '4'),
    'an untracked cache': (repository) => repository.git('update-index', '--force-untracked-cache'),
    'fsmonitor bits': (repository) => {
      repository.write('.git/monitor', '#!/bin/sh\nprintf "token\\0/\\0"\n', 0o755);
      repository.git('config', 'core.fsmonitor', '.git/monitor');
      repository.git('update-index', '--fsmonitor');
    },
    'no checksum': (repository) => repository.git('config', 'index.skipHash', 'true'),
  };

  test.each(Object.entries(kinds))('%s: what was staged, intended and in conflict comes back', (_, make) => {
    const repository = conflicted();
    make(repository);
    repository.write('intended.txt', 'not yet\n');
    repository.git('add', '--intent-to-add', 'intended.txt');
    repository.git('update-index', '--assume-unchanged', 'kept.txt');
    repository.write('other.txt', 'staged\n');
    repository.git('add', 'other.txt');
    expect(roundTrip(repository, () => repository.git('reset', '--quiet', '--hard'))).toBe('intact');
    repository.write('other.txt', 'STAGED\n');
    expect(repository.git('status', '-s', 'other.txt')).toBe('MM other.txt');
  });

  test('in a sha256 repository what was staged and in conflict comes back', () => {
    const repository = scratchRepository();
    rmSync(repository.resolve('.git'), { recursive: true });
    repository.git('init', '--quiet', '--object-format=sha256', '--initial-branch=main');
    repository.write('a.txt', 'a\n');
    repository.commit('first');
    repository.write('a.txt', 'staged\n');
    repository.git('add', 'a.txt');
    expect(roundTrip(repository, () => repository.git('reset', '--quiet', '--hard'))).toBe('intact');
  });

  test('in a sparse checkout entries outside of it come back as such, and nothing is written there', () => {
    const repository = scratchRepository({
      files: { 'in/a.txt': 'a\n', 'out/b.txt': 'b\n', 'out/c.txt': 'c\n' },
      commit: true,
    });
    repository.git('sparse-checkout', 'set', '--cone', 'in');
    repository.write('in/a.txt', 'staged\n');
    repository.git('add', 'in/a.txt');
    const index = indexOf(repository);
    const id = snapshot(repository);
    repository.git('rm', '--quiet', '--sparse', '--cached', 'out/b.txt');
    repository.git('reset', '--quiet', '--', 'in/a.txt');
    restore(repository, id);
    expect(indexOf(repository)).toEqual(index);
    expect(repository.git('status', '-s')).toBe('M  in/a.txt');
    expect(existsSync(repository.resolve('out'))).toBe(false);
  });

  test('in a linked worktree only its own index comes back', () => {
    const repository = worked();
    const other = `${repository.path}/../${repository.path.split('/').at(-1)}-linked`;
    repository.git('worktree', 'add', '--quiet', other);
    const linked = Object.assign(Object.create(Object.getPrototypeOf(repository)), {
      path: other,
    }) as TestRepository;
    try {
      stageSome(linked);
      const index = indexOf(linked);
      const id = snapshot(linked);
      linked.git('reset', '--quiet', '--hard');
      const main = readFileSync(repository.resolve('.git/index'));
      restore(linked, id);
      expect(indexOf(linked)).toEqual(index);
      expect(readFileSync(repository.resolve('.git/index')).equals(main)).toBe(true);
    } finally {
      rmSync(other, { recursive: true });
    }
  });
});

describe('what stands in the way', () => {
  test('an index.lock of another git: exit 6, nothing changed, nothing recorded, and the lock stays', () => {
    const repository = worked();
    stageSome(repository);
    const id = snapshot(repository);
    repository.git('reset', '--quiet', '--hard');
    const lock = repository.resolve('.git/index.lock');
    writeFileSync(lock, '');
    const seen = () => [
      repository.hashTree(),
      readFileSync(repository.resolve('.git/index')),
      repository.git('for-each-ref'),
    ];
    const before = seen();
    const result = pitr(repository.path, ['restore', '--snapshot', id, '--staged', '--yes', '--json'], {
      expectCode: 6,
    });
    expect(result.json<{ error: { kind: string } }>().error.kind).toBe('busy');
    expect(result.stderr).toContain(lock);
    expect(seen()).toEqual(before);
    expect(existsSync(lock)).toBe(true);
    rmSync(lock);
    restore(repository, id);
    expect(repository.git('diff', '--cached', '--name-only')).not.toBe('');
  });

  test('staged changes that would be lost: exit 4 without a terminal, and --keep-changes leaves them', () => {
    const repository = worked();
    const id = snapshot(repository);
    repository.write('a.txt', 'staged later\n');
    repository.git('add', 'a.txt');
    repository.write('b.txt', 'b\n');
    repository.git('rm', '--quiet', '--cached', 'c.txt');
    const index = indexOf(repository);
    pitr(repository.path, ['restore', '--snapshot', id, '--staged'], { expectCode: 4 });
    expect(indexOf(repository)).toEqual(index);
    const kept = pitr(repository.path, [
      'restore',
      '--snapshot',
      id,
      '--staged',
      '--keep-changes',
      '--json',
    ]).json<Restored>();
    expect(kept.applied).toBe(true);
    expect(repository.git('diff', '--cached', '--name-only')).toContain('a.txt');
  });

  test('an undo asks when the index has changed since the restore', () => {
    const repository = worked();
    stageSome(repository);
    const id = snapshot(repository);
    repository.git('reset', '--quiet', '--hard');
    restore(repository, id);
    repository.git('reset', '--quiet', '--', 'a.txt');
    repository.write('x', 'x\n');
    repository.write('a.txt', 'three\n');
    repository.git('add', 'a.txt');
    const index = indexOf(repository);
    pitr(repository.path, ['undo'], { expectCode: 4 });
    expect(indexOf(repository)).toEqual(index);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.git('diff', '--cached', '--name-only')).toBe('');
  });

  test('an index that was the tree of a commit that is gone: exit 1, nothing changed, and the files alone come back', () => {
    const repository = worked();
    repository.write('a.txt', 'second\n');
    repository.commit('second');
    snapshot(repository);
    repository.git('reset', '--quiet', '--hard', 'HEAD~1');
    // The anchor would keep it; snapshots of an earlier git-pitr have none.
    repository.git('update-ref', '-d', 'refs/pitr/anchor/main');
    repository.git('reflog', 'expire', '--expire=now', '--all');
    repository.git('gc', '--quiet', '--prune=now');
    const before = [repository.hashTree(), indexOf(repository)];
    const result = pitr(repository.path, ['restore', '--snapshot', 'latest', '--staged', '--yes'], {
      expectCode: 1,
    });
    expect(result.stderr).toContain('Without --staged');
    expect([repository.hashTree(), indexOf(repository)]).toEqual(before);
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    expect(repository.read('a.txt')).toBe('second\n');
  });
});
