/** Names and kinds that change places: links and folders, case, Unicode forms, and names at the limits. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { fsck, recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

function plain(): TestRepository {
  return scratchRepository({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n', 'dir/sub/c.txt': 'c\n' },
    commit: true,
  });
}

test('a link becomes a folder and back, tracked and untracked, and nothing is written through it', () => {
  const repository = plain();
  const outside = scratchFolder();
  writeFileSync(path.join(outside, 'b.txt'), 'outside\n');
  const before = hashTree(outside);
  repository.symlink('tracked-link', outside);
  repository.commit('link');
  repository.symlink('link', outside);
  roundTrip(repository.path, () => {
    for (const name of ['tracked-link', 'link']) {
      repository.remove(name);
      repository.write(`${name}/b.txt`, 'inside\n');
    }
    repository.remove('dir');
    repository.symlink('dir', outside);
  });
  expect(hashTree(outside)).toEqual(before);
  expect(lstatSync(repository.resolve('link')).isSymbolicLink()).toBe(true);
});

test('a folder becomes a file and back, with empty and ignored things in it', () => {
  const repository = plain();
  repository.write('.gitignore', '*.o\n');
  mkdirSync(repository.resolve('dir/empty'));
  const { plan } = roundTrip(repository.path, () => {
    repository.remove('dir');
    repository.write('dir', 'a file now\n', 0o755);
    repository.remove('a.txt');
    mkdirSync(repository.resolve('a.txt/nothing'), { recursive: true });
  });
  expect(plan.create.map((entry) => entry.path)).toEqual(['a.txt', 'dir/b.txt', 'dir/sub/c.txt']);
});

test.each([
  ['a file', 'Readme.md', 'README.md'],
  ['a folder', 'Docs/x.md', 'docs/x.md'],
])('a case-only rename of %s', (_, from, to) => {
  const repository = plain();
  repository.write(from, 'text\n');
  repository.commit('named');
  const { plan } = roundTrip(repository.path, () => {
    const parts = (name: string) => repository.resolve(name.split('/')[0] ?? name);
    renameSync(parts(from), parts(to));
  });
  expect(plan.create.map((entry) => entry.path)).toEqual([from]);
  expect(plan.delete.map((entry) => entry.path)).toEqual([to]);
});

test.each([['true'], ['false']])(
  'names that differ in case only, side by side, core.ignoreCase=%s',
  (value) => {
    const repository = plain();
    for (const name of ['readme', 'README', 'ReadMe', 'Folder/x', 'folder/x', 'FOLDER/y'])
      repository.write(name, `${name}\n`);
    repository.git('config', 'core.ignoreCase', 'false');
    repository.commit('cases');
    repository.git('config', 'core.ignoreCase', value);
    repository.write('ReadME', 'untracked\n');
    const { plan } = roundTrip(repository.path, () => {
      repository.write('README', 'changed\n');
      repository.remove('readme');
      repository.remove('folder');
      repository.write('fOLDER/z', 'new\n');
      repository.remove('ReadME');
    });
    expect(plan.create.map((entry) => entry.path)).toEqual(['ReadME', 'folder/x', 'readme']);
  },
);

test('the NFC and the NFD form of a name are two names, and each keeps its content', () => {
  const repository = plain();
  const [nfc, nfd] = ['\u00e9'.normalize('NFC'), '\u00e9'.normalize('NFD')];
  repository.write(`${nfc}.txt`, 'composed\n');
  repository.write(`${nfd}.txt`, 'decomposed\n');
  repository.write(`${nfd}/x.txt`, 'below\n');
  repository.commit('forms');
  repository.write(`untracked-${nfd}.txt`, 'mine\n');
  const { plan } = roundTrip(repository.path, () => {
    repository.write(`${nfc}.txt`, 'changed\n');
    repository.remove(`${nfd}.txt`);
    renameSync(repository.resolve(`untracked-${nfd}.txt`), repository.resolve(`untracked-${nfc}.txt`));
  });
  expect(plan.create.map((entry) => entry.path)).toEqual([`${nfd}.txt`, `untracked-${nfd}.txt`].toSorted());
  expect(readdirSync(repository.path)).toEqual(expect.arrayContaining([`${nfc}.txt`, `${nfd}.txt`]));
  const found = pitr(repository.path, ['restore', '--snapshot', 'latest', '--dry-run', '--', `${nfd}.txt`]);
  expect(found.stdout).toContain('0 to create');
});

/** A path of exactly `bytes` bytes below `prefix`, in names of at most 255. */
function longPath(prefix: string, bytes: number): string {
  let file = prefix;
  while (bytes - file.length > 256) file += `/${'n'.repeat(Math.min(200, bytes - file.length - 2))}`;
  return `${file}/${'f'.repeat(bytes - file.length - 1)}`;
}

/** Changes to the folder step by step: one system call takes no path of 4,096 bytes. */
function atDepth<T>(root: string, file: string, act: (name: string) => T, make = false): T {
  const names = file.split('/');
  const last = names.pop() ?? '';
  const back = process.cwd();
  try {
    process.chdir(root);
    for (const name of names) {
      if (make && !existsSync(name)) mkdirSync(name);
      process.chdir(name);
    }
    return act(last);
  } finally {
    process.chdir(back);
  }
}

