/** Where and how objects and refs are kept: shallow, borrowed, other hashes and formats, packed in every way. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import {
  fsck,
  git,
  recordedFiles,
  recordedState,
  restore,
  roundTrip,
  snapshot,
} from './support/round-trip.ts';

interface Failure {
  error: { kind: string; message: string; hints: string[] };
}

function history(): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'one\n', 'dir/b.txt': 'b\n' }, commit: true });
  for (const content of ['two\n', 'three\n']) {
    repository.write('a.txt', content);
    repository.commit(content.trim());
  }
  return repository;
}

/** A clone made with these options; changes for a round trip go through `write`. */
function clone(origin: TestRepository, ...options: readonly string[]) {
  const folder = path.join(scratchFolder(), 'clone');
  git(origin.path, 'clone', '--quiet', ...options, `file://${origin.path}`, folder);
  return { folder, change: () => writeFileSync(path.join(folder, 'a.txt'), 'changed\n') };
}

test('a shallow clone round-trips, and stays as shallow as it is', () => {
  const { folder, change } = clone(history(), '--depth=1');
  roundTrip(folder, change);
  expect(git(folder, 'rev-parse', '--is-shallow-repository')).toBe('true');
  expect(git(folder, 'rev-list', '--count', 'HEAD')).toBe('1');
});

test('a shallow clone that is deepened keeps its timeline', () => {
  const { folder, change } = clone(history(), '--depth=1');
  const { snapshot: taken } = snapshot(folder);
  git(folder, 'fetch', '--quiet', '--unshallow');
  change();
  restore(folder, ['--snapshot', taken.id]);
  expect(git(folder, 'status', '--porcelain')).toBe('');
  fsck(folder);
});

test.each([
  ['--shared', ['--shared', '--no-hardlinks']],
  ['--reference', ['--reference']],
])('a clone that borrows its objects (%s) round-trips', (_, options) => {
  const origin = history();
  const all = options[0] === '--reference' ? ['--reference', origin.path] : options;
  const folder = path.join(scratchFolder(), 'clone');
  git(origin.path, 'clone', '--quiet', ...all, origin.path, folder);
  expect(existsSync(path.join(folder, '.git/objects/info/alternates'))).toBe(true);
  const objects = () => origin.git('cat-file', '--batch-all-objects', '--batch-check');
  const borrowed = objects();
  roundTrip(folder, () => writeFileSync(path.join(folder, 'a.txt'), 'changed\n'), {
    foreign: [path.join(origin.path, '.git/refs'), path.join(origin.path, '.git/logs')],
  });
  expect(objects()).toEqual(borrowed);
});

test('when the borrowed objects are lost, a snapshot fails with a clear word and nothing half is listed', () => {
  const origin = history();
  const folder = path.join(scratchFolder(), 'clone');
  git(origin.path, 'clone', '--quiet', '--shared', origin.path, folder);
  writeFileSync(path.join(folder, 'own.txt'), 'own\n');
  snapshot(folder, ['-m', 'whole']);
  renameSync(path.join(origin.path, '.git'), path.join(origin.path, 'gone'));
  writeFileSync(path.join(folder, 'own.txt'), 'later\n');
  const before = hashTree(folder);
  // Not only the first time: what failed must not look like "nothing changed" afterwards.
  for (let turn = 0; turn < 2; turn++) {
    const { error } = pitr(folder, ['snapshot', '--json'], { expectCode: 7 }).json<Failure>();
    expect(error.message).toContain(path.join(origin.path, '.git/objects'));
    expect(error.hints.join(' ')).toMatch(/alternates/);
  }
  const listed = pitr(folder, ['list', '--json']).json<{ snapshots: { message: string }[] }>();
  expect(listed.snapshots.map(({ message }) => message)).toEqual(['whole']);
  pitr(folder, ['restore', '--snapshot', 'latest', '--yes'], { expectCode: 7 });
  expect(hashTree(folder)).toEqual(before);
  renameSync(path.join(origin.path, 'gone'), path.join(origin.path, '.git'));
  restore(folder);
  expect(readFileSync(path.join(folder, 'own.txt'), 'utf8')).toBe('own\n');
});

test.each([['sha256'], ['sha1']])(
  'a %s repository round-trips with nested files, links and modes',
  (format) => {
    const folder = scratchFolder();
    git(folder, 'init', '--quiet', `--object-format=${format}`, '--initial-branch=main');
    const write = (file: string, content: string) => {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), content);
    };
    write('a.txt', 'a\n');
    write('deep/er/b.txt', 'b\n');
    git(folder, 'add', '.');
    git(folder, 'commit', '--quiet', '-m', 'first');
    write('untracked.txt', 'mine\n');
    git(folder, 'add', '--intent-to-add', 'untracked.txt');
    const { snapshot: taken } = roundTrip(folder, () => {
      write('a.txt', 'changed\n');
      write('new/x.txt', 'new\n');
    });
    expect(taken.commit).toHaveLength(format === 'sha256' ? 64 : 40);
    expect(recordedFiles(folder, taken.commit).get('untracked.txt')).toBe('mine');
    expect(pitr(folder, ['diff', taken.id, '--json']).json<{ files: unknown[] }>().files).toEqual([]);
  },
);

test('a repository that keeps its refs as reftable is refused with a clear word by a git that cannot read it', () => {
  const repository = history();
  repository.git('config', 'core.repositoryFormatVersion', '1');
  repository.git('config', 'extensions.refStorage', 'reftable');
  for (const command of [['snapshot'], ['list'], ['restore', '--snapshot', 'latest'], ['undo']]) {
    const { error } = pitr(repository.path, [...command, '--json'], { expectCode: 1 }).json<Failure>();
    expect(error.message).toMatch(/reftable.*cannot read/);
    expect(error.hints.join(' ')).toMatch(/2\.45/);
  }
  expect(existsSync(repository.resolve('.git/pitr'))).toBe(false);
});

