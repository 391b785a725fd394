import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { messageOf, PitrError } from '../../errors.ts';
import type { TextChunk } from '../text/reader.ts';
import { dataFolder } from '../text/layout.ts';
import { type Client, stateOf } from './connect.ts';
import { endOfRows } from './rowData.ts';
import { largeObjectPart } from './script.ts';

export interface LoadOptions {
  /** Parts to leave out. */
  skip?: (part: string) => boolean;
  /** What to run in the place of a schema's statements. */
  rewrite?: (sql: string) => string;
  beforePart?: (part: string) => Promise<void>;
}

/**
 * Runs a recorded script on a connection, without psql: the server alone reads it, so a snapshot from elsewhere cannot
 * run commands of psql (`\!`) on this machine. The caller has begun the transaction and ends it.
 * Error: `failed`, with the statement.
 */
export async function loadScript(
  client: Client,
  name: string,
  chunks: AsyncIterable<TextChunk>,
  { skip = () => false, rewrite = (sql) => sql, beforePart }: LoadOptions = {},
): Promise<void> {
  let current = '';
  let section: Section | undefined;
  for await (const { part, content } of chunks) {
    if (part !== current) {
      await section?.end();
      await beforePart?.(part);
      section = skip(part) ? undefined : sectionOf(client, name, part, rewrite);
      current = part;
    }
    await section?.write(content);
  }
  await section?.end();
}

interface Section {
  write(content: Buffer): Promise<void>;
  end(): Promise<void>;
}

function sectionOf(client: Client, name: string, part: string, rewrite: (sql: string) => string): Section {
  if (part.startsWith(`${dataFolder}/`)) return new Rows(client, name, part);
  if (part === largeObjectPart) return new Lines(client, name);
  return new Statements(client, name, rewrite);
}

/** Statements that may stretch over lines: sent together, and told apart by the server. */
class Statements implements Section {
  readonly #client: Client;
  readonly #name: string;
  readonly #rewrite: (sql: string) => string;
  readonly #parts: Buffer[] = [];

  constructor(client: Client, name: string, rewrite: (sql: string) => string) {
    this.#client = client;
    this.#name = name;
    this.#rewrite = rewrite;
  }

  async write(content: Buffer): Promise<void> {
    this.#parts.push(content);
  }

  async end(): Promise<void> {
    await run(this.#client, this.#name, this.#rewrite(Buffer.concat(this.#parts).toString('utf8')));
  }
}

/** A statement a line: sent as they come. */
class Lines implements Section {
  readonly #client: Client;
  readonly #name: string;
  #rest = '';

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async write(content: Buffer): Promise<void> {
    // What is not ASCII in it are names and comments, and a line may be cut in the middle of one.
    const text = this.#rest + content.toString('latin1');
    const end = text.lastIndexOf('\n') + 1;
    this.#rest = text.slice(end);
    await run(this.#client, this.#name, Buffer.from(text.slice(0, end), 'latin1').toString('utf8'));
  }

  async end(): Promise<void> {
    await run(this.#client, this.#name, Buffer.from(this.#rest, 'latin1').toString('utf8'));
  }
}

/** `COPY … FROM stdin;`, the rows, `\.` */
class Rows implements Section {
  readonly #client: Client;
  readonly #name: string;
  readonly #part: string;
  #stream: Writable | undefined;
  #done: Promise<void> | undefined;
  /** What is not sent yet: the beginning, until the head is whole, and then what may be the last line. */
  #held = Buffer.alloc(0);

  constructor(client: Client, name: string, part: string) {
    this.#client = client;
    this.#name = name;
    this.#part = part;
  }

  async write(content: Buffer): Promise<void> {
    this.#held = Buffer.concat([this.#held, content]);
    if (this.#stream === undefined && !(await this.#open())) return;
    const send = this.#held.subarray(0, Math.max(0, this.#held.length - endOfRows.length));
    this.#held = this.#held.subarray(send.length);
    if (send.length === 0 || this.#stream?.write(send) === true) return;
    await this.#unless(once(this.#stream as Writable, 'drain'));
  }

  async end(): Promise<void> {
    if (this.#stream === undefined || !this.#held.equals(endOfRows))
      throw new PitrError(
        'integrity',
        `The rows of ${this.#part} in the copy of "${this.#name}" are not whole.`,
      );
    this.#stream.end();
    await this.#unless(this.#done as Promise<void>);
  }

  async #open(): Promise<boolean> {
    const end = this.#held.indexOf(' FROM stdin;\n');
    if (end === -1) return false;
    const head = this.#held.subarray(0, end).toString('utf8');
    if (!head.startsWith('COPY '))
      throw new PitrError(
        'integrity',
        `The rows of ${this.#part} in the copy of "${this.#name}" have no head.`,
      );
    this.#held = this.#held.subarray(end + ' FROM stdin;\n'.length);
    const { default: copy } = await import('pg-copy-streams');
    this.#stream = this.#client.query(copy.from(`${head} FROM STDIN`));
    this.#done = finished(this.#stream);
    this.#done.catch(() => {}); // whoever waits for it hears of it
    return true;
  }

  async #unless(step: Promise<unknown>): Promise<void> {
    try {
      await Promise.race([step, this.#done]);
    } catch (error) {
      throw failed(this.#name, `the rows of ${this.#part.slice(dataFolder.length + 1)}`, error);
    }
  }
}

async function run(client: Client, name: string, sql: string): Promise<void> {
  if (sql.trim() === '') return;
  try {
    await client.query(sql);
  } catch (error) {
    throw failed(name, statementAt(sql, error), error);
  }
}

/** The statement of an error, as far as it can be told and shown. */
function statementAt(sql: string, error: unknown): string {
  const position = Number((error as { position?: string }).position ?? Number.NaN);
  if (!Number.isInteger(position)) return 'a statement of its schema';
  // It counts characters, and JavaScript pairs some: near enough, for an excerpt.
  const start = sql.lastIndexOf(';\n', position - 1) + 1;
  const statement = sql.slice(start, start + 200).trim();
  // A schema may hold passwords of other servers (CREATE USER MAPPING).
  return /password/i.test(statement) ? 'a statement of its schema' : statement.replaceAll(/\s+/g, ' ');
}

function failed(name: string, what: string, error: unknown): unknown {
  if (error instanceof PitrError) return error;
  const state = stateOf(error);
  const said = messageOf(error);
  return new PitrError(
    'failed',
    `The copy of the database "${name}" cannot be loaded: ${said} (${state === '' ? 'connection lost' : state}), at: ${what}. The database was not changed.`,
    {
      hints: [
        ...(state === '42704' && /role/.test(said)
          ? ['A role that owned something then is gone: create it again (roles are not part of a database).']
          : []),
        ...(state === '42501'
          ? [
              'This user may not do all that the schema asks for: use the owner of everything in it, or a superuser.',
            ]
          : []),
        ...(/extension/.test(said)
          ? ['An extension that was there then is not installed: install its package on the server.']
          : []),
      ],
      cause: error,
    },
  );
}
