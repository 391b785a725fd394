import type { Connection } from '../open.ts';
import type { RowValue } from '../../rows.ts';

/** A row that has no equal in its place on the other side. */
export interface Leftover {
  side: 'from' | 'to';
  rowid: bigint;
  payload: Buffer;
}

/**
 * Rows that are to be matched by something else than their place: by their key, or, for want of one, by all of them.
 * They are in a temporary database of SQLite's, which sorts them and goes to disk when they are many (VACUUM may give
 * every row another rowid).
 */
export class Leftovers {
  readonly #connection: Connection;
  readonly #add: (
    side: bigint,
    group: Buffer,
    rowid: bigint,
    payload: Buffer,
    key: readonly RowValue[],
  ) => void;
  readonly #order: string;

  private constructor(connection: Connection, keyColumns: number) {
    this.#connection = connection;
    const keys = Array.from({ length: keyColumns }, (_, at) => `k${at}`);
    this.#order = [...keys, 'grp', 'side', 'id'].join(', ');
    connection.exec(
      `CREATE TABLE keyed(${['side', 'grp', 'id', 'payload', ...keys].join(', ')});
       CREATE TABLE keyless(side, grp, id, payload); BEGIN`,
    );
    const marks = keys.map(() => ', ?').join('');
    const keyed = connection.prepare(`INSERT INTO keyed VALUES (?, ?, ?, ?${marks})`);
    const keyless = connection.prepare('INSERT INTO keyless VALUES (?, ?, ?, ?)');
    this.#add = (side, group, rowid, payload, key) =>
      key.length > 0
        ? keyed.run(side, group, rowid, payload, ...key)
        : keyless.run(side, group, rowid, payload);
  }

  static async open(keyColumns: number): Promise<Leftovers> {
    const { default: Database } = await import('better-sqlite3');
    return new Leftovers(new Database(''), keyColumns);
  }

  /**
   * @param group equal for rows with the same key; without a key, equal for equal rows
   * @param key what rows are sorted by; empty for one without a key
   */
  add(row: Leftover, group: Buffer, key: readonly RowValue[]): void {
    this.#add(row.side === 'from' ? 0n : 1n, group, row.rowid, row.payload, key);
  }

  /** The rows of each key, in the order of the keys. */
  *byKey(): Generator<Leftover[]> {
    const rows = this.#connection.prepare(`SELECT side, grp, id, payload FROM keyed ORDER BY ${this.#order}`);
    let group: Leftover[] = [];
    let last: Buffer | undefined;
    for (const row of rows.safeIntegers().iterate() as Iterable<StoredLeftover>) {
      if (last !== undefined && !last.equals(row.grp)) {
        yield group;
        group = [];
      }
      last = row.grp;
      group.push(leftover(row));
    }
    if (group.length > 0) yield group;
  }

  /** Rows without a key of which one side has more than the other. */
  *surplus(): Generator<Leftover> {
    const rows = this.#connection.prepare(
      `SELECT side, grp, id, payload FROM (
         SELECT *, row_number() OVER (PARTITION BY grp, side ORDER BY id) AS n,
           count(*) FILTER (WHERE side = 0) OVER (PARTITION BY grp) AS a,
           count(*) FILTER (WHERE side = 1) OVER (PARTITION BY grp) AS b
         FROM keyless)
       WHERE n > min(a, b) ORDER BY id, side`,
    );
    for (const row of rows.safeIntegers().iterate() as Iterable<StoredLeftover>) yield leftover(row);
  }

  close(): void {
    this.#connection.close();
  }
}

interface StoredLeftover {
  side: bigint;
  grp: Buffer;
  id: bigint;
  payload: Buffer;
}

function leftover({ side, id, payload }: StoredLeftover): Leftover {
  return { side: side === 0n ? 'from' : 'to', rowid: id, payload };
}
