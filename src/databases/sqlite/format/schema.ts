import { messageOf, PitrError } from '../../../errors.ts';
import type { Connection } from '../open.ts';
import { type Affinity, affinityOf, stored, storedDefault } from './affinity.ts';
import { pageTypes } from './btree.ts';
import type { Pages } from './pages.ts';
import { readRecord, type Stored, StoredText } from './record.ts';
import { decodeText, type Encoding } from './text.ts';

/** The schema of a recorded database: what is in its sqlite_schema table, and what its tables look like. */

export interface SchemaObject {
  type: string;
  name: string;
  /** The table it belongs to. */
  table: string;
  /** Its first page; 0 for views, triggers and virtual tables. */
  root: number;
  /** Missing for the indexes that SQLite makes for constraints. */
  sql: string | undefined;
}

export interface Column {
  name: string;
  affinity: Affinity;
  /** What a record has that was written before the column was added. */
  missing: Stored;
}

export interface KeyPart {
  /** Position among the stored columns. */
  column: number;
  collation: string;
  descending: boolean;
}

export interface Table {
  name: string;
  /** In the order of a record; generated columns that are not stored are not there. */
  columns: readonly Column[];
  /** The position of the column that is the rowid (INTEGER PRIMARY KEY). */
  rowid: number | undefined;
  withoutRowid: boolean;
  /** The primary key. */
  key: readonly KeyPart[];
  /** The name of the index of the primary key, for a table with rowids that has one. */
  keyIndex: string | undefined;
}

/** Reads all rows of sqlite_schema. */
export async function readSchema(pages: Pages | undefined): Promise<SchemaObject[]> {
  if (pages === undefined) return [];
  const objects: SchemaObject[] = [];
  for (let level = [1], depth = 0; level.length > 0; depth++) {
    if (depth > 20) throw new RangeError('the schema is deeper than any');
    const below: number[] = [];
    for (const page of await pages.btree(level)) {
      if (!page.ofTable) throw new RangeError('the schema is no table');
      for (let at = 0; at < page.count; at++) {
        const cell = page.cell(at);
        if (page.type === pageTypes.tableInterior) below.push(cell.child);
        else if (cell.payload !== undefined)
          objects.push(schemaObject(readRecord(await pages.whole(cell.payload)), pages.encoding));
      }
      if (!page.isLeaf) below.push(page.right);
    }
    level = below;
  }
  return objects;
}

function schemaObject(values: readonly Stored[], encoding: Encoding): SchemaObject {
  const text = (value: Stored | undefined) =>
    value instanceof StoredText ? decodeText(value.bytes, encoding) : undefined;
  const root = values[3];
  return {
    type: text(values[0]) ?? '',
    name: text(values[1]) ?? '',
    table: text(values[2]) ?? '',
    root: typeof root === 'bigint' ? Number(root) : 0,
    sql: text(values[4]),
  };
}

/** True for a table with rows of its own: not a virtual one, and none of SQLite's. */
export function holdsRows({ type, name, root }: SchemaObject): boolean {
  return type === 'table' && root > 0 && !name.startsWith('sqlite_');
}

/**
 * What SQLite itself makes of definitions. The text may come from a hostile snapshot, so none of it is run: it is put
 * into the schema table of an empty database in memory, which SQLite then only parses, as it does on opening a file.
 */
export class Definitions {
  readonly #connection: Connection;
  readonly #encoding: Encoding;
  readonly #schemaFormat: number;

  private constructor(connection: Connection, { encoding, schemaFormat }: Pages) {
    this.#connection = connection;
    this.#encoding = encoding;
    this.#schemaFormat = schemaFormat;
  }

  /** Error: `failed` when this SQLite does not understand a definition (it may be of a newer one). */
  static async open(objects: readonly SchemaObject[], pages: Pages): Promise<Definitions> {
    const { default: Database } = await import('better-sqlite3');
    const connection = new Database(':memory:');
    try {
      connection.pragma('trusted_schema = OFF');
      connection.unsafeMode(true); // allows writing to the schema table of this empty database
      connection.exec('CREATE TABLE "pitr seat"(x)'); // its root page stands for all of them
      connection.pragma('writable_schema = ON');
      const insert = connection.prepare(`INSERT INTO sqlite_schema VALUES ('table', ?, ?, 2, ?)`);
      for (const { name, sql } of objects.filter((object) => object.type === 'table' && object.root > 0))
        insert.run(name, name, sql);
      connection.pragma('writable_schema = RESET');
      connection.unsafeMode(false);
      return new Definitions(connection, pages);
    } catch (cause) {
      connection.close();
      throw new PitrError(
        'failed',
        `The recorded definitions of the tables cannot be read: ${messageOf(cause)}.`,
        {
          hints: ['They may be of a newer SQLite than the one in git-pitr.'],
          cause,
        },
      );
    }
  }

  table(name: string): Table {
    const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
    const rows = <Row>(query: string) => this.#connection.prepare(query).all() as Row[];
    const columns = rows<XInfo>(
      `SELECT cid, name, type, dflt_value, pk, hidden FROM pragma_table_xinfo(${quoted(name)})`,
    );
    const [list] = rows<{ wr: number }>(
      `SELECT wr FROM pragma_table_list(${quoted(name)}) WHERE schema = 'main'`,
    );
    const [index] = rows<{ name: string }>(
      `SELECT name FROM pragma_index_list(${quoted(name)}) WHERE origin = 'pk'`,
    );
    const withoutRowid = list?.wr === 1;
    const indexed =
      index === undefined
        ? []
        : rows<IndexInfo>(
            `SELECT cid, "desc", coll, "key" FROM pragma_index_xinfo(${quoted(index.name)}) ORDER BY seqno`,
          );
    const kept = columns.filter(({ hidden }) => hidden !== 2);
    // A table without rowids is an index: what its key has comes first.
    const order = withoutRowid ? indexed.map(({ cid }) => cid) : kept.map(({ cid }) => cid);
    const position = (cid: number) => order.indexOf(cid);
    const byKey = columns.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk);
    const alias = !withoutRowid && index === undefined ? byKey[0] : undefined;
    return {
      name,
      columns: order.map((cid) => this.#column(columns.find((column) => column.cid === cid) as XInfo)),
      rowid: alias === undefined ? undefined : position(alias.cid),
      withoutRowid,
      key:
        alias === undefined
          ? indexed
              .filter(({ key }) => key === 1)
              .map(({ cid, coll, desc }) => ({
                column: position(cid),
                collation: coll,
                descending: desc === 1 && this.#schemaFormat >= 4,
              }))
          : [{ column: position(alias.cid), collation: 'BINARY', descending: false }],
      keyIndex: withoutRowid ? undefined : index?.name,
    };
  }

  /** A value that was typed, as a column of this affinity would store it. */
  typed(value: string, affinity: Affinity): Stored {
    return stored(this.#connection, value, affinity, this.#encoding);
  }

  close(): void {
    this.#connection.close();
  }

  #column({ name, type, dflt_value: text }: XInfo): Column {
    const affinity = affinityOf(type);
    return { name, affinity, missing: storedDefault(this.#connection, text, affinity, this.#encoding) };
  }
}

interface XInfo {
  cid: number;
  name: string;
  type: string;
  dflt_value: string | null;
  pk: number;
  hidden: number;
}

interface IndexInfo {
  cid: number;
  desc: number;
  coll: string;
  key: number;
}
