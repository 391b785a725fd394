import { isUtf8 } from 'node:buffer';
import { decodeText, type Encoding } from '../format/text.ts';

/** Values as SQL that gives them back exactly (https://www.sqlite.org/lang_expr.html, 3). */

export type Value = null | bigint | number | Buffer;

/** @param isText of bytes: whether they are a text, in the database's encoding */
export function literal(value: Value, isText: boolean, encoding: Encoding): string {
  if (value === null) return 'NULL';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return realLiteral(value);
  if (!isText) return `X'${value.toString('hex')}'`;
  const text = decodeText(value, encoding);
  // A zero would end the statement for some, and bytes that are no text would not come back.
  if (text.includes('\0') || !isExact(value, text, encoding))
    return `CAST(X'${value.toString('hex')}' AS TEXT)`;
  return `'${text.replaceAll("'", "''")}'`;
}

function isExact(bytes: Buffer, text: string, encoding: Encoding): boolean {
  return encoding === 'utf8' ? isUtf8(bytes) : bytes.length % 2 === 0 && !/\p{Surrogate}/u.test(text);
}

/** The shortest text that is read as the same number; with a point, or it would be an integer. */
function realLiteral(value: number): string {
  if (!Number.isFinite(value)) return value < 0 ? '-1e999' : '1e999';
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

export function textLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
