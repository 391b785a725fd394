/** Single paths: in deleted folders, in the place of something else, with names that hurt. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { everything } from '../support/fingerprint.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Restored {
  plan: Record<'create' | 'overwrite' | 'delete' | 'mode' | 'protected', { path: string; reason?: string }[]>;
}

const restore = (repository: TestRepository, ...args: string[]) =>
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json', ...args]).json<Restored>();

it('one file of a deleted folder comes back with the folders it needs, and nothing else; undo takes both away', () => {
  const repository = scratchRepository({
    files: { 'a/b/c/one.txt': '1\n', 'a/b/two.txt': '2\n', 'other.txt': 'o\n' },
  });
  pitr(repository.path, ['snapshot']);
  repository.remove('a');
  const before = repository.hashTree();
  const { plan } = restore(repository, '--', 'a/b/c/one.txt');
  expect(plan.create.map((entry) => entry.path)).toEqual(['a/b/c/one.txt']);
  expect(repository.hashTree().map((line) => line.split(' ')[0])).toEqual([
    'a/',
    'a/b/',
    'a/b/c/',
    'a/b/c/one.txt',
    'other.txt',
  ]);
  pitr(repository.path, ['undo']);
  expect(repository.hashTree()).toEqual(before);
});

describe('what takes the place of something else', () => {
  type Make = (repository: TestRepository, at: string) => void;
  const kinds: Record<string, Make> = {
    'a file': (repository, at) => repository.write(at, 'file\n'),
    'a folder': (repository, at) => repository.write(`${at}/inside.txt`, 'inside\n'),
    'a folder of folders': (repository, at) => repository.write(`${at}/deep/er/inside.txt`, 'inside\n'),
    'an empty folder': (repository, at) => mkdirSync(repository.resolve(at)),
    'a link': (repository, at) => repository.symlink(at, 'somewhere/else'),
    // Behind it there are the names that the folders above have: nothing must be looked at, or written, through it.
    'a link to a folder': (repository, at) => repository.symlink(at, '../real'),
    'an executable': (repository, at) => repository.write(at, 'file\n', 0o755),
    nothing: () => {},
  };
  const pairs = Object.keys(kinds)
    .flatMap((was) => Object.keys(kinds).map((is) => ({ was, is, at: `things/${was}, now ${is}` })))
    .filter(({ was, is }) => was !== is);

  /** Every pair in one working tree; `real` holds what links to folders lead to. */
  function scene(): TestRepository {
    const files = { 'real/inside.txt': 'theirs\n', 'real/deep/er/inside.txt': 'theirs\n' };
    const repository = scratchRepository({ files, commit: true });
    mkdirSync(repository.resolve('things'));
    for (const { was, at } of pairs) kinds[was]?.(repository, at);
    return repository;
  }

  function change(repository: TestRepository): void {
    for (const { was, is, at } of pairs) {
      if (was !== 'nothing') repository.remove(at);
      kinds[is]?.(repository, at);
    }
  }

  it('comes back, whatever was there and whatever is there now; undo and redo go to and fro', () => {
    const repository = scene();
    const then = repository.hashTree();
    pitr(repository.path, ['snapshot']);
    change(repository);
    const now = repository.hashTree();
    restore(repository);
    expect(repository.hashTree()).toEqual(then);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual(now);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual(then);
  });

  it('is in the very next snapshot, whatever it replaces', () => {
    const repository = scene();
    pitr(repository.path, ['snapshot']);
    change(repository);
    const now = repository.hashTree();
    pitr(repository.path, ['snapshot']);
    repository.remove('things');
    restore(repository);
    expect(repository.hashTree()).toEqual(now);
  });
});

