import type { Config, DatabaseConfig } from '../config/config.ts';
import type { ErrorKind } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import type { SnapshotDatabase } from '../timeline/snapshot.ts';
import type { DatabaseChange, Row } from './rows.ts';

/**
 * What every database engine offers. These doc comments are the contract; callers (capture, restore, verify, diff)
 * know no engine by name.
 */

export interface EngineContext {
  repository: Repository;
  config: Config;
  database: DatabaseConfig;
  /** A private folder for working files, on the repository's disk; the caller removes it afterwards. */
  scratchDir: string;
  /** End the sessions of others that are in the way (`--disconnect`). */
  disconnect?: boolean;
  signal?: AbortSignal;
}

/** A consistent copy in the object store that nothing refers to yet. */
export interface CapturedDatabase extends SnapshotDatabase {
  /** The tree for `databases/<name>/`. */
  tree: string;
}

export interface FailedDatabase {
  name: string;
  engine: string;
  reason: string;
  /** What the person can do about it. */
  hints: readonly string[];
  /** `missing` when there is no database at all: then a restore overwrites nothing. */
  kind: ErrorKind | 'missing';
}

export interface DatabaseEngine {
  readonly name: string;

  /**
   * Copies the database as it is at one instant, while others use it.
   * @param previous the copy of the newest snapshot: an unchanged database is recognised by it without being read
   *   again, and only chunks that changed are written
   * Errors: `busy` past `pitr.lockTimeout`; `integrity` for a damaged database; `failed` with the reason otherwise.
   */
  capture(context: EngineContext, previous: CapturedDatabase | undefined): Promise<CapturedDatabase>;

  /**
   * Looks whether a restore could begin: nobody else holds a lock that keeps it out. Changes nothing; a database that
   * is not there is free. Error: `busy` past `pitr.lockTimeout`.
   */
  requireFree(context: EngineContext): Promise<void>;

  /** True when there is a database now, whatever is in it. Errors: those of a server that cannot be asked. */
  isThere(context: EngineContext): Promise<boolean>;

  /**
   * Brings the live database to `target`, all of it or nothing, and checks that its content is the target's.
   * @param now the copy that stands for what is overwritten; when the live database has moved on since, nothing is
   *   changed. Absent where there is no database now.
   * Errors: `busy` past `pitr.lockTimeout`; `refused` when the database changed since `now`; `integrity` when the
   *   result is not the target (then the old state is back).
   */
  restore(context: EngineContext, target: CapturedDatabase, now: CapturedDatabase | undefined): Promise<void>;

  /** Writes the copy into the folder `into` for people: a database file, or SQL. Gives the path written. */
  materialize(context: EngineContext, source: CapturedDatabase, into: string): Promise<string>;

  /**
   * Looks into a copy, with what the engine has for that; what is wrong with it, or undefined. Missing where that needs
   * a server.
   */
  check?(context: EngineContext, source: CapturedDatabase): Promise<string | undefined>;

  /**
   * What differs between two copies, by table and then in the order of keys where that is cheap; definitions come
   * apart from rows. The cost grows with the change. A missing copy stands for a database that was not there.
   * @param tables only these, with what belongs to them
   * Error: `noMatch` for a table that neither copy has.
   */
  diff?(
    context: EngineContext,
    from: CapturedDatabase | undefined,
    to: CapturedDatabase | undefined,
    tables?: readonly string[],
  ): AsyncIterable<DatabaseChange>;

  /**
   * The row of a key in a copy; undefined if there is none.
   * @param key the values of the primary key, as they are typed
   * Error: `noMatch` for an unknown table or a key that does not fit.
   */
  row?(
    context: EngineContext,
    copy: CapturedDatabase,
    table: string,
    key: readonly string[],
  ): Promise<Row | undefined>;

  /**
   * Brings only these tables to `target`, in one transaction; foreign keys are checked at its end.
   * Errors: `refused` with the detail `tables`, all that would have to come along; `refused` without it when the
   *   database changed since `now`; as in `restore` otherwise. A table that neither copy has is nothing to restore.
   */
  restoreTables?(
    context: EngineContext,
    target: CapturedDatabase,
    now: CapturedDatabase,
    tables: readonly string[],
  ): Promise<void>;
}
