import type { DatabaseChange, Row, RowChange, RowValue, SchemaChange } from '../../databases/rows.ts';
import type { Terminal } from '../terminal.ts';

/** Rows as text and as JSON. */

/** Characters of a value on a line; `--json` has all of it. */
const shownLength = 72;

function valueText(value: RowValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'number') return Number.isInteger(value) ? value.toFixed(1) : String(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return `'${shorten(oneLine(value))}'`;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return `x'${shorten(bytes.subarray(0, shownLength).toString('hex'), value.byteLength)}'`;
}

function shorten(text: string, bytes?: number): string {
  if (text.length <= shownLength) return text;
  return `${text.slice(0, shownLength)}… (${bytes === undefined ? `${text.length} characters` : `${bytes} bytes`})`;
}

/** Text of others must not move the cursor or break the line. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    const known: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
    return known[char] ?? `\\u${char.codePointAt(0)?.toString(16).padStart(4, '0')}`;
  });
}

export function columnsText(row: Row, only?: (name: string) => boolean): string {
  return Object.entries(row)
    .filter(([name]) => only?.(name) !== false)
    .map(([name, value]) => `${oneLine(name)} ${valueText(value)}`)
    .join(', ');
}

/** Old -> new of the columns that differ. */
export function differenceText(before: Row, after: Row): string {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => !sameValue(before[name], after[name]))
    .map((name) => {
      const [old, recent] = [before[name], after[name]];
      const shown = (value: RowValue | undefined) =>
        value === undefined ? 'no such column' : valueText(value);
      return `${oneLine(name)} ${shown(old)} -> ${shown(recent)}`;
    })
    .join(', ');
}

function sameValue(a: RowValue | undefined, b: RowValue | undefined): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b;
}

const marks = {
  added: ['green', '+'],
  removed: ['red', '-'],
  changed: ['yellow', '~'],
} as const;

/** One line of `diff --db`. */
export function rowLine({ kind, key, before, after }: RowChange, terminal: Terminal): string {
  const [colour, mark] = marks[kind];
  const isKey = (name: string) => name in key;
  const rest =
    before !== undefined && after !== undefined
      ? differenceText(before, after)
      : columnsText(after ?? before ?? {}, (name) => !isKey(name));
  return `  ${terminal.paint(colour, `${mark} ${columnsText(key)}`)}${rest === '' ? '' : `: ${rest}`}`;
}

export function schemaLines({ type, object, before, after }: SchemaChange, terminal: Terminal): string[] {
  const title = `${type} ${oneLine(object)}`;
  if (before === undefined) return [`  ${terminal.paint('green', `+ ${title}`)}: ${oneLine(after ?? '')}`];
  if (after === undefined) return [`  ${terminal.paint('red', `- ${title}`)}: ${oneLine(before)}`];
  return [
    `  ${terminal.paint('yellow', `~ ${title}`)}`,
    `    ${terminal.paint('red', `- ${oneLine(before)}`)}`,
    `    ${terminal.paint('green', `+ ${oneLine(after)}`)}`,
  ];
}

/** Integers that JSON readers may round become text; bytes become `{"base64": …}`. */
function valueJson(value: RowValue): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') };
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

export function rowJson(row: Row): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, valueJson(value)]));
}

export function changeJson(change: DatabaseChange): Record<string, unknown> {
  if (change.kind === 'schema') {
    const { object, type, before = null, after = null } = change;
    return { object, type, before, after };
  }
  const { kind, table, key, before, after } = change;
  return {
    table,
    change: kind,
    key: rowJson(key),
    before: before === undefined ? null : rowJson(before),
    after: after === undefined ? null : rowJson(after),
  };
}