describe('what no snapshot holds', () => {
  it('an ignored file in the way of a recorded one is recorded first, and undo gives it back', () => {
    const repository = scratchRepository({ files: { 'secret.key': 'recorded\n' } });
    pitr(repository.path, ['snapshot']);
    repository.write('.gitignore', '*.key\n');
    repository.write('secret.key', 'in no snapshot\n', 0o600);
    const before = repository.hashTree();
    const refused = pitr(repository.path, ['restore', '--snapshot', 'latest'], { expectCode: 4 });
    expect(refused.stderr).toContain('secret.key');
    expect(repository.hashTree()).toEqual(before);
    restore(repository);
    expect(repository.read('secret.key')).toBe('recorded\n');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('secret.key')).toBe('in no snapshot\n');
    expect(repository.hashTree()).toContainEqual(expect.stringMatching(/^secret\.key file 600 /));
  });

  it('a folder of ignored files in the place of a recorded file stays; that is told, with exit 3', () => {
    const repository = scratchRepository({
      files: { '.gitignore': '*.log\n', thing: 'recorded\n', 'a.txt': 'a\n' },
    });
    pitr(repository.path, ['snapshot']);
    repository.remove('thing');
    repository.write('thing/x.log', 'in no snapshot\n');
    repository.write('a.txt', 'changed\n');
    const shown = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json'], {
      expectCode: 3,
    });
    expect(shown.json<Restored>().plan.protected).toEqual([
      { path: 'thing', reason: 'a folder that holds unrecorded files is in its place' },
    ]);
    expect(repository.read('thing/x.log')).toBe('in no snapshot\n');
    expect(repository.read('a.txt')).toBe('a\n');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('thing/x.log')).toBe('in no snapshot\n');
  });

  it('a pipe in the place of a recorded file stays; that is told, with exit 3', () => {
    const repository = scratchRepository({ files: { thing: 'recorded\n' } });
    pitr(repository.path, ['snapshot']);
    repository.remove('thing');
    execFileSync('mkfifo', [repository.resolve('thing')]);
    const before = repository.hashTree();
    const shown = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes'], { expectCode: 3 });
    expect(shown.stdout).toContain('thing');
    expect(repository.hashTree()).toEqual(before);
  });

  it('files that only the newer .gitignore ignores survive the restore of the older one', () => {
    const repository = scratchRepository({ files: { '.gitignore': '', 'a.txt': 'a\n' } });
    pitr(repository.path, ['snapshot']);
    repository.write('.gitignore', 'build/\n');
    repository.write('build/out.bin', 'an hour of work\n');
    restore(repository);
    expect(repository.read('.gitignore')).toBe('');
    expect(repository.read('build/out.bin')).toBe('an hour of work\n');
  });

  it('a file that was too large then is not deleted, and one that is too large now is not overwritten', () => {
    const repository = scratchRepository({ files: { 'grew.bin': 'small\n', 'a.txt': 'a\n' } });
    repository.git('config', 'pitr.maxFileSize', '1k');
    repository.write('large.bin', 'x'.repeat(2000));
    pitr(repository.path, ['snapshot']);
    repository.write('grew.bin', 'y'.repeat(2000));
    repository.write('large.bin', 'small now\n');
    repository.write('a.txt', 'changed\n');
    const { plan } = pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--json'], {
      expectCode: 3,
    }).json<Restored>();
    expect(plan.protected.map((entry) => entry.path)).toEqual(['grew.bin', 'large.bin']);
    expect(repository.read('grew.bin')).toBe('y'.repeat(2000));
    expect(repository.read('large.bin')).toBe('small now\n');
    expect(repository.read('a.txt')).toBe('a\n');
  });
});

describe('nothing is written through a symbolic link', () => {
  it('that stands in the place of a folder: the link is replaced, what it leads to is left alone', () => {
    const outside = scratchFolder();
    execFileSync('sh', ['-c', 'echo theirs > b.txt; echo more > more.txt'], { cwd: outside });
    const before = hashTree(outside);
    const repository = scratchRepository({ files: { 'dir/b.txt': 'ours\n' } });
    pitr(repository.path, ['snapshot']);
    repository.remove('dir');
    repository.symlink('dir', outside);
    restore(repository);
    expect(repository.read('dir/b.txt')).toBe('ours\n');
    expect(hashTree(outside)).toEqual(before);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual([`dir link 777 -> ${outside}`]);
    expect(hashTree(outside)).toEqual(before);
  });

  it('nor for one file of such a folder alone: it is left out, with exit 3, and nothing outside is changed', () => {
    const outside = scratchFolder();
    const repository = scratchRepository({ files: { 'dir/b.txt': 'ours\n' } });
    pitr(repository.path, ['snapshot']);
    repository.remove('dir');
    repository.symlink('dir', outside);
    const before = repository.hashTree();
    const args = ['restore', '--snapshot', 'latest', '--force', '--', 'dir/b.txt'];
    expect(pitr(repository.path, args, { expectCode: 3 }).stdout).toContain('leave alone    dir/b.txt');
    expect(repository.hashTree()).toEqual(before);
    expect(hashTree(outside)).toEqual([]);
  });
});

