import { isUtf8 } from 'node:buffer';
import { PitrError } from '../../errors.ts';
import { type Client, quoteName } from './connect.ts';
import type { Column, Table } from './tables.ts';

/**
 * The rows of a table as INSERT statements, a row a line. The server writes the values, in a form that is exact: text
 * as UTF-8 (in its own bytes where that would lose something), what is not text in hex, floats with all their digits.
 *
 *     INSERT INTO `orders` (`id`,`name`) VALUES
 *     (1,'a'),
 *     (2,'b');
 *
 * Where a statement ends, its last row alone says (but for very long rows): one more row moves no end but its own.
 */

/** On average one row of so many ends its statement. */
const rowsPerStatement = 128;
/** Far below the least `max_allowed_packet` that is in use, 1 MiB. */
const maxStatement = 256 * 1024;
/** Rows with more in their large columns are written in pieces. */
const maxPlainRow = 2 * 1024 * 1024;
/** Bytes of such a piece. */
const pieceSize = 256 * 1024;

/**
 * The statements for all rows, in the order of the primary key; without one, in the order of the table.
 * @param counted hears how many rows they were, at the end
 * Error: `failed` for a row that cannot be written.
 */
export async function* insertStatements(
  client: Client,
  database: string,
  table: Table,
  counted: (rows: number) => void = () => {},
): AsyncGenerator<Buffer> {
  if (table.columns.length === 0) return;
  const lines = new StatementLines(table);
  let rows = 0;
  let large = 0;
  for await (const row of client.column(selectRows(database, table))) {
    rows++;
    if (row === null) large++;
    else yield* lines.add(row);
  }
  yield* lines.end();
  if (large > 0) yield* largeRows(client, database, table);
  counted(rows);
}

class StatementLines {
  readonly #head: Buffer;
  readonly #table: Table;
  #parts: Buffer[] = [];
  #size = 0;
  /** Bytes of the statement that has not ended; 0 when there is none. */
  #statement = 0;

  constructor(table: Table) {
    this.#table = table;
    this.#head = Buffer.from(insertHead(table));
  }

