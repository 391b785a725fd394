import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { forge, type RawEntry, type RawTree } from './support/forge.ts';
import { expectRefused, tried, victim, type Victim } from './support/victim.ts';

/** Names that some file system or git takes for a git directory, or that lead out of the worktree. */
const names: [name: string, why: string][] = [
  ['.git', 'git directory'],
  ['.GIT', 'git directory'],
  ['.gIt', 'git directory'],
  ['git~1', 'git directory'],
  ['GIT~1', 'git directory'],
  ['.git ', 'git directory'],
  ['.git.', 'git directory'],
  ['.git . .', 'git directory'],
  ['.git::$INDEX_ALLOCATION', 'git directory'],
  ['.git:stream', 'git directory'],
  ['.g\u200cit', 'git directory'],
  ['\ufeff.git', 'git directory'],
  ['.gi\u202et', 'git directory'],
  ['x\\.git', 'git directory'],
  ['.', '"."'],
  ['..', '".."'],
  ['', 'empty filename'],
  ['../outside/x', '".."'],
  ['a/../../outside/x', '".."'],
  ['/etc/git-pitr-was-here', 'absolute path|empty name'],
  ['.git/hooks/post-checkout', 'git directory'],
];

const evil = '#!/bin/sh\necho evil\n';

/** Each place in a tree where the name could do harm. */
const shapes: [shape: string, make: (name: string) => RawTree][] = [
  ['a file', (name) => [{ name, content: evil }]],
  [
    'a folder',
    (name) => [{ name, content: [{ name: 'hooks', content: [{ name: 'post-checkout', content: evil }] }] }],
  ],
  ['a link', (name) => [{ mode: '120000', name, content: '../outside' }]],
  ['in a folder', (name) => [{ name: 'sub', content: [{ name, content: evil }] }]],
];

/** Every way in which a person could fall for it. */
const ways: readonly string[][] = [
  ['--yes', '--force'],
  ['--dry-run'],
  ['--all', '--staged', '--yes', '--force'],
];

/** Every one with PITR_CAMPAIGN=1 (`.ci/run`); else each in its turn. */
const campaign = process.env['PITR_CAMPAIGN'] === '1';
let turn = 0;

function inTurn<Item>(items: readonly Item[]): readonly Item[] {
  return campaign ? items : items.filter((_, at) => at === turn % items.length);
}

function tryAll(where: Victim, id: string, codes: readonly number[], words: RegExp): void {
  const into = path.join(where.around, 'into');
  for (const way of inTurn([...ways, ['--into', into]]))
    expectRefused(where, ['restore', '--snapshot', id, ...way], codes, words);
  expect(existsSync(into)).toBe(false);
  turn++;
}

