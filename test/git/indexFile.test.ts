import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, utimesSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { summarizeIndex, readIndexFile } from '../../src/git/indexFile.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

/** Names of many lengths (entries are padded by them), some in folders, some hard to write. */
const names = [
  ...Array.from({ length: 40 }, (_, n) => `folder ${n % 4}/${'x'.repeat(n * 5)}-${n}`),
  'é',
  '"q"',
  'new\nline',
  'tab\t',
  ' ',
  `${'long/'.repeat(500)}name`,
];

function repositoryWith(format: 'sha1' | 'sha256'): TestRepository {
  const repository = scratchRepository();
  rmSync(repository.resolve('.git'), { recursive: true });
  repository.git('init', '--quiet', `--object-format=${format}`, '--initial-branch=main');
  for (const name of names) repository.write(name, `${name}\n`, name.length % 3 === 0 ? 0o755 : 0o644);
  repository.symlink('link', 'nowhere');
  repository.git('add', '--all');
  return repository;
}

/** What git says of its index: `<tag> <mode> <oid> <stage>\t<path>`. */
function asGitSays(repository: TestRepository): string[] {
  return repository
    .git('-c', 'core.quotePath=false', 'ls-files', '-s', '-v', '-z')
    .split('\0')
    .filter((record) => record !== '');
}

function asRead(repository: TestRepository, objectFormat: 'sha1' | 'sha256'): string[] | undefined {
  const index = readIndexFile(repository.resolve('.git/index'), { objectFormat });
  return index?.entries.map((entry) => {
    const tag = entry.stage > 0 ? 'M' : entry.skipWorktree ? 'S' : 'H';
    const shown = entry.assumeUnchanged ? tag.toLowerCase() : tag;
    const path = Buffer.from(entry.path, 'latin1').toString('utf8');
    return `${shown} ${entry.mode} ${entry.oid} ${entry.stage}\t${path}`;
  });
}

describe('an index read in process says what git says of it', () => {
  const versions = [2, 4].flatMap((version) =>
    (['sha1', 'sha256'] as const).map((format) => [version, format] as const),
  );
  test.each(versions)('version %i, %s', (version, format) => {
    const repository = repositoryWith(format);
    repository.git('update-index', '--index-version', String(version));
    expect(asRead(repository, format)).toEqual(asGitSays(repository));
  });

  test.each([2, 4])('with bits (version %i)', (version) => {
    const repository = repositoryWith('sha1');
    repository.git('update-index', '--assume-unchanged', 'link', 'é');
    repository.git('update-index', '--skip-worktree', 'é', '"q"');
    repository.write('intended', 'x\n');
    repository.git('add', '--intent-to-add', 'intended');
    repository.git('update-index', '--index-version', String(version));
    expect(asRead(repository, 'sha1')).toEqual(asGitSays(repository));
    const index = readIndexFile(repository.resolve('.git/index'), { objectFormat: 'sha1' });
    expect(index?.entries.filter((entry) => entry.intentToAdd).map((entry) => entry.path)).toEqual([
      'intended',
    ]);
  });

  test('with conflicts', () => {
    const repository = repositoryWith('sha1');
    const oid = repository.git('rev-parse', ':link');
    const stages = [1, 2, 3].map((stage) => `100644 ${oid} ${stage}\tin conflict`).join('\n');
    repository.write('stages', `${stages}\n100755 ${oid} 3\talso\n`);
    execFileSync('git', ['update-index', '--index-info'], {
      cwd: repository.path,
      env: cleanEnvironment(),
      input: repository.read('stages'),
    });
    expect(asGitSays(repository).filter((record) => record.startsWith('M'))).toHaveLength(4);
    expect(asRead(repository, 'sha1')).toEqual(asGitSays(repository));
  });

  test('one that is not there is empty, and a split one is not read', () => {
    const repository = repositoryWith('sha1');
    repository.git('update-index', '--split-index');
    expect(asRead(repository, 'sha1')).toBeUndefined();
    rmSync(repository.resolve('.git/index'));
    expect(asRead(repository, 'sha1')).toEqual([]);
  });

  test('one that is cut off, or no index at all, is not read', () => {
    const repository = repositoryWith('sha1');
    const whole = readFileSync(repository.resolve('.git/index'));
    for (const length of [0, 11, 40, 100, whole.length - 25])
      expect(summarizeIndex(whole.subarray(0, length), { objectFormat: 'sha1' })).toBeUndefined();
    expect(summarizeIndex(Buffer.alloc(1000, 'x'), { objectFormat: 'sha1' })).toBeUndefined();
  });
});

