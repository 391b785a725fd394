/** Refs in time: what they pointed to is kept as long as the snapshot, and comes back. */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

function history(commits = 5): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': '0\n' }, commit: true });
  for (let n = 1; n < commits; n++) {
    repository.write('a.txt', `${n}\n`);
    repository.commit(`commit ${n}`);
  }
  repository.git('config', 'user.name', 'Ada Tester');
  repository.git('config', 'user.email', 'ada@example.org');
  return repository;
}

function stash(repository: TestRepository, content: string, message: string): void {
  repository.write('a.txt', content);
  repository.git('stash', 'push', '--quiet', '-m', message);
}

/** All that could still keep an object, other than refs, goes; then all that no ref leads to. */
function collect(repository: TestRepository): void {
  repository.git('reflog', 'expire', '--expire=now', '--expire-unreachable=now', '--all');
  for (const name of ['ORIG_HEAD', 'FETCH_HEAD']) rmSync(repository.resolve(`.git/${name}`), { force: true });
  repository.git('gc', '--quiet', '--prune=now');
}

function refuses(repository: TestRepository, object: string): boolean {
  try {
    repository.git('cat-file', '-e', object);
    return false;
  } catch {
    return true;
  }
}

interface RefsDocument {
  refs: { name: string; before: string | null; now: string | null; status: string; available: boolean }[];
  stash: { index: number; commit: string; message: string; present: boolean; available: boolean }[];
  safety: { id: string } | null;
}

test('after reset --hard, branch -D, tag -d, stash drop, reflog expiry and gc --prune=now all come back, byte for byte', () => {
  const repository = history();
  repository.git('branch', 'topic', 'HEAD');
  repository.git('checkout', '--quiet', 'topic');
  repository.write('topic.txt', 'topic\n');
  repository.commit('topic work');
  repository.git('checkout', '--quiet', 'main');
  repository.git('tag', '-a', 'v1', '-m', 'release one', 'topic');
  repository.git('tag', 'content', 'HEAD:a.txt');
  stash(repository, 'first stashed\n', 'first');
  stash(repository, 'second stashed\n', 'second');
  stash(repository, 'third stashed\n', 'third');
  const refs = repository.git('for-each-ref', 'refs/heads', 'refs/tags', 'refs/stash');
  const log = readFileSync(repository.resolve('.git/logs/refs/stash'), 'utf8');
  const [main, tag] = [repository.git('rev-parse', 'main'), repository.git('rev-parse', 'v1')];
  pitr(repository.path, ['snapshot', '-m', 'good']);

  repository.git('reset', '--quiet', '--hard', 'HEAD~3');
  repository.git('branch', '--quiet', '-D', 'topic');
  repository.git('tag', '-d', 'v1', 'content');
  for (let n = 0; n < 3; n++) repository.git('stash', 'drop', '--quiet');
  collect(repository);
  expect(refuses(repository, tag)).toBe(true);

  const shown = pitr(repository.path, ['refs', '--json']).json<RefsDocument>();
  expect(shown.refs.every(({ available }) => available)).toBe(true);
  expect(shown.refs.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'refs/heads/main moved',
    'refs/heads/topic deleted',
    'refs/tags/content deleted',
    'refs/tags/v1 deleted',
  ]);
  expect(shown.stash.map(({ message, present }) => `${message} ${present}`)).toEqual([
    'On main: third false',
    'On main: second false',
    'On main: first false',
  ]);

  const refused = pitr(repository.path, ['restore', '--snapshot', 'latest', '--branch', 'main'], {
    expectCode: 4,
  });
  expect(refused.stderr).toContain(repository.path);
  expect(repository.git('rev-parse', 'main')).not.toBe(main);
  const names = ['--branch', 'main', '--branch', 'topic', '--tag', 'v1', '--tag', 'content', '--stash'];
  pitr(repository.path, ['restore', '--snapshot', 'latest', ...names, '--force']);
  expect(repository.git('for-each-ref', 'refs/heads', 'refs/tags', 'refs/stash')).toBe(refs);
  expect(readFileSync(repository.resolve('.git/logs/refs/stash'), 'utf8')).toBe(log);
  expect(repository.git('show', 'stash@{2}:a.txt')).toBe('first stashed');
  expect(repository.git('reflog', '-1', '--format=%gn %gs', 'main')).toMatch(
    /^Ada Tester pitr: restore to snapshot/,
  );
  expect(repository.git('fsck', '--strict', '--no-dangling')).toBe('');
});

