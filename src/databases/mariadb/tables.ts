import { PitrError } from '../../errors.ts';
import { type Client, quoteName, quoteText } from './connect.ts';

/** The tables of a database, as they are read and made again. */

export interface Column {
  name: string;
  /** `int`, `varchar`, `longblob` … */
  type: string;
  /** Undefined for what is not text. */
  charset: string | undefined;
}

export interface Table {
  name: string;
  kind: 'table' | 'sequence';
  engine: string;
  /** Its rows are read from the snapshot of the transaction; others' must be locked. */
  transactional: boolean;
  /** Rows that are its own: those of FEDERATED, MERGE and the like are elsewhere. */
  holdsRows: boolean;
  /** Keeps its history (`WITH SYSTEM VERSIONING`). */
  versioned: boolean;
  /** Those that are written: not the generated ones. */
  columns: Column[];
  /** Columns of the primary key. */
  key: string[];
  /** `CREATE …`, without the next value of AUTO_INCREMENT. */
  create: string;
  /** The column that counts up, and the value that comes next; undefined while that is 1. */
  counter: string | undefined;
  next: bigint | undefined;
}

const foreignEngines = new Set([
  'FEDERATED',
  'MRG_MYISAM',
  'MRG_MyISAM',
  'SPIDER',
  'CONNECT',
  'S3',
  'BLACKHOLE',
  'OQGRAPH',
  'SPHINX',
]);

export interface Listed {
  name: string;
  type: string;
  engine: string;
}

/** Names and kinds of tables and views; takes no lasting lock. Engine '' for what cannot be looked at just now. */
export async function listTables(client: Client, database: string): Promise<Listed[]> {
  const all = await client.ask<{ name: string; type: string | null; engine: string | null }>(
    `SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = ${quoteText(database)}`,
  );
  const rows = all
    .map((row) => ({ ...row, type: row.type ?? '' }))
    .filter(({ type }) => type !== 'TEMPORARY');
  const byBytes = (a: { name: string }, b: { name: string }) =>
    Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
  return rows.map(({ engine, ...rest }) => ({ ...rest, engine: engine ?? '' })).toSorted(byBytes);
}

/** True for what is a table to us: rows, or the state of a sequence. */
export function isTable({ type }: Listed): boolean {
  return type !== 'VIEW' && type !== 'SYSTEM VIEW';
}

export function isTransactional({ engine }: Listed): boolean {
  return engine.toUpperCase() === 'INNODB';
}

export function rowsAreElsewhere({ engine }: Listed): boolean {
  return foreignEngines.has(engine);
}

/** All about the listed tables, which the caller keeps from changing. Error: `failed` for one that cannot be copied. */
export async function describeTables(
  client: Client,
  database: string,
  listed: readonly Listed[],
): Promise<Table[]> {
  const columns = await columnsOf(client, database);
  const keys = await keysOf(client, database);
  const tables: Table[] = [];
  for (const entry of listed.filter(isTable)) {
    const { name, type, engine } = entry;
    const sequence = type === 'SEQUENCE';
    const shown = await client.askOne<Record<string, string>>(
      `SHOW CREATE ${sequence ? 'SEQUENCE' : 'TABLE'} ${quoteName(database)}.${quoteName(name)}`,
    );
    const { text, next } = splitCounter(shown['Create Table'] ?? '');
    const own = columns.get(name) ?? [];
    if (!sequence) requireWhole(name, text, own, keys.get(name) ?? []);
    const versioned = type === 'SYSTEM VERSIONED';
    tables.push({
      name,
      kind: sequence ? 'sequence' : 'table',
      engine,
      transactional: isTransactional(entry),
      holdsRows: !sequence && !rowsAreElsewhere(entry),
      versioned,
      columns: versioned ? withHistory(own, name) : own.filter(({ generated }) => generated === ''),
      key: keys.get(name) ?? [],
      create: withoutOwnName(text, database),
      counter: own.find(({ counts }) => counts)?.name,
      next,
    });
  }
  return tables;
}

/**
 * Under load the tables of information_schema leave out what they cannot open at once, without a word (seen with
 * MariaDB 10.11 beside `ALTER TABLE`: a table without columns, whose rows would not have been recorded).
 */
function requireWhole(
  name: string,
  create: string,
  columns: readonly Column[],
  key: readonly string[],
): void {
  const lines = create.split('\n');
  const defined = lines.filter((line) => line.startsWith('  `')).length;
  const keyed = lines.some((line) => line.startsWith('  PRIMARY KEY '));
  if (columns.length === defined && keyed === key.length > 0) return;
  throw new Moved(`the server does not tell all about the table "${name}"`);
}

