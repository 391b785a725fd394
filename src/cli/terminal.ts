import { writeSync } from 'node:fs';
// Asking process.stdout would make a stream of it first: 4 ms in every hook.
import { isatty } from 'node:tty';
import type { PitrError } from '../errors.ts';

/** Where a command prints: text for people, or one JSON document. */
export interface Terminal {
  json: boolean;
  quiet: boolean;
  /** True when a person can be asked. */
  interactive: boolean;
  colours: boolean;
  /** True when progress can be shown: a person watches standard error, and wants more than errors. */
  progress: boolean;
  /** Text for standard output; nothing under `--quiet` and `--json`. */
  print(text: string): void;
  /** The JSON document; nothing without `--json`. */
  result(document: unknown): void;
  /** Remarks for standard error; nothing under `--quiet`. */
  remark(text: string): void;
  /** Something asked for that was not done, and what to do about it: on standard error, under `--quiet` too. */
  warn(text: string, hints?: readonly string[]): void;
  /** Paints text where colours are on. */
  paint(colour: Colour, text: string): string;
  fail(error: PitrError): void;
}

const codes = { red: 31, green: 32, yellow: 33, blue: 34, cyan: 36, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof codes;

export function openTerminal(options: { json: boolean; quiet: boolean }): Terminal {
  const { json, quiet } = options;
  const colours =
    !json && isatty(1) && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
  const paint = (colour: Colour, text: string) => (colours ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
  const say = (handle: number, text: string) => write(handle, harmless(text, colours));
  return {
    json,
    quiet,
    interactive: !json && isatty(0) && isatty(1),
    colours,
    progress: !json && !quiet && isatty(2),
    paint,
    print: (text) => {
      if (!json && !quiet) say(1, text.endsWith('\n') ? text : `${text}\n`);
    },
    result: (document) => {
      if (json) write(1, `${JSON.stringify(document, null, 2)}\n`);
    },
    remark: (text) => {
      if (!quiet) say(2, `${text}\n`);
    },
    warn: (text, hints = []) => say(2, `warning: ${text}\n${hintLines(hints)}`),
    fail: (error) => {
      const { kind, message, hints, details } = error;
      if (json) write(1, `${JSON.stringify({ error: { kind, message, hints, ...details } }, null, 2)}\n`);
      write(2, `${paintError('error:')} ${harmless(`${message}\n${hintLines(hints)}`, false)}`);
    },
  };
}

/** As git prints its advice. */
function hintLines(hints: readonly string[]): string {
  return hints
    .flatMap((hint) => hint.split('\n'))
    .map((line) => `hint: ${line}\n`)
    .join('');
}

function paintError(text: string): string {
  return isatty(2) && (process.env['NO_COLOR'] ?? '') === '' ? `\x1b[31m${text}\x1b[0m` : text;
}

/** Text without what steers a terminal: what it quotes (a message, a name) may come from a hostile snapshot. */
function harmless(text: string, colours: boolean): string {
  const steering = colours ? controls.butColours : controls.all;
  return text.replace(steering, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Control characters but for line ends and tabs; and but for the colours of `paint`. */
/* oxlint-disable no-control-regex -- it is what this is about */
const controls = {
  all: /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
  butColours: /(?!\x1b\[(?:0|1|2|3[1-6])m)[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
};
/* oxlint-enable no-control-regex */

/** Writes all of it before it returns: the process ends with an exit code, not with a flush. */
function write(handle: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(handle, bytes, written);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') return; // the reader has gone (`| head`): as quiet as git is about it
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}
