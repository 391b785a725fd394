import type { KeyPart } from '../format/schema.ts';
import { type Stored, StoredText } from '../format/record.ts';
import { decodeText, type Encoding } from '../format/text.ts';

/** How SQLite orders keys (https://www.sqlite.org/datatype3.html, 4 and 7). */

export type Order = (a: readonly Stored[], b: readonly Stored[]) => number;

type Collate = (a: Buffer, b: Buffer) => number;

/** The order of keys with these parts; undefined when a collation is the application's own. */
export function orderOf(parts: readonly KeyPart[], encoding: Encoding): Order | undefined {
  const collations = parts.map(({ collation }) => collate(collation, encoding));
  if (collations.some((collation) => collation === undefined)) return undefined;
  return (a, b) => {
    for (const [at, { descending }] of parts.entries()) {
      // A key may be the beginning of another.
      if (at >= a.length || at >= b.length) return 0;
      const order = compare(a[at] ?? null, b[at] ?? null, collations[at] as Collate);
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  };
}

function compare(a: Stored, b: Stored, collation: Collate): number {
  const [first, second] = [rank(a), rank(b)];
  if (first !== second) return first - second;
  if (a instanceof StoredText && b instanceof StoredText) return collation(a.bytes, b.bytes);
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  if (a === null || b === null) return 0;
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(value: Stored): number {
  if (value === null) return 0;
  if (typeof value === 'bigint' || typeof value === 'number') return 1;
  return value instanceof StoredText ? 2 : 3;
}

function collate(name: string, encoding: Encoding): Collate | undefined {
  const utf8 = (bytes: Buffer) =>
    encoding === 'utf8' ? bytes : Buffer.from(decodeText(bytes, encoding), 'utf8');
  switch (name.toUpperCase()) {
    case 'BINARY':
      return (a, b) => a.compare(b);
    case 'NOCASE':
      return (a, b) => compareFolded(utf8(a), utf8(b));
    case 'RTRIM':
      return (a, b) => Buffer.compare(trimmed(utf8(a)), trimmed(utf8(b)));
    default:
      return undefined;
  }
}

/** Capitals of ASCII count as small letters; after a zero byte in both only the length counts (util.c, sqlite3StrNICmp). */
function compareFolded(a: Buffer, b: Buffer): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const [first, second] = [folded(a[at] ?? 0), folded(b[at] ?? 0)];
    if (first !== second) return first - second;
    if (first === 0) break;
  }
  return a.length - b.length;
}

function folded(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

function trimmed(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0x20) end--;
  return bytes.subarray(0, end);
}
