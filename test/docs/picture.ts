/** The picture in README.md: a restore, a dry run before it and an undo after it, as a real terminal shows them. */
import type { Run } from '../support/terminal.ts';
import { onTerminal } from '../support/terminal.ts';
import { shellWords } from '../support/shell-words.ts';
import { Session } from './session.ts';

export const pictureFile = 'docs/pictures/restore.svg';

const columns = 98;

const before = [
  'git pitr snapshot -m "all tests pass"',
  'echo "export const answer = 41;" > src/app.ts',
  'echo "to do" > notes.txt',
  'rm README.md',
];

const commands: readonly { line: string; answers: readonly string[] }[] = [
  { line: 'git pitr restore --at "10 minutes ago" --dry-run', answers: [] },
  { line: 'git pitr restore --at "10 minutes ago"', answers: ['y\r'] },
  { line: 'git pitr undo', answers: ['y\r'] },
];

/** The picture as it should be now. */
export async function renderPicture(): Promise<string> {
  const session = await Session.begin();
  try {
    for (const command of before) await session.runWell(command);
    session.later(15);
    const lines: Run[][] = [];
    for (const { line, answers } of commands) {
      session.later(1);
      const [, , ...args] = shellWords(line);
      const env = session.environment();
      const result = await onTerminal(session.worktree, args, { env, columns, answers });
      if (result.code !== 0) throw new Error(`${line} ended with ${result.code}:\n${result.text}`);
      lines.push([{ text: '$ ', dim: true }, { text: line }], ...result.lines, []);
    }
    return svg(
      lines.slice(0, -1).map((runs) => runs.map((run) => ({ ...run, text: session.shown(run.text) }))),
    );
  } finally {
    session.dispose();
  }
}

const fontSize = 14;
const cell = 8.4;
const lineHeight = 20;
const margin = 16;
const background = '#1c2128';
const foreground = '#d1d7e0';
/** The first eight colours of a terminal. */
const palette = ['#545d68', '#f47067', '#57ab5a', '#e0b34e', '#6cb6ff', '#b083f0', '#39c5cf', '#d1d7e0'];

function svg(lines: readonly (readonly Run[])[]): string {
  const width = Math.ceil(columns * cell) + 2 * margin;
  const height = lines.length * lineHeight + 2 * margin;
  const rows = lines.map((runs, row) => text(runs, margin + (row + 0.75) * lineHeight)).filter(Boolean);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>git pitr restore --dry-run, git pitr restore and git pitr undo in a terminal</title>',
    `<rect width="100%" height="100%" rx="6" fill="${background}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${fontSize}" fill="${foreground}" xml:space="preserve">`,
    ...rows,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

/** One line; every run has a place of its own, so that columns stay columns in any font. */
function text(runs: readonly Run[], y: number): string {
  let column = 0;
  const parts = runs.map(({ text, colour, dim }) => {
    const x = (margin + column * cell).toFixed(1);
    column += text.length;
    const paint = colour === undefined ? '' : ` fill="${palette[colour % 8]}"`;
    return text.trim() === ''
      ? ''
      : `<tspan x="${x}"${paint}${dim === true ? ' opacity="0.6"' : ''}>${escaped(text)}</tspan>`;
  });
  const joined = parts.join('');
  return joined === '' ? '' : `<text y="${y}">${joined}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
