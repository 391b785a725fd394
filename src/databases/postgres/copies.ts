import { PitrError } from '../../errors.ts';
import type { BytePath } from '../../git/paths.ts';
import type { Repository } from '../../git/repository.ts';
import type { Row } from '../rows.ts';
import { postData, preData, tableName, tableOfPart } from '../text/layout.ts';
import { listTableParts, readText } from '../text/reader.ts';
import { partText } from './capture.ts';
import { readFields, readValue } from './copyText.ts';
import {
  columnTypes,
  keyOf,
  keysOf,
  partitionsOf,
  readHead,
  type SchemaObject,
  schemaObjects,
} from './schemaText.ts';

/** A recorded copy, looked at as tables and definitions. */
export class RecordedCopy {
  readonly tree: string;
  readonly objects: readonly SchemaObject[];
  /** The folders of tables without their numbers -> part and tree. */
  readonly parts: ReadonlyMap<string, { part: BytePath; oid: string }>;
  readonly #repository: Repository;
  #keys: Map<string, string[]> | undefined;

  private constructor(
    repository: Repository,
    tree: string,
    objects: readonly SchemaObject[],
    parts: ReadonlyMap<string, { part: BytePath; oid: string }>,
  ) {
    this.#repository = repository;
    this.tree = tree;
    this.objects = objects;
    this.parts = parts;
  }

  /** An empty tree stands for a database that was not there. */
  static async read(repository: Repository, tree: string): Promise<RecordedCopy> {
    if (tree === '') return new RecordedCopy(repository, '', [], new Map());
    const texts = await Promise.all([preData, postData].map((part) => partText(repository, tree, part)));
    const objects = texts.flatMap((text) => schemaObjects(text.toString('utf8')));
    const parts = await listTableParts(repository, tree);
    return new RecordedCopy(
      repository,
      tree,
      objects,
      new Map(parts.map((entry) => [tableOfPart(entry.part) ?? entry.part, entry])),
    );
  }

  /**
   * The tables that a person's name means, as folders: `schema.table`, `table` of the schema public, or all partitions
   * of a partitioned table. Undefined when there is none.
   */
  tablesNamed(name: string): string[] | undefined {
    const dot = name.indexOf('.');
    const candidates: [string, string][] = [['public', name]];
    for (let at = dot; at !== -1; at = name.indexOf('.', at + 1))
      candidates.push([name.slice(0, at), name.slice(at + 1)]);
    for (const [schema, table] of candidates) {
      const folder = tableName(schema, table);
      if (this.parts.has(folder)) return [folder];
      const leaves = this.#leavesOf(keyOf(schema, table));
      if (leaves.length > 0) return leaves;
    }
    return undefined;
  }

  #leavesOf(table: string): string[] {
    const partitions = partitionsOf(this.objects);
    return (partitions.get(table) ?? []).flatMap((partition) => {
      const [schema = '', name = ''] = partition
        .slice(1, -1)
        .split('"."')
        .map((part) => part.replaceAll('""', '"'));
      const folder = tableName(schema, name);
      return this.parts.has(folder) ? [folder] : this.#leavesOf(partition);
    });
  }

  /** How the rows of a table are read. Error: `integrity` for rows without a head. */
  async table(folder: string): Promise<RecordedTable> {
    const entry = this.parts.get(folder);
    if (entry === undefined) throw new Error(`no table ${folder}`);
    let start = '';
    for await (const { content } of readText(this.#repository, this.tree, [entry.part])) {
      start += content.toString('utf8');
      if (start.includes(' FROM stdin;\n')) break;
    }
    const head = start.slice(0, start.indexOf(' FROM stdin;\n') + ' FROM stdin;'.length);
    const read = readHead(head);
    if (read === undefined)
      throw new PitrError('integrity', `The rows of ${folder} in the tree ${this.tree} have no head.`);
    this.#keys ??= keysOf(this.objects);
    const key = keyOf(read.schema, read.name);
    const types = columnTypes(this.objects, key);
    const columns = read.columns.map((name) => ({ name, type: types.get(name) ?? '' }));
    // A generated column may be in the key, and its values are not recorded.
    const keyColumns = (this.#keys.get(key) ?? []).filter((name) => read.columns.includes(name));
    return new RecordedTable(`${read.schema}.${read.name}`, entry.part, head, columns, keyColumns);
  }
}

export class RecordedTable {
  /** `schema.table` */
  readonly name: string;
  readonly part: BytePath;
  readonly head: string;
  readonly columns: readonly { name: string; type: string }[];
  /** Columns of its key; empty without one. */
  readonly key: readonly string[];

  constructor(
    name: string,
    part: BytePath,
    head: string,
    columns: readonly { name: string; type: string }[],
    key: readonly string[],
  ) {
    this.name = name;
    this.part = part;
    this.head = head;
    this.columns = columns;
    this.key = key;
  }

  /** True for the first line and the last. */
  isFrame(line: string): boolean {
    return line === '\\.' || line === Buffer.from(this.head, 'utf8').toString('latin1');
  }

  /** The row of a line, given as latin1 text. */
  row(line: string): Row {
    const fields = this.columns.length === 0 ? [] : readFields(line);
    return Object.fromEntries(
      this.columns.map(({ name, type }, index) => [name, readValue(fields[index] ?? null, type)]),
    );
  }

  /** The key of a row: its key's columns, or all of it. */
  keyOf(row: Row): Row {
    if (this.key.length === 0) return row;
    return Object.fromEntries(this.key.map((name) => [name, row[name] ?? null]));
  }
}
