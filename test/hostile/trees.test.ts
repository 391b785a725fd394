import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { forge, type RawEntry, type RawTree } from './support/forge.ts';
import { expectRefused, tried, victim, type Victim } from './support/victim.ts';

/** Trees that are no honest tree. */
const trees: [what: string, files: (where: Victim) => RawTree][] = [
  [
    'a file whose content is a commit',
    ({ repository }) => [entry('x', { oid: repository.git('rev-parse', 'HEAD') })],
  ],
  [
    'a file whose content is a tree',
    ({ repository }) => [entry('x', { oid: repository.git('rev-parse', 'HEAD^{tree}') })],
  ],
  [
    'a folder that is a file',
    ({ repository }) => [
      { mode: '40000', name: 'x', content: { oid: repository.git('rev-parse', 'HEAD:a.txt') } },
    ],
  ],
  ['content that is not there', () => [entry('x', { oid: '1234567890'.repeat(4) })]],
  [
    'a folder that is not there',
    () => [{ mode: '40000', name: 'x', content: { oid: '1234567890'.repeat(4) } }],
  ],
  [
    'a link that is not there',
    () => [{ mode: '120000', name: 'x', content: { oid: '1234567890'.repeat(4) } }],
  ],
  ['a link with a NUL in its target', () => [{ mode: '120000', name: 'x', content: Buffer.from('a\0b') }]],
  ['a link without a target', () => [{ mode: '120000', name: 'x', content: '' }]],
  ['a link longer than any path', () => [{ mode: '120000', name: 'x', content: 'x/'.repeat(5000) }]],
  ['a name longer than a file system takes', () => [entry('n'.repeat(300), 'x')]],
  ['a path longer than a file system takes', () => nested(300, 'folder-of-some-length')],
];

const entry = (name: string, content: RawEntry['content']): RawEntry => ({ mode: '100644', name, content });

function nested(depth: number, name: string): RawTree {
  let tree: RawTree = [entry('bottom', 'x')];
  for (let level = 0; level < depth; level++) tree = [{ name, content: tree }];
  return tree;
}

describe('a tree that is no honest tree: an error that says so, and nothing changed', () => {
  it.each(trees)('%s', (_, files) => {
    const where = victim();
    const honest = where.repository.git('rev-parse', 'refs/pitr/main');
    const { id } = forge(where.repository, { files: files(where) });
    const { stderr } = expectRefused(where, ['restore', '--snapshot', id, '--yes', '--force'], [1, 4, 7]);
    expect(stderr).toMatch(/^error: .*\w/);
    expect(stderr).not.toMatch(/TypeError|RangeError|^\s+at |defect of git-pitr/m);
    const into = path.join(where.around, 'into');
    expectRefused(where, ['restore', '--snapshot', id, '--into', into], [1, 4, 7]);
    expect(existsSync(into)).toBe(false);
    // The honest one is as good as before.
    where.repository.write('a.txt', 'edited\n');
    pitr(where.repository.path, ['restore', '--snapshot', honest, '--yes', '--force']);
    expect(where.repository.read('a.txt')).toBe('a\n');
  });
});

it('a snapshot whose whole tree is not there is refused, and those before it are restored', () => {
  const where = victim();
  const { repository } = where;
  const honest = repository.git('rev-parse', 'refs/pitr/main');
  const { id, commit } = forge(repository, { files: [entry('a.txt', 'forged')] });
  const tree = repository.git('rev-parse', `${commit}^{tree}`);
  tried.inputs++;
  repository.remove(path.join('.git', 'objects', tree.slice(0, 2), tree.slice(2)));
  expectRefused(where, ['restore', '--snapshot', id, '--yes', '--force'], [1, 5, 7]);
  repository.write('a.txt', 'edited\n');
  pitr(repository.path, ['restore', '--snapshot', honest, '--yes', '--force', '--', 'a.txt']);
  expect(repository.read('a.txt')).toBe('a\n');
});

it('a thousand folders, one in the other, are restored and undone', () => {
  const { repository } = victim();
  const before = repository.hashTree();
  const { id } = forge(repository, { files: nested(1000, 'd') });
  tried.inputs++;
  pitr(repository.path, ['restore', '--snapshot', id, '--yes', '--force']);
  expect(repository.read(`${'d/'.repeat(1000)}bottom`)).toBe('x');
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.hashTree()).toEqual(before);
});

it('a state folder of folders, and state where files belong, are passed over or refused', () => {
  for (const state of [
    { name: 'state', content: [{ name: 'refs', content: [entry('x', 'y')] }] },
    entry('state', 'x'),
  ]) {
    const where = victim();
    const files: RawTree = [entry('a.txt', 'a\n'), { name: 'dir', content: [entry('b.txt', 'b\n')] }];
    const { repository } = where;
    const { id } = forge(repository, { files, root: [state] });
    expectRefused(where, ['restore', '--snapshot', id, '--staged', '--dry-run'], [0, 3, 4, 7]);
  }
});

afterAll(() => console.log(`hostile trees: ${tried.inputs} inputs tried, 0 lost`));
