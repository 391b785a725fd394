import type { RowValue } from '../rows.ts';

/** Reading the rows that `rowText.ts` writes. */

/** A literal as it stands in a row. */
export type Literal =
  | { kind: 'null' }
  | { kind: 'number'; text: string }
  | { kind: 'text'; text: string }
  | { kind: 'bytes'; hex: string }
  /** A value that is put together before the row: its length and hash. */
  | { kind: 'large'; text: string };

const token =
  /(NULL)|'((?:[^'\\]|\\.)*)'|(?:_\w+ )?0x([0-9A-Fa-f]*)|@pitr_\d+\/\* (.*?) \*\/|(-?[0-9.]+(?:e[-+]?\d+)?)/sy;

/** The literals of a row as they stand there. */
export function literalTexts(line: string): string[] {
  const texts: string[] = [];
  token.lastIndex = 1;
  for (let start = 1; token.exec(line) !== null; start = ++token.lastIndex)
    texts.push(line.slice(start, token.lastIndex));
  return texts;
}

/** The literals of a row `(…)`; what stands behind it does not matter. Undefined for what is no row. */
export function readRow(line: string): Literal[] | undefined {
  if (!line.startsWith('(')) return undefined;
  const literals: Literal[] = [];
  token.lastIndex = 1;
  for (;;) {
    const match = token.exec(line);
    if (match === null) return undefined;
    literals.push(literalOf(match));
    const end = line[token.lastIndex];
    if (end === ')') return literals;
    if (end !== ',') return undefined;
    token.lastIndex++;
  }
}

function literalOf([, nothing, text, hex, large, number]: RegExpExecArray): Literal {
  if (nothing !== undefined) return { kind: 'null' };
  if (text !== undefined) return { kind: 'text', text: unescaped(text) };
  if (hex !== undefined) return { kind: 'bytes', hex };
  if (large !== undefined) return { kind: 'large', text: large };
  return { kind: 'number', text: number ?? '' };
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', 0: '\0', Z: '\x1a' };

function unescaped(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/gs, (_, char: string) => escapes[char] ?? char) : text;
}

/** A literal as a person reads it, by the type of its column (`int(11) unsigned`, `varchar(20)` …). */
export function valueOf(literal: Literal, type: string): RowValue {
  if (literal.kind === 'null') return null;
  if (literal.kind === 'bytes') {
    const digits = literal.hex.length % 2 === 0 ? literal.hex : `0${literal.hex}`;
    return type.startsWith('bit') ? wholeNumber(`0x${digits}`) : Buffer.from(digits, 'hex');
  }
  if (literal.kind === 'large') return `(${literal.text})`;
  // What is empty has no digits to show that it is bytes.
  if (literal.text === '' && /binary|blob/.test(type)) return Buffer.alloc(0);
  if (literal.kind === 'text') return literal.text;
  if (type.startsWith('float')) return shortestFloat(Number(literal.text));
  if (/^(double|real)/.test(type)) return Number(literal.text);
  if (type.startsWith('enum')) return '';
  return /^-?\d+$/.test(literal.text) && !type.startsWith('decimal')
    ? wholeNumber(literal.text)
    : literal.text;
}

function wholeNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** A float of 32 bits is recorded with the digits of one of 64. */
function shortestFloat(value: number): number {
  for (const digits of [6, 7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
