import type { Connection } from '../open.ts';
import { type Stored, StoredText } from './record.ts';
import { type Encoding, encodeText } from './text.ts';

/** What SQLite makes of values in a column (https://www.sqlite.org/datatype3.html, 3). */

export type Affinity = 'INTEGER' | 'TEXT' | 'BLOB' | 'REAL' | 'NUMERIC';

/** The affinity of a declared type (datatype3.html, 3.1). */
export function affinityOf(declared: string): Affinity {
  const type = declared.toUpperCase();
  if (type.includes('INT')) return 'INTEGER';
  if (/CHAR|CLOB|TEXT/.test(type)) return 'TEXT';
  if (type === '' || type.includes('BLOB')) return 'BLOB';
  return /REAL|FLOA|DOUB/.test(type) ? 'REAL' : 'NUMERIC';
}

/** A value as a column of this affinity stores it. */
export function stored(
  connection: Connection,
  value: string | Buffer,
  affinity: Affinity,
  encoding: Encoding,
): Stored {
  connection.exec(`CREATE TEMP TABLE seat(x ${affinity})`);
  try {
    connection.prepare('INSERT INTO temp.seat VALUES (?)').run(value);
    return typed(
      connection.prepare('SELECT typeof(x) AS type, x FROM temp.seat').safeIntegers().get(),
      encoding,
    );
  } finally {
    connection.exec('DROP TABLE temp.seat');
  }
}

/** Only such defaults can a column have that was added to a table with rows (lang_altertable.html, 4). */
const literal =
  /^(NULL|TRUE|FALSE|[+-]?\s*(\d+(\.\d*)?|\.\d+)(E[+-]?\d+)?|[+-]?\s*0X[0-9A-F]+|'([^']|'')*'|X'([0-9A-F]{2})*')$/i;

/** The value of a column's default. Text that is no literal is never run; it gives NULL. */
export function storedDefault(
  connection: Connection,
  text: string | null,
  affinity: Affinity,
  encoding: Encoding,
): Stored {
  if (text === null) return null;
  // SQLite takes a name, quoted or not, for a text.
  const name =
    /^"((?:[^"]|"")*)"$/.exec(text)?.[1]?.replaceAll('""', '"') ?? /^[A-Za-z_]\w*$/.exec(text)?.[0];
  if (name !== undefined && !literal.test(text)) return stored(connection, name, affinity, encoding);
  if (!literal.test(text)) return null;
  connection.exec(`CREATE TEMP TABLE seat(x ${affinity} DEFAULT ${text})`);
  try {
    connection.exec('INSERT INTO temp.seat DEFAULT VALUES');
    return typed(
      connection.prepare('SELECT typeof(x) AS type, x FROM temp.seat').safeIntegers().get(),
      encoding,
    );
  } finally {
    connection.exec('DROP TABLE temp.seat');
  }
}

function typed(row: unknown, encoding: Encoding): Stored {
  const { x } = row as { x: null | bigint | number | string | Buffer };
  return typeof x === 'string' ? new StoredText(encodeText(x, encoding)) : x;
}