  *add(row: Buffer): Generator<Buffer> {
    this.#push(this.#statement === 0 ? this.#head : separator);
    this.#push(oneLine(row));
    this.#statement += row.length + 2;
    if (endsStatement(row) || this.#statement > maxStatement) this.#finish();
    if (this.#size > 64 * 1024) yield this.#take();
  }

  *end(): Generator<Buffer> {
    this.#finish();
    if (this.#size > 0) yield this.#take();
  }

  #finish(): void {
    if (this.#statement > 0) this.#push(terminator);
    this.#statement = 0;
  }

  #push(part: Buffer): void {
    this.#parts.push(part);
    this.#size += part.length;
  }

  #take(): Buffer {
    const text = Buffer.concat(this.#parts, this.#size);
    this.#parts = [];
    this.#size = 0;
    return requireUtf8(text, this.#table);
  }
}

const separator = Buffer.from(',\n');
const terminator = Buffer.from(';\n');

export function insertHead(table: Pick<Table, 'name' | 'columns'>): string {
  return `INSERT INTO ${quoteName(table.name)} (${table.columns.map(({ name }) => quoteName(name)).join(',')}) VALUES\n`;
}

/** Line ends are only in strings, where they can be written otherwise. */
function oneLine(row: Buffer): Buffer {
  if (!row.includes(10) && !row.includes(13)) return row;
  return Buffer.from(row.toString('latin1').replaceAll('\n', '\\n').replaceAll('\r', '\\r'), 'latin1');
}

/** FNV-1a of a row's beginning, where the key is, and its length. */
function endsStatement(row: Buffer): boolean {
  let hash = 0x811c9dc5 ^ row.length;
  const end = Math.min(row.length, 48);
  for (let index = 0; index < end; index++) hash = Math.imul(hash ^ (row[index] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) >>> 0) % rowsPerStatement === 0;
}

function requireUtf8(text: Buffer, { name }: Table): Buffer {
  if (isUtf8(text)) return text;
  throw new PitrError(
    'failed',
    `The table "${name}" holds text that is not in the character set of its column; it cannot be copied exactly.`,
    { hints: ['Find it with: SELECT … WHERE column <> CONVERT(CONVERT(column USING binary) USING utf8mb4)'] },
  );
}

function selectRows(database: string, table: Table): string {
  const row = `CONCAT('(',${table.columns.map(valueOf).join(`,',',`)},')')`;
  const size = sizeOf(table);
  const line = size === '' || table.key.length === 0 ? row : `IF(${size}>${maxPlainRow},NULL,${row})`;
  return `SELECT ${line} FROM ${source(database, table)}`;
}

function source(database: string, table: Table, condition = ''): string {
  const { key, versioned } = table;
  const from = `${quoteName(database)}.${quoteName(table.name)}${versioned ? ' FOR SYSTEM_TIME ALL' : ''}`;
  const where = condition === '' ? '' : ` WHERE ${condition}`;
  // Without an index the order is that of the table, not that of one which happens to hold all columns.
  if (key.length === 0 && !versioned) return `${from} USE INDEX ()${where}`;
  const order = versioned ? [...key, ...table.columns.slice(-2).map(({ name }) => name)] : key;
  const index = versioned ? '' : ' FORCE INDEX (PRIMARY)';
  return `${from}${index}${where} ORDER BY ${order.map(quoteName).join(',')}`;
}

function valueOf({ name, type, charset }: Column): string {
  const column = quoteName(name);
  return `IF(${column} IS NULL,'NULL',${literalOf(column, type, charset)})`;
}

const numbers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal', 'year']);
const times = new Set(['date', 'time', 'datetime', 'timestamp']);
const ownText = new Set(['inet4', 'inet6', 'uuid']);
/** Their bytes are UTF-8 already. */
const utf8 = new Set(['utf8', 'utf8mb3', 'utf8mb4', 'ascii']);

/** An SQL expression for the literal of a value that is not NULL. */
function literalOf(column: string, type: string, charset: string | undefined): string {
  if (numbers.has(type)) return column;
  if (type === 'float' || type === 'double') return `${column}*1e0`;
  if (type === 'bit') return `CONCAT('0x',HEX(${column}))`;
  if (times.has(type)) return `CONCAT('\\'',${column},'\\'')`;
  if (ownText.has(type)) return `QUOTE(CAST(${column} AS CHAR))`;
  if (type === 'json') return `QUOTE(CAST(CAST(${column} AS CHAR CHARACTER SET utf8mb4) AS BINARY))`;
  if (charset === undefined || charset === 'binary')
    return `IF(LENGTH(${column})=0,'\\'\\'',CONCAT('0x',HEX(${column})))`;
  const text = textOf(column, charset);
  // Index 0: a value that is not in the list, and reads as ''.
  return type === 'enum' ? `IF(${column}+0=0,'0',${text})` : text;
}

function textOf(column: string, charset: string): string {
  if (utf8.has(charset)) return `QUOTE(CAST(${column} AS BINARY))`;
  const unicode = `CONVERT(${column} USING utf8mb4)`;
  const back = `CAST(CONVERT(${unicode} USING ${charset}) AS BINARY)`;
  const exact = `${back}=CAST(${column} AS BINARY)`;
  return `IF(${exact},QUOTE(CAST(${unicode} AS BINARY)),CONCAT('_${charset} 0x',HEX(${column})))`;
}

const large = /^(tiny|medium|long)?(text|blob)$|^json$|geometry|point|linestring|polygon/;

/** An expression for the bytes in the columns that may be large; '' when there are none. */
function sizeOf({ columns }: Table): string {
  return columns
    .filter(({ type }) => large.test(type))
    .map(({ name }) => `COALESCE(LENGTH(${quoteName(name)}),0)`)
    .join('+');
}

/**
 * Rows that would be larger than what a server takes in one statement: each large value is put together in a variable.
 */
async function* largeRows(client: Client, database: string, table: Table): AsyncGenerator<Buffer> {
  if (table.key.length === 0) throw tooLarge(table);
  const keyOf = `CONCAT(${table.key
    .map((name) => {
      const column = table.columns.find((candidate) => candidate.name === name) as Column;
      return `'${quoteName(name).replaceAll("'", "\\'")}=',${valueOf(column)}`;
    })
    .join(`,' AND ',`)})`;
  const keys: string[] = [];
  const tooMuch = `${sizeOf(table)}>${maxPlainRow}`;
  for await (const key of client.column(`SELECT ${keyOf} FROM ${source(database, table, tooMuch)}`)) {
    if (key === null) throw tooLarge(table);
    keys.push(key.toString('utf8'));
  }
  for (const key of keys) yield* largeRow(client, database, table, key);
}

async function* largeRow(
  client: Client,
  database: string,
  table: Table,
  key: string,
): AsyncGenerator<Buffer> {
  const from = `FROM ${source(database, table, key)}`;
  const values: string[] = [];
  for (const [index, column] of table.columns.entries()) {
    const bytes = large.test(column.type) ? `CAST(${quoteName(column.name)} AS BINARY)` : '';
    const { length } =
      bytes === ''
        ? { length: null }
        : await client.askOne<{ length: string | null }>(`SELECT LENGTH(${bytes}) AS length ${from}`);
    if (length === null || Number(length) <= pieceSize) {
      const { value } = await client.askOne<{ value: string }>(`SELECT ${valueOf(column)} AS value ${from}`);
      values.push(value);
      continue;
    }
    const variable = `@pitr_${index}`;
    for (let start = 0; start < Number(length); start += pieceSize) {
      const { piece } = await client.askOne<{ piece: string }>(
        `SELECT HEX(SUBSTRING(${bytes},${start + 1},${pieceSize})) AS piece ${from}`,
      );
      const literal = `0x${piece}`;
      yield Buffer.from(`SET ${variable} = ${start === 0 ? literal : `CONCAT(${variable},${literal})`};\n`);
    }
    // So that the row is another one when the value is.
    const { hash } = await client.askOne<{ hash: string }>(`SELECT SHA2(${bytes},256) AS hash ${from}`);
    values.push(`${variable}/* ${length} bytes, sha256 ${hash} */`);
  }
  const row = oneLine(Buffer.from(`(${values.join(',')})`));
  yield requireUtf8(Buffer.concat([Buffer.from(insertHead(table)), row, terminator]), table);
}

function tooLarge({ name }: Table): PitrError {
  return new PitrError('failed', `The table "${name}" has a row that is too large to be read at once.`, {
    hints: ['Give the table a primary key, or the server a larger max_allowed_packet.'],
  });
}