/** Something changed under the work: it is to be done again. */
export class Moved extends Error {}

/** Takes the next value out of a table's definition: it changes with every row. */
function splitCounter(create: string): { text: string; next: bigint | undefined } {
  const start = create.lastIndexOf('\n) ENGINE=');
  const match = /^\n\) ENGINE=\w+( AUTO_INCREMENT=(\d+))/.exec(create.slice(Math.max(0, start)));
  if (start === -1 || match === null) return { text: create, next: undefined };
  const at = start + match[0].length;
  return {
    text: create.slice(0, at - (match[1] as string).length) + create.slice(at),
    next: BigInt(match[2] as string),
  };
}

const quotedName = '`(?:[^`]|``)*`';
const namesAndStrings = new RegExp(`'(?:[^'\\\\]|\\\\.|'')*'|${quotedName}(?:\\.${quotedName})*\\(?`, 'gs');

/**
 * A definition without the name of its own database before other names: then it can be made in any database. The server
 * writes it before sequences and functions, and everywhere in a view of tables in several databases; there columns have
 * three names, which tells it from a table that is called as its database is.
 */
export function withoutOwnName(sql: string, database: string): string {
  const own = `${quoteName(database)}.`;
  if (!sql.includes(own)) return sql;
  const full = new RegExp(`${quotedName}\\.${quotedName}\\.${quotedName}`, 's').test(sql);
  return sql.replace(namesAndStrings, (part, at: number) => {
    if (!part.startsWith(own)) return part;
    const called = part.endsWith('(') || /(?:nextval|lastval)\($/i.test(sql.slice(0, at));
    return full || called ? part.slice(own.length) : part;
  });
}

interface FullColumn extends Column {
  generated: string;
  counts: boolean;
}

async function columnsOf(client: Client, database: string): Promise<Map<string, FullColumn[]>> {
  const rows = await client.ask<
    Record<'tab' | 'name' | 'type' | 'extra', string> & Record<'charset' | 'generated', string | null>
  >(
    `SELECT TABLE_NAME AS tab, COLUMN_NAME AS name, DATA_TYPE AS type, CHARACTER_SET_NAME AS charset,
      EXTRA AS extra, GENERATION_EXPRESSION AS generated
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${quoteText(database)} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
  );
  const tables = new Map<string, FullColumn[]>();
  for (const { tab, name, type, charset, extra, generated } of rows) {
    const columns = tables.get(tab) ?? [];
    tables.set(tab, columns);
    columns.push({
      name,
      type: type.toLowerCase(),
      charset: charset ?? undefined,
      generated: generatedHow(extra, generated ?? ''),
      counts: /auto_increment/i.test(extra),
    });
  }
  return tables;
}

/** '' for a column that is written; `ROW START` and `ROW END` tell when a row of a history was there. */
function generatedHow(extra: string, expression: string): string {
  if (/^ROW (START|END)$/i.test(expression)) return expression;
  // MySQL says DEFAULT_GENERATED of a default value that is an expression.
  return /\b(VIRTUAL|STORED|PERSISTENT) GENERATED/i.test(extra) ? 'column' : expression;
}

/** The columns of a table with history: when a row began and ended is part of it. */
function withHistory(columns: readonly FullColumn[], table: string): Column[] {
  const period = columns.filter(({ generated }) => /^ROW (START|END)$/i.test(generated));
  if (period.some(({ type }) => type === 'bigint'))
    throw new PitrError(
      'failed',
      `The table "${table}" keeps its history by transaction numbers, which no copy can bring back.`,
      { hints: ['ALTER TABLE … DROP SYSTEM VERSIONING, or a history by timestamps.'] },
    );
  const hidden = ['row_start', 'row_end'].map((name) => ({ name, type: 'timestamp', charset: undefined }));
  const kept = columns.filter(({ generated }) => generated === '' || /^ROW (START|END)$/i.test(generated));
  return period.length > 0 ? kept : [...kept, ...hidden];
}

async function keysOf(client: Client, database: string): Promise<Map<string, string[]>> {
  const rows = await client.ask<{ tab: string; name: string }>(
    `SELECT TABLE_NAME AS tab, COLUMN_NAME AS name FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = ${quoteText(database)} AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX`,
  );
  const keys = new Map<string, string[]>();
  for (const { tab, name } of rows) keys.set(tab, [...(keys.get(tab) ?? []), name]);
  return keys;
}
