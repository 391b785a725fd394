import type { RowValue } from '../rows.ts';

/** Values in COPY's text format (https://www.postgresql.org/docs/15/sql-copy.html). */

const escapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** The fields of a line, given as latin1 text (one character a byte); null for `\N`. The texts are decoded. */
export function readFields(line: string): (string | null)[] {
  return line.split('\t').map((field) => (field === '\\N' ? null : decode(field)));
}

function decode(field: string): string {
  const bytes = field.includes('\\')
    ? field.replace(/\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)/gs, (_, code: string) => {
        if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 255);
        if (/^x./.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
        return escapes[code] ?? code;
      })
    : field;
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A text as a field, as COPY writes it: as latin1 text. */
export function writeField(value: string): string {
  const bytes = Buffer.from(value, 'utf8').toString('latin1');
  // oxlint-disable-next-line no-control-regex -- the characters that COPY escapes
  return bytes.replace(/[\\\x08\x0c\n\r\t\x0b]/g, (char) => {
    const letter = Object.entries(escapes).find(([, real]) => real === char)?.[0];
    return `\\${letter ?? char}`;
  });
}

/** A value as a person reads it, by the type of its column. What is exact only as text stays text. */
export function readValue(text: string | null, type: string): RowValue {
  if (text === null) return null;
  if (/^(smallint|integer|bigint|oid)\b/.test(type) && /^-?\d+$/.test(text)) {
    const number = Number(text);
    return Number.isSafeInteger(number) ? number : BigInt(text);
  }
  if (/^boolean\b/.test(type)) return text === 't' ? 'true' : text === 'f' ? 'false' : text;
  if (/^bytea\b/.test(type) && /^\\x([0-9a-f]{2})*$/.test(text)) return Buffer.from(text.slice(2), 'hex');
  return text;
}