describe('a snapshot with a name that must never be written is refused by that name', () => {
  it.each(names)('%j', (name, why) => {
    const where = victim();
    for (const [, make] of shapes) {
      const { id } = forge(where.repository, {
        files: [...make(name), { name: 'good.txt', content: 'good' }],
      });
      // git itself does not read a tree with a name of no length.
      const codes = name === '' ? [7] : [4];
      tryAll(where, id, codes, new RegExp(why.replace(/[."]/g, '\\$&')));
      expect(existsSync(path.join(where.repository.path, 'good.txt'))).toBe(false);
    }
    expectRefused(where, ['show', 'latest'], [0]);
    expectRefused(where, ['diff', 'latest'], [0, 4, 7]);
    expect(existsSync('/etc/git-pitr-was-here')).toBe(false);
  });

  it.each(names.filter(([name]) => name !== ''))('in the index: %j', (name) => {
    const where = victim();
    for (const [, make] of inTurn(shapes)) {
      turn++;
      const { id } = forge(where.repository, {
        files: [{ name: 'a.txt', content: 'a\n' }],
        staged: make(name),
      });
      const staged = ['restore', '--snapshot', id, '--staged'];
      expectRefused(where, [...staged, '--yes', '--force'], [4, 7]);
      if (campaign) expectRefused(where, [...staged, '--dry-run'], [4, 7]);
    }
  });
});

describe('state files that name places outside the worktree', () => {
  const places = [
    '../outside/new',
    '/tmp/git-pitr-was-here',
    '.git/new',
    'a/../../new',
    '.GIT/new',
    '""',
    '.',
  ];

  it.each(places)('an empty folder at %j is refused', (place) => {
    const where = victim();
    const { id } = forge(where.repository, { files: honest, state: { 'empty-dirs': `${place}\n` } });
    for (const way of ways.slice(0, 2)) expectRefused(where, ['restore', '--snapshot', id, ...way], [4, 7]);
    expectRefused(where, ['restore', '--snapshot', id, '--into', path.join(where.around, 'into')], [4, 7]);
    expect(existsSync('/tmp/git-pitr-was-here')).toBe(false);
  });

  it.each(['../secret.txt', '.git/config', path.join('..', 'outside')])(
    'permissions for %j change nothing there',
    (place) => {
      const where = victim();
      const { id } = forge(where.repository, {
        files: honest,
        state: { permissions: `777 ${place}\n4777 a.txt\n` },
      });
      expectRefused(where, ['restore', '--snapshot', id, '--yes', '--force'], [0, 3, 4, 7]);
    },
  );

  it('permissions never set the bits that lend a user’s rights', () => {
    const where = victim();
    const files: RawTree = [...honest, { name: 'tool', content: 'x' }];
    const { id } = forge(where.repository, { files, state: { permissions: '4755 tool\n2755 a.txt\n' } });
    tried.inputs++;
    pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--force'], { expectCode: 'any' });
    const modes = where.repository.hashTree().filter((line) => /^(tool|a\.txt) /.test(line));
    expect(modes.filter((line) => /file [2467]\d\d\d /.test(line))).toEqual([]);
  });

  it.each(['../outside', '.git', '/tmp'])('a nested repository at %j is not looked into', (place) => {
    const where = victim();
    const commit = where.repository.git('rev-parse', 'HEAD');
    const { id } = forge(where.repository, { files: honest, state: { gitlinks: `${commit} ${place}\n` } });
    expectRefused(where, ['restore', '--snapshot', id, '--yes', '--force'], [0, 3, 4, 7]);
  });

  it.each(['../x', '.git/config', '/tmp/x'])('a conflict at %j never reaches the index', (place) => {
    const where = victim();
    const oid = where.repository.git('rev-parse', 'HEAD:a.txt');
    const lines = [1, 2, 3].map((stage) => `100644 ${oid} ${stage}\t${place}\n`).join('');
    const { id } = forge(where.repository, { files: honest, state: { conflicts: lines } });
    expectRefused(where, ['restore', '--snapshot', id, '--staged', '--yes', '--force'], [4, 7]);
  });

  it.each([
    ['binary noise', Buffer.from([0, 255, 254, 10, 13, 34, 92])],
    ['lines without end', Buffer.alloc(1024 * 1024, 'x')],
    ['a million lines', Buffer.from('777 x\n'.repeat(1_000_000))],
  ])('%s in every state file never ends in a crash', (_, noise) => {
    const where = victim();
    const names = ['refs', 'permissions', 'empty-dirs', 'gitlinks', 'conflicts', 'index-flags', 'staged'];
    const state = Object.fromEntries(names.map((name) => [name, noise]));
    const { id } = forge(where.repository, { files: honest, state });
    const { stderr } = expectRefused(
      where,
      ['restore', '--snapshot', id, '--staged', '--dry-run'],
      [0, 3, 4, 7],
    );
    expect(stderr).not.toMatch(/at .*\.js:\d|TypeError|RangeError/);
  });
});

describe('symbolic links as a way out', () => {
  it('a name that is both a link and a folder: nothing is written through the link', () => {
    const where = victim();
    const link: RawEntry = { mode: '120000', name: 'door', content: '../outside' };
    const folder: RawEntry = { name: 'door', content: [{ name: 'x', content: evil }] };
    for (const files of [
      [link, folder],
      [folder, link],
    ]) {
      const { id } = forge(where.repository, { files });
      tried.inputs++;
      pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--force'], { expectCode: 'any' });
      expect(outside(where)).toEqual(['outside too']);
      pitr(where.repository.path, ['restore', '--snapshot', id, '--into', path.join(where.around, 'into')], {
        expectCode: 'any',
      });
      expect(outside(where)).toEqual(['outside too']);
      pitr(where.repository.path, ['undo', '--yes', '--force'], { expectCode: 'any' });
    }
  });

  it('a link in the worktree where the snapshot has a folder is replaced itself', () => {
    const where = victim();
    const { id } = forge(where.repository, {
      files: [...honest, { name: 'door', content: [{ name: 'x', content: 'restored' }] }],
    });
    symlinkSync('../outside', where.repository.resolve('door'));
    tried.inputs++;
    pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--force']);
    expect(outside(where)).toEqual(['outside too']);
    expect(where.repository.read('door/x')).toBe('restored');
  });

  it('an ignored link in the worktree is not written through', () => {
    const where = victim();
    where.repository.write('.gitignore', 'door\n');
    const { id } = forge(where.repository, {
      files: [
        { name: '.gitignore', content: 'door\n' },
        { name: 'door', content: [{ name: 'x', content: 'evil' }] },
      ],
    });
    symlinkSync('../outside', where.repository.resolve('door'));
    tried.inputs++;
    pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--force'], { expectCode: 'any' });
    expect(outside(where)).toEqual(['outside too']);
  });

  it('a file and a folder of one name: refused or one of them, and undo brings back what was there', () => {
    const where = victim();
    const before = where.repository.hashTree();
    const { id } = forge(where.repository, {
      files: [
        { name: 'both', content: 'file' },
        { name: 'both', content: [{ name: 'x', content: 'folder' }] },
      ],
    });
    tried.inputs++;
    const { code } = pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--force'], {
      expectCode: 'any',
    });
    if (code === 0 || code === 3) pitr(where.repository.path, ['undo', '--yes', '--force']);
    expect(where.repository.hashTree()).toEqual(before);
  });

  it('a database whose recorded path is a link out of the worktree is never written', () => {
    const where = victim();
    const { id } = forge(where.repository, {
      files: honest,
      databases: [
        {
          name: 'app',
          content: [
            { name: 'image', content: [{ name: '0000', content: [{ name: '0000', content: 'x' }] }] },
          ],
        },
      ],
      note: {
        databases: [
          { name: 'app', engine: 'sqlite', bytes: 1, sha256: '0'.repeat(64), path: '../secret.txt' },
        ],
      },
    });
    expectRefused(where, ['restore', '--snapshot', id, '--all', '--yes', '--force'], [0, 3, 4, 5, 7]);
    expectRefused(where, ['restore', '--snapshot', id, '--db', 'app', '--yes', '--force'], [4, 5, 7]);
  });
});

const honest: RawTree = [
  { name: 'a.txt', content: 'a\n' },
  { name: 'dir', content: [{ name: 'b.txt', content: 'b\n' }] },
];

function outside({ around }: Victim): string[] {
  const folder = path.join(around, 'outside');
  expect(readdirSync(folder)).toEqual(['x']);
  return [readFileSync(path.join(folder, 'x'), 'utf8')];
}

afterAll(() => console.log(`hostile names: ${tried.inputs} inputs tried, 0 written outside the plan`));
