import type { BytePath } from '../../git/paths.ts';
import type { Repository } from '../../git/repository.ts';
import type { Row } from '../rows.ts';
import { postData, preData, tableName, tableOfPart } from '../text/layout.ts';
import { listTableParts, readText } from '../text/reader.ts';
import { readRow, valueOf } from './literals.ts';
import { statementsOf } from './load.ts';
import { eventPart } from './script.ts';

/** A statement of a schema. */
export interface SchemaObject {
  /** `table`, `view`, `trigger` …; `database` for what belongs to all of it. */
  type: string;
  name: string;
  /** Of a trigger: its table. */
  table?: string;
  sql: string;
}

const quoted = '`(?:[^`]|``)*`';
const made = new RegExp(
  `^CREATE (?:.*? )?(TABLE|SEQUENCE|VIEW|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE|TRIGGER|EVENT) (${quoted})`,
);
const triggerTable = new RegExp(`^CREATE .*? TRIGGER ${quoted} \\w+ \\w+ ON (${quoted})`);

/** A recorded copy, looked at as tables and definitions. */
export class RecordedCopy {
  readonly tree: string;
  readonly objects: readonly SchemaObject[];
  /** The folders of tables without their numbers -> part and tree. Tables without rows have none. */
  readonly parts: ReadonlyMap<string, { part: BytePath; oid: string }>;

  private constructor(
    tree: string,
    objects: readonly SchemaObject[],
    parts: ReadonlyMap<string, { part: BytePath; oid: string }>,
  ) {
    this.tree = tree;
    this.objects = objects;
    this.parts = parts;
  }

  /** An empty tree stands for a database that was not there. */
  static async read(repository: Repository, tree: string): Promise<RecordedCopy> {
    if (tree === '') return new RecordedCopy('', [], new Map());
    const objects: SchemaObject[] = [];
    for await (const sql of statementsOf(schemaText(repository, tree))) {
      const object = objectOf(sql);
      if (object !== undefined) objects.push(object);
    }
    const parts = await listTableParts(repository, tree);
    return new RecordedCopy(
      tree,
      objects,
      new Map(parts.map((entry) => [tableOfPart(entry.part) ?? entry.part, entry])),
    );
  }

  /** The names of all tables. */
  get tables(): string[] {
    return this.objects.filter(({ type }) => type === 'table').map(({ name }) => name);
  }

  /** Undefined when there is no such table. */
  table(name: string): RecordedTable | undefined {
    const definition = this.objects.find((object) => object.type === 'table' && object.name === name);
    if (definition === undefined) return undefined;
    return new RecordedTable(name, definition.sql, this.parts.get(tableName(name))?.part);
  }
}

async function* schemaText(repository: Repository, tree: string): AsyncGenerator<Buffer> {
  for await (const { content } of readText(repository, tree, [preData, postData, eventPart])) yield content;
}

function objectOf(sql: string): SchemaObject | undefined {
  if (sql.startsWith('ALTER DATABASE ')) return { type: 'database', name: 'the database itself', sql };
  const [, type = '', name = ''] = made.exec(sql) ?? [];
  if (type === '') return undefined;
  const table = type === 'TRIGGER' ? triggerTable.exec(sql)?.[1] : undefined;
  return {
    type: type.toLowerCase(),
    name: unquoted(name),
    sql: type === 'TABLE' ? withoutCounter(sql) : sql,
    ...(table === undefined ? {} : { table: unquoted(table) }),
  };
}

/** The next value of AUTO_INCREMENT changes with every row. */
function withoutCounter(sql: string): string {
  const start = sql.lastIndexOf('\n) ENGINE=');
  return sql.slice(0, start) + sql.slice(start).replace(/^(\n\) ENGINE=\w+) AUTO_INCREMENT=\d+/, '$1');
}

function unquoted(name: string): string {
  return name.slice(1, -1).replaceAll('``', '`');
}

/** A table as it was recorded. */
export class RecordedTable {
  readonly name: string;
  readonly sql: string;
  /** Undefined for a table without rows. */
  readonly part: BytePath | undefined;
  /** Columns whose values are recorded. */
  readonly columns: readonly { name: string; type: string }[];
  /** Columns of the primary key; empty without one. */
  readonly key: readonly string[];

  constructor(name: string, sql: string, part: BytePath | undefined) {
    this.name = name;
    this.sql = sql;
    this.part = part;
    this.columns = columnsOf(sql);
    const key = new RegExp(`^ {2}PRIMARY KEY \\((.*?)\\)(?: USING \\w+)?,?$`, 'm').exec(sql)?.[1] ?? '';
    this.key = [...key.matchAll(new RegExp(quoted, 'g'))].map(([column]) => unquoted(column));
  }

  isFrame(line: string): boolean {
    return !line.startsWith('(');
  }

  /** The row of a line, given as latin1 text. */
  row(line: string): Row {
    const literals = readRow(Buffer.from(line, 'latin1').toString('utf8')) ?? [];
    return Object.fromEntries(
      this.columns.map(({ name, type }, index) => [name, valueOf(literals[index] ?? { kind: 'null' }, type)]),
    );
  }

  /** The key of a row: its key's columns, or all of it. */
  keyOf(row: Row): Row {
    if (this.key.length === 0) return row;
    return Object.fromEntries(this.key.map((name) => [name, row[name] ?? null]));
  }
}

/** The columns whose values are written: not the generated ones. */
function columnsOf(sql: string): { name: string; type: string }[] {
  const line = new RegExp(`^ {2}(${quoted}) (.*?),?$`, 'gm');
  const columns = [...sql.matchAll(line)].map(([, name = '', rest = '']) => ({
    name: unquoted(name),
    type: rest,
  }));
  const generated = / GENERATED ALWAYS AS \((?!.* ROW (?:START|END))/;
  const written = columns.filter(({ type }) => !generated.test(type));
  const hidden = /WITH SYSTEM VERSIONING/.test(sql) && !/PERIOD FOR SYSTEM_TIME/i.test(sql);
  return hidden
    ? [...written, ...['row_start', 'row_end'].map((name) => ({ name, type: 'timestamp(6)' }))]
    : written;
}