describe('the keys of an index', () => {
  const keysOf = (repository: TestRepository) =>
    summarizeIndex(readFileSync(repository.resolve('.git/index')), { objectFormat: 'sha1' });

  test('stay when git has only looked at a file again', () => {
    const repository = repositoryWith('sha1');
    const [before, bytes] = [keysOf(repository), readFileSync(repository.resolve('.git/index'))];
    utimesSync(repository.resolve('é'), 1, 1);
    repository.git('update-index', '--refresh');
    expect(readFileSync(repository.resolve('.git/index')).equals(bytes)).toBe(false);
    expect(keysOf(repository)).toEqual(before);
  });

  test('tell a changed content from a changed list of paths', () => {
    const repository = repositoryWith('sha1');
    const before = keysOf(repository);
    repository.write('é', 'changed\n');
    repository.git('add', 'é');
    const changed = keysOf(repository);
    expect(changed?.paths).toBe(before?.paths);
    expect(changed?.all).not.toBe(before?.all);
    repository.git('rm', '--quiet', '--cached', 'é');
    expect(keysOf(repository)?.paths).not.toBe(before?.paths);
  });

  test.each(['--assume-unchanged', '--skip-worktree', '--chmod=+x'])('change with %s', (option) => {
    const repository = repositoryWith('sha1');
    const before = keysOf(repository);
    repository.git('update-index', option, 'é');
    expect(keysOf(repository)?.all).not.toBe(before?.all);
  });
});

test.each([2, 4])(
  'the unusual entries are all those with a flag or a stage, gitlinks and .gitattributes (version %i)',
  (version) => {
    const repository = repositoryWith('sha1');
    for (const folder of ['', 'a/', 'folder 1/', '.gitattr/'])
      repository.write(`${folder}.gitattributes`, '* text\n');
    for (const name of ['not.gitattributes', 'flagged', 'skipped', 'hidden']) repository.write(name, 'x\n');
    repository.git('add', '--all');
    repository.write('intended', 'x\n');
    repository.git('add', '--intent-to-add', 'intended');
    repository.git('update-index', '--assume-unchanged', 'hidden');
    repository.git('update-index', '--skip-worktree', 'skipped');
    const oid = repository.git('rev-parse', ':flagged');
    execFileSync('git', ['update-index', '--index-info'], {
      cwd: repository.path,
      env: cleanEnvironment(),
      input: `160000 ${oid} 0\tnested\n100644 ${oid} 1\tin conflict\n100644 ${oid} 2\tin conflict\n`,
    });
    repository.git('update-index', '--index-version', String(version));
    const index = repository.resolve('.git/index');
    const summary = summarizeIndex(readFileSync(index), { objectFormat: 'sha1' });
    expect(summary?.unusual.map((entry) => `${entry.path} ${entry.stage}`)).toEqual([
      '.gitattr/.gitattributes 0',
      '.gitattributes 0',
      'a/.gitattributes 0',
      'folder 1/.gitattributes 0',
      'hidden 0',
      'in conflict 1',
      'in conflict 2',
      'intended 0',
      'nested 0',
      'not.gitattributes 0',
      'skipped 0',
    ]);
  },
);