test('undo takes a restore of refs back, and again does it anew', () => {
  const repository = history();
  stash(repository, 'x\n', 'kept');
  stash(repository, 'y\n', 'dropped');
  pitr(repository.path, ['snapshot']);
  repository.git('branch', 'side', 'HEAD~2');
  repository.git('reset', '--quiet', '--hard', 'HEAD~1');
  repository.git('stash', 'drop', '--quiet');
  const before = repository.git('for-each-ref', 'refs/heads', 'refs/stash');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--branch', 'main', '--stash', '--force']);
  const after = repository.git('for-each-ref', 'refs/heads', 'refs/stash');
  expect(after).not.toBe(before);
  pitr(repository.path, ['undo']);
  expect(repository.git('for-each-ref', 'refs/heads', 'refs/stash')).toBe(before);
  expect(repository.git('stash', 'list')).toBe('stash@{0}: On main: kept');
  pitr(repository.path, ['undo']);
  expect(repository.git('for-each-ref', 'refs/heads', 'refs/stash')).toBe(after);
  // A branch that moved since is not moved again without a word.
  repository.git('update-ref', 'refs/heads/main', 'HEAD~3');
  pitr(repository.path, ['undo'], { expectCode: 4 });
});

test('a restore that would leave commits without a ref names them and is refused; the safety snapshot keeps them', () => {
  const repository = history();
  repository.git('checkout', '--quiet', '-b', 'other');
  repository.git('branch', 'work', 'HEAD~2');
  pitr(repository.path, ['snapshot']);
  repository.git('checkout', '--quiet', 'work');
  repository.write('new.txt', 'new\n');
  repository.commit('precious');
  const precious = repository.git('rev-parse', 'work');
  repository.git('checkout', '--quiet', 'other');
  const args = ['restore', '--snapshot', 'latest', '--branch', 'work'];
  expect(pitr(repository.path, args, { expectCode: 4 }).stderr).toContain('precious');
  pitr(repository.path, [...args, '--force']);
  collect(repository);
  pitr(repository.path, ['undo']);
  expect(repository.git('rev-parse', 'work')).toBe(precious);
});

test('a branch that is checked out in another worktree, or is being rebased, is not moved without --force', () => {
  const repository = history();
  repository.git('branch', 'linked', 'HEAD~2');
  pitr(repository.path, ['snapshot']);
  repository.git('branch', '--force', 'linked', 'HEAD~3');
  const folder = path.join(scratchFolder(), 'linked');
  repository.git('worktree', 'add', '--quiet', folder, 'linked');
  const args = ['restore', '--snapshot', 'latest', '--branch', 'linked'];
  expect(pitr(repository.path, args, { expectCode: 4 }).stderr).toContain(folder);
  pitr(repository.path, [...args, '--force']);
  expect(repository.git('rev-parse', 'linked')).toBe(repository.git('rev-parse', 'main~2'));
});

test('the anchor is made only when what refs point to changed, and the timeline stays a plain chain', () => {
  const repository = history();
  const anchor = () =>
    repository.git('log', '-1', '--format=%(trailers:key=Pitr-Anchor,valueonly)', 'refs/pitr/main').trim();
  pitr(repository.path, ['snapshot']);
  const [first, chain] = [anchor(), repository.git('rev-parse', 'refs/pitr/anchor/main')];
  expect(first).toMatch(/^[0-9a-f]{40}$/);
  repository.write('a.txt', 'changed\n');
  pitr(repository.path, ['snapshot']);
  // Another branch at the same commit: nothing more to keep.
  repository.git('branch', 'twin');
  repository.git('checkout', '--quiet', 'twin');
  pitr(repository.path, ['snapshot']);
  expect([anchor(), repository.git('rev-parse', 'refs/pitr/anchor/main')]).toEqual([first, chain]);
  repository.commit('moved');
  pitr(repository.path, ['snapshot']);
  expect(anchor()).not.toBe(first);
  expect(repository.git('rev-list', '--first-parent', '--count', 'refs/pitr/main')).toBe('4');
  // The timeline stays a plain chain, which git log shows as it is.
  expect(repository.git('rev-list', '--count', 'refs/pitr/main')).toBe('4');
});

