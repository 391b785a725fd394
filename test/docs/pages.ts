/** The pages of docs/, and everything in them that is made by the program: `npm run docs` writes it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { manPage } from '../../src/cli/manual.ts';
import { commandReference } from '../../src/cli/reference.ts';
import { withSessions } from './session.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

export interface Page {
  /** From the top of the repository. */
  file: string;
  title: string;
}

/** The pages in the order in which docs/README.md lists them: the chain of Previous and Next. */
export function chain(): Page[] {
  const index = read('docs/README.md');
  const listed = [...index.matchAll(/^\d+\. \[(.+?)\]\((.+?)\)/gm)];
  const title = /^# (.+)$/m.exec(index)?.[1] ?? '';
  return [
    { file: 'docs/README.md', title },
    ...listed.map(([, name = '', file = '']) => ({ file: `docs/${file}`, title: name })),
  ];
}

/** Every page there is: decisions are a folder of their own, with no chain. */
export function allPages(): string[] {
  return readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
}

/** A page as it should be now. */
export async function renderPage({ file }: Page): Promise<string> {
  const page = file === 'docs/commands.md' ? commandReference() : read(file);
  return withNavigation(await withSessions(page), file);
}

export function renderManPage(): string {
  return manPage(packageJson.version);
}

const navigation = /^(?:Previous|Next): \[.*\]\(.*\)\n/;

/** The links to the pages before and after, below the title and at the end. */
function withNavigation(page: string, file: string): string {
  const pages = chain();
  const at = pages.findIndex((candidate) => candidate.file === file);
  const link = (word: string, to: Page | undefined) =>
    to === undefined ? [] : [`${word}: [${to.title}](${path.relative('docs', to.file)})`];
  const line = [...link('Previous', pages[at - 1]), ...link('Next', pages[at + 1])].join(' | ');
  const lines = page.trimEnd().split('\n');
  const body = lines.filter((text) => !navigation.test(`${text}\n`));
  const [title = '', ...rest] = body;
  return `${title}\n\n${line}\n\n${rest.join('\n').trim()}\n\n${line}\n`;
}

export function write(file: string, content: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), content);
}
