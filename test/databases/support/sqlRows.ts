/** What differs between two SQLite files, told by SQL alone: what the row diff has to agree with. */
import Database from 'better-sqlite3';

export interface SqlTable {
  name: string;
  /** The columns of the primary key; none where rows are only told apart as a whole. */
  key: string[];
  /** What a column holds for rows of the side that has no such column; nothing is left out without it. */
  missing?: string;
}

type Value = null | bigint | number | string | Buffer;

/** Each change as one line of text, so that lists can be compared. */
export function sqlDiff(before: string, after: string, tables: readonly SqlTable[]): string[] {
  return tables.flatMap(({ name, key, missing = '' }) => {
    const [old, recent] = [rowsOf(before, name), rowsOf(after, name)];
    const columns = new Set([old[0] ?? {}, recent[0] ?? {}].flatMap((row) => Object.keys(row)));
    const filled = (row: Record<string, Value>) =>
      line({ ...Object.fromEntries([...columns].map((column) => [column, missing])), ...row });
    return key.length === 0 ? byRow(name, old, recent, filled) : byKey(name, key, old, recent, filled);
  });
}

function rowsOf(file: string, table: string): Record<string, Value>[] {
  const connection = new Database(file, { readonly: true });
  try {
    const exists = connection
      .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
      .get(table);
    if (exists === undefined) return [];
    const columns = connection
      .prepare(`SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 2`)
      .pluck()
      .all(table) as string[];
    const list = columns.map((column) => `"${column}"`).join(', ');
    return connection.prepare(`SELECT ${list} FROM "${table}"`).safeIntegers().all() as Record<
      string,
      Value
    >[];
  } finally {
    connection.close();
  }
}

function byKey(
  table: string,
  key: readonly string[],
  before: readonly Record<string, Value>[],
  after: readonly Record<string, Value>[],
  filled: (row: Record<string, Value>) => string,
): string[] {
  const named = (row: Record<string, Value>) => key.map((column) => show(row[column])).join('|');
  const [old, recent] = [
    new Map(before.map((row) => [named(row), row])),
    new Map(after.map((row) => [named(row), row])),
  ];
  const lines: string[] = [];
  for (const name of new Set([...old.keys(), ...recent.keys()])) {
    const [a, b] = [old.get(name), recent.get(name)];
    if (a === undefined && b !== undefined) lines.push(`added ${table} ${line(b)}`);
    else if (b === undefined && a !== undefined) lines.push(`removed ${table} ${line(a)}`);
    else if (a !== undefined && b !== undefined && filled(a) !== filled(b))
      lines.push(`changed ${table} ${line(a)} -> ${line(b)}`);
  }
  return lines;
}

function byRow(
  table: string,
  before: readonly Record<string, Value>[],
  after: readonly Record<string, Value>[],
  filled: (row: Record<string, Value>) => string,
): string[] {
  const counts = new Map<string, { count: number; old: string; recent: string }>();
  const add = (row: Record<string, Value>, by: number) => {
    const entry = counts.get(filled(row)) ?? { count: 0, old: '', recent: '' };
    counts.set(filled(row), { ...entry, count: entry.count + by, [by < 0 ? 'old' : 'recent']: line(row) });
  };
  for (const row of before) add(row, -1);
  for (const row of after) add(row, 1);
  return [...counts.values()].flatMap(({ count, old, recent }) =>
    Array.from({ length: Math.abs(count) }, () =>
      count > 0 ? `added ${table} ${recent}` : `removed ${table} ${old}`,
    ),
  );
}

export function line(row: Readonly<Record<string, unknown>>): string {
  return Object.entries(row)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${show(value)}`)
    .join(',');
}

function show(value: unknown): string {
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'number' ? `${value}r` : `${value as bigint}`;
}
