/** Runs the built command on a real terminal: node-pty gives it one, and @xterm/headless draws what it prints. */
import path from 'node:path';
import xterm from '@xterm/headless';
import pty from 'node-pty';
import { cleanEnvironment } from './environment.ts';

const command = path.resolve(import.meta.dirname, '../../dist/git-pitr.cjs');

/** A run of characters of one look. Colours are those of the 16-colour palette; undefined is the default one. */
export interface Run {
  text: string;
  colour?: number | undefined;
  dim?: boolean;
}

export interface TerminalResult {
  code: number;
  /** What is on the screen at the end, a line each. */
  lines: Run[][];
  /** The same without colours. */
  text: string;
  /** All that was written, also what is no longer on the screen. */
  written: string;
}

export interface TerminalOptions {
  env?: Readonly<Record<string, string | undefined>>;
  columns?: number;
  /** What a person types at each question (it ends in `[y/N] `), in this order; `\x03` is Ctrl-C. */
  answers?: readonly string[];
}

export async function onTerminal(
  cwd: string,
  args: readonly string[],
  { env = {}, columns = 120, answers = [] }: TerminalOptions = {},
): Promise<TerminalResult> {
  const screen = new xterm.Terminal({ cols: columns, rows: 200, allowProposedApi: true });
  const child = pty.spawn(process.execPath, [command, ...args], {
    name: 'xterm-256color',
    cols: columns,
    rows: 200,
    cwd,
    env: cleanEnvironment({ TERM: 'xterm-256color', ...env }),
  });
  const left = [...answers];
  let unanswered = '';
  let written = '';
  child.onData((data) => {
    screen.write(data);
    written += data;
    unanswered += data;
    if (!unanswered.includes('[y/N] ')) return;
    unanswered = '';
    const answer = left.shift();
    // A question that nobody expected would wait for ever.
    child.write(answer ?? '\x03');
  });
  const { exitCode: code } = await new Promise<{ exitCode: number }>((resolve) => child.onExit(resolve));
  await new Promise<void>((resolve) => screen.write('', resolve));
  const lines = linesOf(screen);
  const text = lines.map((runs) => runs.map((run) => run.text).join('')).join('\n');
  return { code, lines, text, written };
}

function linesOf(screen: InstanceType<typeof xterm.Terminal>): Run[][] {
  const buffer = screen.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, at) => runsOf(buffer.getLine(at)));
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

function runsOf(line: ReturnType<InstanceType<typeof xterm.Terminal>['buffer']['active']['getLine']>): Run[] {
  const runs: Run[] = [];
  const end = line?.translateToString(true).length ?? 0;
  for (let at = 0; at < end; at++) {
    const cell = line?.getCell(at);
    const colour = cell?.isFgPalette() === true ? cell.getFgColor() : undefined;
    const dim = cell?.isDim() !== 0;
    const last = runs.at(-1);
    const text = cell?.getChars() || ' ';
    if (last !== undefined && last.colour === colour && last.dim === dim) last.text += text;
    else runs.push({ text, colour, dim });
  }
  return runs;
}
