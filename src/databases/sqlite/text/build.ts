import { messageOf, PitrError } from '../../../errors.ts';
import type { CapturedDatabase, EngineContext } from '../../engine.ts';
import { dataFolder } from '../../text/layout.ts';
import type { TextPart } from '../../text/writer.ts';
import { readAbout, readRecordedText, readText, type TextChunk } from '../../text/reader.ts';
import { type JournalVersions, normaliseHeader, rollbackVersions } from '../header.ts';
import type { Connection } from '../open.ts';
import { SqlScanner } from './tokens.ts';

/**
 * Makes a database file of recorded SQL text. The text may come from a hostile snapshot, so only such statements are
 * run as `script.ts` writes: none of them reaches another file (ATTACH and VACUUM INTO would).
 * Errors: `integrity` for a script that is not what was captured; `failed` for one that SQLite does not take.
 */
export async function buildFromText(
  { repository, signal }: EngineContext,
  source: CapturedDatabase,
  file: string,
): Promise<void> {
  const { default: Database } = await import('better-sqlite3');
  const connection = new Database(file);
  try {
    connection.pragma('trusted_schema = OFF');
    connection.pragma('journal_mode = MEMORY');
    connection.pragma('synchronous = OFF');
    connection.unsafeMode(true); // virtual tables are written into the schema, as the shell's .dump does it
    const run = new ScriptRun(connection);
    for await (const { part, content } of textOf(repository, source)) {
      signal?.throwIfAborted();
      run.take(part.startsWith(`${dataFolder}/`), content);
    }
    run.end();
  } catch (error) {
    if (error instanceof PitrError || signal?.aborted === true) throw error;
    throw new PitrError(
      'failed',
      `The recorded SQL text of the database "${source.name}" cannot be run: ${messageOf(error)}. Nothing was changed.`,
      {
        hints: [
          'git pitr list shows other snapshots.',
          `git config pitr.database.${source.name}.format image records the file itself from now on.`,
        ],
        cause: error,
      },
    );
  } finally {
    connection.close();
  }
  normaliseHeader(file, await textVersions(repository, source));
}

/** A copy that is only to be compared may come without its hash (`../../rowDiff.ts`). */
function textOf(repository: EngineContext['repository'], source: CapturedDatabase): AsyncIterable<TextChunk> {
  return Number.isNaN(source.bytes)
    ? readText(repository, source.tree)
    : readRecordedText(repository, source);
}

/**
 * Runs the parts of a script that hold no table's rows in an empty database. Error: SQLite's own, for a definition that
 * can be there and cannot be made (it uses what only the application has, or quotes texts as names).
 */
export async function rehearse(parts: Iterable<TextPart>): Promise<void> {
  const { default: Database } = await import('better-sqlite3');
  const connection = new Database(':memory:');
  try {
    connection.pragma('trusted_schema = OFF');
    connection.unsafeMode(true);
    const run = new ScriptRun(connection);
    for (const { path, content } of parts)
      if (!path.startsWith(`${dataFolder}/`)) for await (const piece of content) run.take(false, piece);
    run.end();
  } finally {
    connection.close();
  }
}

/** The journal mode that the database had. */
export async function textVersions(
  repository: EngineContext['repository'],
  source: CapturedDatabase,
): Promise<JournalVersions> {
  const about = await readAbout(repository, source.tree);
  return about['journal'] === 'wal' ? { write: 2, read: 2 } : rollbackVersions;
}

const allowed = [
  /^PRAGMA (page_size|auto_vacuum|application_id|user_version) = -?\d+$/,
  /^PRAGMA encoding = 'UTF-(8|16le|16be)'$/,
  /^PRAGMA (foreign_keys|ignore_check_constraints|writable_schema) = (ON|OFF)$/,
  /^(BEGIN TRANSACTION|COMMIT|DELETE FROM sqlite_sequence|ANALYZE sqlite_schema)$/,
  /^CREATE (TABLE|INDEX|UNIQUE INDEX|TRIGGER|VIEW)\s/i,
  /^INSERT INTO sqlite_schema\(type, name, tbl_name, rootpage, sql\) VALUES \('table', /,
];

const row = /^INSERT INTO "(?:[^"]|"")+"\(/;

class ScriptRun {
  readonly #connection: Connection;
  readonly #scanner = new SqlScanner();
  /** What was not run yet. Latin-1: a piece may end in the middle of a character. */
  #text = '';

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  take(isData: boolean, content: Buffer): void {
    let start = 0;
    this.#text += content.toString('latin1');
    for (;;) {
      const end = this.#scanner.next(this.#text);
      if (end === -1) break;
      if (this.#run(this.#text.slice(start, end).trimStart(), isData)) start = end + 1;
    }
    this.#text = this.#text.slice(start);
    this.#scanner.at -= start;
  }

  end(): void {
    if (this.#text.trim() !== '' || this.#connection.inTransaction) throw new Error('it ends too early');
  }

  /** False for the beginning of a trigger: its statements end in semicolons too. */
  #run(latin1: string, isData: boolean): boolean {
    const patterns = isData ? [row] : [row, ...allowed];
    if (!patterns.some((pattern) => pattern.test(latin1)))
      throw new Error(`it holds a statement that is not allowed: ${latin1.slice(0, 60)}`);
    const sql = Buffer.from(latin1, 'latin1').toString('utf8');
    try {
      const statement = this.#connection.prepare(sql); // one statement, or it fails
      if (statement.reader) statement.all();
      else statement.run();
      return true;
    } catch (error) {
      if (!isData && /incomplete input/.test(messageOf(error))) return false;
      throw error;
    }
  }
}