describe('names', () => {
  const names = [
    'plain.txt',
    '-n',
    '--force',
    ' leading and trailing ',
    'new\nline',
    'tab\there',
    'quote"back\\slash',
    "it's",
    '*',
    'gl[o]b?',
    ':colon',
    ':(top)magic',
    '!bang',
    '#hash',
    '~tilde',
    '$HOME',
    'ünï-日本-🎉',
    'e\u0301', // NFD
    '\u00e9', // NFC
    '...',
    '.gitx',
    'CON.txt',
    'x'.repeat(250),
    'folder with space/-x/in side',
  ];

  it('of all kinds come back byte for byte, also those that are not UTF-8', () => {
    const repository = scratchRepository();
    for (const [index, name] of names.entries()) repository.write(`d/${name}`, `${index}\n`);
    execFileSync('sh', ['-c', `printf bad > "d/$(printf 'bad\\377name')"`], { cwd: repository.path });
    const then = repository.hashTree();
    pitr(repository.path, ['snapshot']);
    repository.remove('d');
    repository.write('other', '');
    restore(repository);
    expect(repository.hashTree()).toEqual(then);
    expect(then.length).toBeGreaterThan(names.length);
  });

  it('one at a time, as paths after --, when git is told to take them literally', () => {
    const repository = scratchRepository({
      files: Object.fromEntries(names.map((name) => [name, 'then\n'])),
    });
    const { snapshot } = pitr(repository.path, ['snapshot', '--json']).json<{ snapshot: { id: string } }>();
    for (const name of names) repository.write(name, 'now\n');
    const odd = ['-n', '--force', '*', 'gl[o]b?', ':colon', ':(top)magic', '!bang', 'new\nline'];
    for (const [index, name] of odd.entries()) {
      pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--force', '--', `:(literal)${name}`]);
      const restored = names.filter((other) => repository.read(other) === 'then\n');
      expect(restored.toSorted()).toEqual(odd.slice(0, index + 1).toSorted());
    }
    for (const name of ['-n', ':(top)magic', 'gl[o]b?']) {
      const args = ['list', '--json', '--path', `./${name}`];
      // The first snapshot, the safety snapshot with the changes, and a later one with this path restored.
      expect(pitr(repository.path, args).json<{ snapshots: unknown[] }>().snapshots).toHaveLength(3);
    }
  });
});

it('patterns and exclusions restore what git would match, and nothing else', () => {
  const files = ['a.txt', 'b.md', 'src/a.txt', 'src/deep/a.txt', 'src/deep/b.md', 'test/a.txt'];
  const repository = scratchRepository({ files: Object.fromEntries(files.map((file) => [file, 'then\n'])) });
  const { snapshot } = pitr(repository.path, ['snapshot', '--json']).json<{ snapshot: { id: string } }>();
  const restored = (...paths: string[]) => {
    for (const file of files) repository.write(file, 'now\n');
    pitr(repository.path, ['restore', '--snapshot', snapshot.id, '--force', '--', ...paths]);
    return files.filter((file) => repository.read(file) === 'then\n');
  };
  expect(restored('*.md')).toEqual(['b.md', 'src/deep/b.md']);
  expect(restored(':(glob)*.md')).toEqual(['b.md']);
  expect(restored('src')).toEqual(['src/a.txt', 'src/deep/a.txt', 'src/deep/b.md']);
  expect(restored('src/')).toEqual(['src/a.txt', 'src/deep/a.txt', 'src/deep/b.md']);
  expect(restored('src', ':!src/deep')).toEqual(['src/a.txt']);
  expect(restored(':(glob)**/deep/*.txt')).toEqual(['src/deep/a.txt']);
  expect(restored('a.txt', 'test')).toEqual(['a.txt', 'test/a.txt']);
  expect(restored(':(icase)SRC/A.TXT')).toEqual(['src/a.txt']);
});

it('a restore of paths deletes what was not there then within these paths, and nowhere else', () => {
  const repository = scratchRepository({ files: { 'src/a.txt': 'a\n', 'test/b.txt': 'b\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.write('src/new.txt', 'new\n');
  repository.write('test/new.txt', 'new\n');
  const { plan } = restore(repository, '--', 'src');
  expect(plan.delete.map((entry) => entry.path)).toEqual(['src/new.txt']);
  expect(repository.read('test/new.txt')).toBe('new\n');
  pitr(repository.path, ['undo']);
  expect(repository.read('src/new.txt')).toBe('new\n');
});

it('--keep-new leaves what is new and --into writes beside; neither touches the rest', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\n');
  repository.write('new.txt', 'new\n');
  const before = everything(repository.path);
  const out = `${scratchFolder()}/deep/out`;
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--into', out]);
  expect(everything(repository.path)).toEqual(before);
  expect(hashTree(out).map((line) => line.split(' ')[0])).toEqual(['a.txt']);
  restore(repository, '--keep-new');
  expect(repository.read('a.txt')).toBe('a\n');
  expect(repository.read('new.txt')).toBe('new\n');
});
