/** What differs between two copies of a database, in rows; engines speak it, the commands show it. */

/** A value as a person reads it: null, number, bigint, text, or bytes. */
export type RowValue = null | number | bigint | string | Uint8Array;

export type Row = Readonly<Record<string, RowValue>>;

export interface RowChange {
  kind: 'added' | 'removed' | 'changed';
  table: string;
  /** The primary key; the full row where there is none. */
  key: Row;
  before?: Row;
  after?: Row;
}

/** A table, index, view … that differs in its definition. `before` or `after` is absent where it does not exist. */
export interface SchemaChange {
  kind: 'schema';
  object: string;
  type: string;
  before?: string;
  after?: string;
}

export type DatabaseChange = RowChange | SchemaChange;