test('an extension that git does not know is refused by its name', () => {
  const repository = history();
  repository.git('config', 'core.repositoryFormatVersion', '1');
  repository.git('config', 'extensions.fromTheFuture', 'true');
  const { error } = pitr(repository.path, ['snapshot', '--json'], { expectCode: 1 }).json<Failure>();
  expect(error.message).toContain('fromthefuture');
  expect(existsSync(repository.resolve('.git/pitr'))).toBe(false);
});

test('a repository without a commit round-trips, with staged and untracked files', () => {
  const repository = scratchRepository({ files: { 'staged.txt': 'staged\n', 'untracked.txt': 'mine\n' } });
  repository.git('add', 'staged.txt');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    repository.write('staged.txt', 'changed\n');
    repository.remove('untracked.txt');
    repository.write('new.txt', 'new\n');
  });
  expect(taken.head).toEqual({ branch: 'main', commit: null });
  expect(repository.git('ls-tree', '-r', '--name-only', `${taken.commit}:staged`)).toBe('staged.txt');
});

test('an empty repository is a state too: its snapshot holds no file, and restoring it takes all away', () => {
  const repository = scratchRepository();
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('first.txt', 'first\n'));
  expect(taken.files).toBe(0);
});

test('snapshots from before the first commit restore after it, on an orphan branch and on a detached HEAD', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'before\n' } });
  const { snapshot: before } = snapshot(repository.path);
  repository.commit('first');
  repository.write('a.txt', 'after\n');
  repository.commit('second');
  for (const move of [
    ['checkout', '--quiet', '--detach', 'HEAD~1'],
    ['checkout', '--quiet', '--orphan', 'fresh'],
  ]) {
    repository.git(...move);
    repository.write('a.txt', 'now\n');
    restore(repository.path, ['--snapshot', before.id]);
    expect(repository.read('a.txt')).toBe('before\n');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('a.txt')).toBe('now\n');
    repository.git('checkout', '--quiet', '--force', 'main');
  }
});

test('packed refs, commit-graphs, bitmaps and a multi-pack-index are read and left as they are', () => {
  const repository = history();
  repository.git('config', 'core.multiPackIndex', 'true');
  repository.git('config', 'repack.writeBitmaps', 'true');
  snapshot(repository.path);
  repository.git('pack-refs', '--all');
  repository.git('repack', '-q', '-d', '-A', '--write-midx');
  repository.write('a.txt', 'more\n');
  repository.commit('more');
  repository.git('repack', '-q', '-d', '--write-midx');
  repository.git('commit-graph', 'write', '--reachable', '--changed-paths');
  expect(existsSync(repository.resolve('.git/objects/pack/multi-pack-index'))).toBe(true);
  expect(existsSync(repository.resolve('.git/objects/info/commit-graph'))).toBe(true);
  roundTrip(repository.path, () => repository.write('a.txt', 'changed\n'));
  repository.git('gc', '--quiet', '--prune=now');
  repository.git('multi-pack-index', 'verify');
  repository.git('commit-graph', 'verify');
  restore(repository.path, ['--snapshot', 'latest~1']);
  fsck(repository.path);
});

test('snapshots survive gc --prune=now, repack and a packed object store', () => {
  const repository = history();
  repository.write('untracked.txt', 'mine\n');
  const { snapshot: taken } = snapshot(repository.path);
  repository.remove('untracked.txt');
  repository.git('reflog', 'expire', '--expire=now', '--all');
  repository.git('gc', '--quiet', '--prune=now', '--aggressive');
  restore(repository.path, ['--snapshot', taken.id]);
  expect(repository.read('untracked.txt')).toBe('mine\n');
  roundTrip(repository.path, () => repository.write('a.txt', 'changed\n'));
});

test('in a repository shared by a group, what a snapshot adds to the object store is writable by the group', () => {
  const repository = history();
  repository.git('config', 'core.sharedRepository', 'group');
  const folders = () => readdirSync(repository.resolve('.git/objects')).filter((name) => name.length === 2);
  const known = new Set(folders());
  for (let turn = 0; turn < 20; turn++) repository.write(`new/${turn}.txt`, `${turn} of many\n`);
  snapshot(repository.path);
  const added = folders().filter((name) => !known.has(name));
  expect(added.length).toBeGreaterThan(5);
  const modes = added.map((name) => statSync(repository.resolve(`.git/objects/${name}`)).mode & 0o2770);
  expect(new Set(modes)).toEqual(new Set([0o2770]));
});

test('a capture that ended in the middle is not taken for one that found nothing changed', () => {
  const repository = history();
  snapshot(repository.path);
  repository.write('a.txt', 'changed\n');
  repository.write('.env', 'secret\n', 0o600);
  // What a run leaves behind that is killed after it has brought its index up to date.
  const state = repository.resolve('.git/pitr/lines/main/shadow/capture.json');
  const before = readFileSync(state);
  snapshot(repository.path);
  writeFileSync(state, before);
  repository.git('update-ref', 'refs/pitr/main', 'refs/pitr/main~1');
  const again = snapshot(repository.path);
  expect(again.created).toBe(true);
  expect(recordedFiles(repository.path, again.snapshot.commit).get('a.txt')).toBe('changed');
  expect(recordedState(repository.path, again.snapshot.commit, 'permissions')).toBe('0600 .env');
});
