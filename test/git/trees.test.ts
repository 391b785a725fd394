import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findRepository } from '../../src/git/repository.ts';
import { diffTrees } from '../../src/git/trees.ts';
import { scratchRepository } from '../support/scratch.ts';

async function paths(of: AsyncIterable<{ path: string }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of of) found.push(path);
  return found;
}

test('a comparison names every path that differs, also ones that look like git output', async () => {
  const odd = [':100644 x', 'a\nb', ' lead', '-dash'];
  const repository = scratchRepository({
    files: Object.fromEntries(odd.map((name) => [name, '1'])),
    commit: true,
  });
  const found = await findRepository(repository.path);
  const tree = repository.git('rev-parse', 'HEAD^{tree}');
  expect((await paths(diffTrees(found, '', tree))).toSorted()).toEqual(odd.toSorted());
  expect(await paths(diffTrees(found, tree, tree))).toEqual([]);
});

test('a comparison with a tree that is not there is an error, never "no difference"', async () => {
  const repository = scratchRepository({ files: { 'd/a.txt': '1' }, commit: true });
  const found = await findRepository(repository.path);
  const tree = repository.git('rev-parse', 'HEAD^{tree}');
  const absent = 'a'.repeat(40);
  await expect(paths(diffTrees(found, tree, absent))).rejects.toThrow(/cannot read/);
  await expect(paths(diffTrees(found, absent, tree))).rejects.toThrow(/cannot read/);
  const inner = repository.git('rev-parse', 'HEAD:d');
  rmSync(repository.resolve(`.git/objects/${inner.slice(0, 2)}/${inner.slice(2)}`));
  await expect(paths(diffTrees(found, '', tree))).rejects.toThrow(
    /cannot read the trees .* unable to read tree/,
  );
});
