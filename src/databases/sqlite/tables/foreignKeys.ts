import type { Connection } from '../open.ts';

/** Rows of `child` that refer to rows of `parent` that are not there. */
export interface Needed {
  child: string;
  parent: string;
  rows: number;
}

interface Violation {
  table: string;
  rowid: number | null;
  parent: string;
  fkid: number;
}

/** The foreign keys into and out of tables that are changed. */
export class ForeignKeys {
  readonly #connection: Connection;
  /** Table -> how often each violation was there already, before the change or in the recorded state. */
  readonly #known = new Map<string, Map<string, number>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Begins to look at a table and at those that refer to it. Comes before the table is changed. */
  watch(table: string): void {
    for (const child of [table, ...this.#children('main', table), ...this.#children('target', table)]) {
      if (this.#known.has(child)) continue;
      const counts = new Map<string, number>();
      for (const schema of ['main', 'target']) {
        const here = new Map<string, number>();
        for (const violation of this.#violations(schema, child))
          here.set(keyOf(violation), (here.get(keyOf(violation)) ?? 0) + 1);
        for (const [key, count] of here) counts.set(key, Math.max(count, counts.get(key) ?? 0));
      }
      this.#known.set(child, counts);
    }
  }

  /** What is violated now and was not before. */
  broken(): Needed[] {
    const needed = new Map<string, Needed>();
    for (const [table, known] of this.#known) {
      const counts = new Map<string, number>();
      for (const violation of this.#violations('main', table)) {
        const key = keyOf(violation);
        counts.set(key, (counts.get(key) ?? 0) + 1);
        if ((counts.get(key) ?? 0) <= (known.get(key) ?? 0)) continue;
        const parent = this.#nameOf(violation.parent);
        const one = needed.get(`${table}\0${parent}`) ?? { child: table, parent, rows: 0 };
        needed.set(`${table}\0${parent}`, { ...one, rows: one.rows + 1 });
      }
    }
    return [...needed.values()];
  }

  #violations(schema: string, table: string): Violation[] {
    try {
      const check = this.#connection.prepare(
        `SELECT "table", "rowid", parent, fkid FROM pragma_foreign_key_check(?, ?)`,
      );
      return check.all(table, schema) as Violation[];
    } catch (error) {
      // A key that no table could fulfil ("foreign key mismatch") is for nobody to break.
      if (/foreign key mismatch|no such table/.test(String(error))) return [];
      throw error;
    }
  }

  #children(schema: string, table: string): string[] {
    return this.#connection
      .prepare(
        `SELECT DISTINCT t.name FROM pragma_table_list AS t, pragma_foreign_key_list(t.name, t.schema) AS k
         WHERE t.schema = ? AND t.type = 'table' AND k."table" = ? COLLATE NOCASE ORDER BY 1`,
      )
      .pluck()
      .all(schema, table) as string[];
  }

  /** A foreign key may name its table in other letters. */
  #nameOf(table: string): string {
    const name = this.#connection
      .prepare(
        "SELECT name FROM (SELECT name, type FROM main.sqlite_schema UNION ALL SELECT name, type FROM target.sqlite_schema) WHERE type = 'table' AND name = ? COLLATE NOCASE",
      )
      .pluck()
      .get(table) as string | undefined;
    return name ?? table;
  }
}

function keyOf({ rowid, parent, fkid }: Violation): string {
  return `${rowid ?? ''}\0${parent}\0${fkid}`;
}