test('1,000 tags: a branch that moves writes few parents, and a deleted tag among them comes back after gc', () => {
  const repository = history();
  const tree = repository.git('rev-parse', 'HEAD^{tree}');
  const script = `i=0; while [ $i -lt 1000 ]; do echo "commit refs/tags/t$i"; echo "committer A <a@b> $((1600000000 + i)) +0000"; echo "data 2"; echo "t"; echo; echo "M 040000 ${tree} "; echo; i=$((i+1)); done | git fast-import --quiet`;
  repository.git('-c', `alias.make=!${script}`, 'make');
  pitr(repository.path, ['snapshot']);
  const before = repository
    .git('rev-list', '--parents', 'refs/pitr/anchor/main', '--grep=What refs pointed to')
    .split('\n');
  expect(Math.max(...before.map((line) => line.split(' ').length - 1))).toBeLessThanOrEqual(64);
  repository.commit('one more');
  pitr(repository.path, ['snapshot']);
  const after = repository
    .git('rev-list', '--parents', 'refs/pitr/anchor/main', '--grep=What refs pointed to')
    .split('\n');
  expect(after.length - before.length).toBeLessThanOrEqual(5);
  const tip = repository.git('rev-parse', 'refs/tags/t123');
  repository.git('tag', '-d', 't123');
  collect(repository);
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--tag', 't123']);
  expect(repository.git('rev-parse', 'refs/tags/t123')).toBe(tip);
});

test('a repository without a commit has no anchor, and one with a damaged branch is recorded all the same', () => {
  const empty = scratchRepository({ files: { 'a.txt': 'a\n' } });
  pitr(empty.path, ['snapshot']);
  expect(empty.git('for-each-ref', '--format=%(refname)', 'refs/pitr')).toBe('refs/pitr/main');
  const repository = history();
  pitr(repository.path, ['snapshot']);
  repository.git('checkout', '--quiet', '-b', 'lost');
  repository.commit('lost');
  const oid = repository.git('rev-parse', 'HEAD');
  repository.git('checkout', '--quiet', 'main');
  rmSync(repository.resolve(`.git/objects/${oid.slice(0, 2)}/${oid.slice(2)}`));
  repository.write('b.txt', 'b\n');
  pitr(repository.path, ['snapshot']);
  expect(repository.git('show', 'refs/pitr/main:files/b.txt')).toBe('b');
});

test('a sha256 repository and a shallow clone keep and give back their refs', () => {
  const folder = scratchFolder();
  const source = history();
  const git = (...args: string[]) => source.git('-C', folder, ...args);
  git('init', '--quiet', '--object-format=sha256', 'large');
  source.git('clone', '--quiet', '--depth=1', `file://${source.path}`, path.join(folder, 'shallow'));
  for (const name of ['large', 'shallow']) {
    const at = (...args: string[]) => git('-C', name, ...args);
    at('commit', '--quiet', '--allow-empty', '-m', 'here');
    at('checkout', '--quiet', '-b', 'topic');
    at('commit', '--quiet', '--allow-empty', '-m', 'work');
    at('tag', '-a', '-m', 'v', 'v1');
    const before = at('rev-parse', 'topic', 'v1');
    at('checkout', '--quiet', '-');
    pitr(path.join(folder, name), ['snapshot']);
    at('branch', '--quiet', '-D', 'topic');
    at('tag', '-d', 'v1');
    at('reflog', 'expire', '--expire=now', '--expire-unreachable=now', '--all');
    at('gc', '--quiet', '--prune=now');
    pitr(path.join(folder, name), ['restore', '--snapshot', 'latest', '--branch', 'topic', '--tag', 'v1']);
    expect(at('rev-parse', 'topic', 'v1')).toBe(before);
  }
});
