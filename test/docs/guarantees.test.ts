import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { read, root } from './pages.ts';

test('every test that docs/guarantees.md names is there', () => {
  const page = read('docs/guarantees.md');
  const named = [...page.matchAll(/`(test\/[^`]+)`/g)].flatMap(([, name = '']) => spelledOut(name));
  expect(named.length).toBeGreaterThan(30);
  for (const name of named) expect(existsSync(path.join(root, name)) ? name : 'nowhere').toBe(name);
});

/** `a/{b,c}.ts` is `a/b.ts` and `a/c.ts`. */
function spelledOut(name: string): string[] {
  const [, before = '', list = '', after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? [];
  return list === '' ? [name] : list.split(',').map((part) => `${before}${part}${after}`);
}
