import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCommand } from '../../src/cli/commands.ts';
import { parse } from '../../src/cli/parse.ts';
import { shellWords } from '../support/shell-words.ts';
import { allPages, chain, read, renderPage, root } from './pages.ts';

const pages = chain();
const markdown = [
  'README.md',
  'CHANGELOG.md',
  ...allPages(),
  ...readdirSync(path.join(root, 'docs/decisions')).map((name) => `docs/decisions/${name}`),
];

/** The anchors that GitHub gives to the headings of a page. */
function anchors(file: string): string[] {
  const headings = read(file).matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('every page of docs is in the chain of Previous and Next that begins at docs/README.md', () => {
  expect(pages.map(({ file }) => file).toSorted()).toEqual(allPages().toSorted());
  expect(pages.length).toBeGreaterThan(8);
});

describe.concurrent('what a page shows of the program is what the program does now (npm run docs writes it)', () => {
  // A page is dozens of processes, and all pages run at once.
  const timeout = 180_000;
  test.each(pages.map((page) => [page.file, page] as const))(
    '%s',
    async (file, page) => {
      expect(await renderPage(page)).toBe(read(file));
    },
    timeout,
  );
});

test.each(markdown.map((file) => [file]))('every relative link of %s leads somewhere', (file) => {
  for (const [, target = ''] of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [to = '', anchor] = target.split('#');
    const found = to === '' ? file : path.join(path.dirname(file), to);
    expect(existsSync(path.join(root, found)) ? target : 'nowhere').toBe(target);
    if (anchor !== undefined) expect(anchors(found)).toContain(anchor);
  }
});

/** The git pitr commands of fenced examples: of a whole line, or of a part of one. */
function examples(file: string): string[] {
  const blocks = [...read(file).matchAll(/^```(console|sh)\n([^]*?)^```$/gm)];
  return blocks.flatMap(([, language, block = '']) =>
    block
      .split('\n')
      .filter((line) => language === 'sh' || line.startsWith('$ '))
      .flatMap((line) => /git pitr [^|;&>]*(?<! 2)/.exec(line.replace(/#.*/, '')) ?? [])
      .map((command) => command.trim()),
  );
}

test('every example names a command and options that there are', async () => {
  const all = markdown.flatMap((file) => examples(file).map((example) => ({ file, example })));
  expect(all.length).toBeGreaterThan(50);
  for (const { example } of all) {
    const [, , name = '', ...argv] = shellWords(example);
    const command = findCommand(name);
    expect(command?.name).toBe(name);
    if (command !== undefined) await parse(command, argv);
  }
});
