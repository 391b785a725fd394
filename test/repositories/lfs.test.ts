/** Git LFS: bytes come back as they were on disk, and the content behind a recorded pointer outlives a prune. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { git, recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

interface LfsObject {
  content: string;
  pointer: string;
  /** Below `objects/`. */
  name: string;
}

function lfsObject(content: string): LfsObject {
  const oid = createHash('sha256').update(content).digest('hex');
  return {
    content,
    pointer: `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`,
    name: path.join(oid.slice(0, 2), oid.slice(2, 4), oid),
  };
}

/** Lays the content out as the specification of Git LFS says, so that no git-lfs is needed. */
function store(folder: string, object: LfsObject): string {
  const file = path.join(folder, 'objects', object.name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, object.content);
  return file;
}

/** A repository whose `*.bin` belong to LFS, with one committed pointer that is on disk as a pointer. */
function withLfs(): { repository: TestRepository; first: LfsObject } {
  const first = lfsObject('first content\n'.repeat(100));
  const repository = scratchRepository({
    files: { '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n', 'big.bin': first.pointer },
    commit: true,
  });
  store(repository.resolve('.git/lfs'), first);
  return { repository, first };
}

function kept(repository: TestRepository, object: LfsObject): string {
  return repository.resolve(path.join('.git/pitr/lfs/objects', object.name));
}

test('a pointer on disk is recorded as it is, with a hard link to its content, and round-trips', () => {
  const { repository, first } = withLfs();
  const { snapshot: taken } = roundTrip(repository.path, () => repository.write('big.bin', 'other\n'));
  expect(`${recordedFiles(repository.path, taken.commit).get('big.bin') ?? ''}\n`).toBe(first.pointer);
  expect(readFileSync(kept(repository, first), 'utf8')).toBe(first.content);
  expect(statSync(kept(repository, first)).nlink).toBe(2);
});

test('a pointer that is only staged keeps its content when everything else forgets it', () => {
  const { repository } = withLfs();
  snapshot(repository.path);
  const second = lfsObject('second content\n'.repeat(100));
  const file = store(repository.resolve('.git/lfs'), second);
  repository.write('big.bin', second.pointer);
  repository.git('add', 'big.bin');
  repository.write('big.bin', second.content);
  const { snapshot: taken } = snapshot(repository.path);
  repository.git('reset', '--quiet', '--hard');
  rmSync(file); // what git lfs prune does with what no commit names
  expect(readFileSync(kept(repository, second), 'utf8')).toBe(second.content);
  restore(repository.path, ['--snapshot', taken.id, '--staged']);
  expect(repository.read('big.bin')).toBe(second.content);
  expect(`${repository.git('show', ':big.bin')}\n`).toBe(second.pointer);
  // As docs/format.md says: the links go back to where git-lfs looks.
  execFileSync('cp', [
    '-aln',
    `${repository.resolve('.git/pitr/lfs/objects')}/.`,
    repository.resolve('.git/lfs/objects'),
  ]);
  expect(readFileSync(file, 'utf8')).toBe(second.content);
});

test('content on disk in the place of a pointer comes back byte for byte, also when LFS has forgotten it', () => {
  const { repository, first } = withLfs();
  repository.write('big.bin', first.content);
  const { snapshot: taken } = snapshot(repository.path);
  repository.remove('.git/lfs');
  repository.write('big.bin', 'changed\n');
  restore(repository.path, ['--snapshot', taken.id]);
  expect(repository.read('big.bin')).toBe(first.content);
});

test('lfs.storage elsewhere, in the repository or outside of it', () => {
  for (const storage of ['custom-store', scratchFolder()]) {
    const { repository } = withLfs();
    repository.git('config', 'lfs.storage', storage);
    const second = lfsObject(`content of ${storage}\n`.repeat(50));
    store(path.resolve(repository.resolve('.git'), storage), second);
    repository.write('second.bin', second.pointer);
    snapshot(repository.path);
    expect(readFileSync(kept(repository, second), 'utf8')).toBe(second.content);
  }
});

test('a pointer without content here is no error, and a file that only looks like one is none', () => {
  const { repository } = withLfs();
  const away = lfsObject('never fetched\n');
  repository.write('away.bin', away.pointer);
  repository.write('almost.bin', `${away.pointer}trailing text\n`.replace('version', 'Version'));
  const { snapshot: taken } = roundTrip(repository.path, () => repository.remove('away.bin'));
  expect(taken.skipped).toEqual([]);
  expect(existsSync(kept(repository, away))).toBe(false);
});

test('a repository without LFS gets no folder for it', () => {
  const repository = scratchRepository({ files: { 'a.bin': lfsObject('x').pointer }, commit: true });
  snapshot(repository.path);
  expect(existsSync(repository.resolve('.git/pitr/lfs'))).toBe(false);
});

test('the filters of git-lfs are never run: a snapshot and a restore need no git-lfs', () => {
  const { repository, first } = withLfs();
  for (const key of ['clean', 'smudge', 'process']) repository.git('config', `filter.lfs.${key}`, 'false');
  repository.git('config', 'filter.lfs.required', 'true');
  const { snapshot: taken } = snapshot(repository.path);
  repository.remove('big.bin');
  pitr(repository.path, ['restore', '--snapshot', taken.id, '--yes']);
  expect(repository.read('big.bin')).toBe(first.pointer);
});

test('two snapshots that keep the same object do not trip over each other', () => {
  const { repository, first } = withLfs();
  snapshot(repository.path);
  mkdirSync(repository.resolve('elsewhere'));
  linkSync(kept(repository, first), repository.resolve('elsewhere/copy'));
  repository.write('again.bin', first.pointer);
  expect(snapshot(repository.path).created).toBe(true);
  expect(git(repository.path, 'fsck', '--strict', '--no-dangling')).toBe('');
});
