/** `PITR_GOLDEN=write npx vitest run test/retention` writes the decisions anew; read them before they are committed. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { answer, parseCases, printCases } from './golden.ts';

const folder = path.join(import.meta.dirname, 'cases');
const files = readdirSync(folder).map((name) => path.join(folder, name));

if (process.env['PITR_GOLDEN'] === 'write') {
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const cases = parseCases(text);
    for (const one of cases) one.expected = await answer(one);
    writeFileSync(file, printCases(text.slice(0, text.indexOf('== ')), cases));
  }
}

describe.each(files.map((file) => [path.basename(file, '.txt'), file] as const))('%s', (_, file) => {
  test.each(parseCases(readFileSync(file, 'utf8')).map((one) => [one.name, one] as const))(
    '%s',
    async (_name, one) => {
      expect(await answer(one)).toEqual(one.expected);
      expect(one.expected.length).toBeGreaterThan(0);
    },
  );
});

test('there are at least 60 cases', () => {
  const all = files.flatMap((file) => parseCases(readFileSync(file, 'utf8')));
  expect(all.length).toBeGreaterThanOrEqual(60);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});