test.each([
  ['as long as the kernel takes it with the worktree before it', 4095],
  ['of 4,000 bytes below the worktree, where the whole is longer than one call takes', 0],
])('a path %s', (_, whole) => {
  const repository = plain();
  const file = longPath('deep', whole === 0 ? 4000 : whole - repository.path.length - 1);
  const write = (content: string) => {
    atDepth(repository.path, file, (name) => writeFileSync(name, content), true);
  };
  write('deep down\n');
  repository.write('a.txt', 'mine\n');
  const { snapshot: taken } = snapshot(repository.path);
  const recorded = recordedFiles(repository.path, taken.commit).has(file);
  // Either it is in the snapshot and comes back, or the snapshot says that it is not, and it stays.
  if (!recorded) expect(taken.skipped.map((entry) => entry.path)).toEqual([expect.stringMatching(/^deep/)]);
  write('changed\n');
  repository.write('a.txt', 'changed\n');
  restore(repository.path, ['--snapshot', taken.id]);
  expect(repository.read('a.txt')).toBe('mine\n');
  expect(atDepth(repository.path, file, (name) => readFileSync(name, 'utf8'))).toBe(
    recorded ? 'deep down\n' : 'changed\n',
  );
  fsck(repository.path);
  expect(recorded || whole === 0).toBe(true);
});

test('names of 255 bytes, of every odd character, and hidden ones', () => {
  const repository = plain();
  const names = [
    'x'.repeat(255),
    '\u65e5'.repeat(85),
    ' leading and trailing ',
    '-rf',
    '--',
    '~',
    '$HOME',
    '`id`',
    '*',
    '?',
    '[a]',
    '!important',
    '#comment',
    ':(top)x',
    'back\\slash',
    'tab\tnew\nline\rreturn',
    '"quoted"',
    "'single'",
    '\x01\x02\x7f',
    '..hidden',
    '...',
    '.git-pitr',
    '.gitkeep',
    'con.txt',
    'name.',
    'a:b',
  ];
  for (const name of names) repository.write(`odd/${name}`, `${name}\n`);
  const { snapshot: taken, plan } = roundTrip(repository.path, () => {
    for (const name of names) repository.write(`odd/${name}`, 'changed\n');
    repository.remove('odd/*');
    repository.write('odd/new*', 'new\n');
  });
  expect(taken.files).toBe(3 + names.length);
  expect(plan.overwrite).toHaveLength(names.length - 1);
  // One by one, named as a person would, they are files and not patterns.
  for (const name of ['*', '[a]', '-rf', 'back\\slash']) {
    repository.write(`odd/${name}`, 'changed\n');
    pitr(repository.path, ['restore', '--snapshot', taken.id, '--yes', '--', `:(literal)odd/${name}`]);
    expect(repository.read(`odd/${name}`)).toBe(`${name}\n`);
  }
});

test('bytes that are no UTF-8 survive in names of files, folders and link targets', () => {
  const repository = plain();
  const at = (...bytes: number[]) => Buffer.concat([Buffer.from(`${repository.path}/`), Buffer.from(bytes)]);
  const folder = at(0x66, 0xff);
  mkdirSync(folder);
  writeFileSync(Buffer.concat([folder, Buffer.from([0x2f, 0xfe])]), 'in it\n');
  writeFileSync(at(0xc3, 0x28), 'file\n');
  const { plan } = roundTrip(repository.path, () => {
    writeFileSync(at(0xc3, 0x28), 'changed\n');
    rmSync(folder, { recursive: true });
    writeFileSync(at(0x80), 'new\n');
  });
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['"\\303("']);
  expect(plan.delete.map((entry) => entry.path)).toEqual(['"\\200"']);
});

test('a folder of 10,000 entries: one changed, one gone, one new, and all of it restored at once', () => {
  const repository = plain();
  mkdirSync(repository.resolve('many'));
  for (let turn = 0; turn < 10_000; turn++) writeFileSync(repository.resolve(`many/${turn}`), `${turn}\n`);
  const { snapshot: taken } = snapshot(repository.path);
  expect(taken.files).toBe(10_003);
  const before = hashTree(repository.path);
  repository.write('many/5000', 'changed\n');
  repository.remove('many/7');
  repository.write('many/new', 'new\n');
  const few = restore(repository.path, ['--snapshot', taken.id]).plan;
  expect([few.create.length, few.overwrite.length, few.delete.length]).toEqual([1, 1, 1]);
  expect(hashTree(repository.path)).toEqual(before);
  repository.remove('many');
  const all = restore(repository.path, ['--snapshot', taken.id]).plan;
  expect(all.create).toHaveLength(10_000);
  expect(hashTree(repository.path)).toEqual(before);
  pitr(repository.path, ['undo', '--yes']);
  expect(existsSync(repository.resolve('many'))).toBe(false);
}, 300_000);

test('folders nested 300 deep, empty and not', () => {
  const repository = plain();
  const deep = Array.from({ length: 300 }, (_, level) => `d${level % 10}`).join('/');
  mkdirSync(repository.resolve(`empty/${deep}`), { recursive: true });
  repository.write(`full/${deep}/x.txt`, 'x\n');
  const { plan } = roundTrip(repository.path, () => {
    repository.remove('empty');
    repository.remove('full');
  });
  expect(plan.directories.create).toEqual([`empty/${deep}`]);
});

test('a folder that became a link to a repository, the worktree itself even, is a link', () => {
  const repository = plain();
  const { plan } = roundTrip(repository.path, () => {
    repository.remove('dir');
    repository.symlink('dir', '.');
  });
  expect(plan.delete.map((entry) => entry.path)).toEqual(['dir']);
  expect(plan.create.map((entry) => entry.path)).toEqual(['dir/b.txt', 'dir/sub/c.txt']);
});
