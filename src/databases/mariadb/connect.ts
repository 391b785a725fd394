import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Connection } from 'mysql2';
import { messageOf, PitrError } from '../../errors.ts';
import { type Address, describeAddress } from './address.ts';

/** Connecting to a server, asking it, and what its errors mean. */

type Row = Readonly<Record<string, string | null>>;

/** Every value comes as text, as the server writes it: no number is rounded, no date moved to another zone. */
export class Client {
  /** The server's number of this connection. */
  readonly id: number;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.id = connection.threadId ?? 0;
  }

  run(sql: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#connection.query(sql, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** True while a transaction is open: the server may have rolled it back without an error that reached us. */
  inTransaction(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      // In the status of every answer (SERVER_STATUS_IN_TRANS); mysql2 shows that of a statement without rows.
      this.#connection.query('DO 0', (error, result) =>
        error === null
          ? resolve((((result as { serverStatus?: number }).serverStatus ?? 0) & 1) === 1)
          : reject(error),
      );
    });
  }

  /** The rows of a query. */
  ask<Shape extends Row>(sql: string): Promise<Shape[]> {
    return new Promise((resolve, reject) => {
      const options = { sql, typeCast: (field: { string(): string | null }) => field.string() };
      this.#connection.query(options as { sql: string }, (error, rows) =>
        error === null ? resolve(rows as unknown as Shape[]) : reject(error),
      );
    });
  }

  /** The one row of a query. */
  async askOne<Shape extends Row>(sql: string): Promise<Shape> {
    const [row] = await this.ask<Shape>(sql);
    if (row === undefined) throw new PitrError('failed', 'The server gave no answer.');
    return row;
  }

  /**
   * The first column of a query, streamed. Who stops in the middle must end the connection. Error: that of the connection
   * too, which mysql2 (3.24) does not tell a stream: it would be waited for without an end.
   */
  async *column(sql: string): AsyncGenerator<Buffer | null> {
    const options = {
      sql,
      rowsAsArray: true,
      typeCast: (field: { buffer(): Buffer | null }) => field.buffer(),
    };
    let stream: Readable | undefined;
    let lost: Error | undefined;
    const onLost = (error: Error) => {
      lost = error;
      stream?.destroy(error);
    };
    this.#connection.on('error', onLost);
    try {
      stream = this.#connection.query(options as { sql: string }).stream({ highWaterMark: 2000 });
      if (lost !== undefined) stream.destroy(lost);
      for await (const row of stream) yield (row as [Buffer | null])[0];
    } finally {
      this.#connection.off('error', onLost);
    }
  }

  /** Ends the connection; a broken one too. The server rolls back and unlocks what it held. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#connection.destroy();
        resolve();
      }, 1000);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Ends the connection at once, whatever is under way. It is over when this is: whoever looks next finds no lock of it. */
  async destroy(): Promise<void> {
    const { stream } = this.#connection as unknown as { stream: Socket };
    const gone = stream.closed ? undefined : once(stream, 'close', { signal: AbortSignal.timeout(1000) });
    this.#connection.destroy();
    await gone?.catch(() => {}); // the server still works at a statement; it sees that we are gone afterwards
  }
}

export interface ConnectOptions {
  /** Another database of the same server; '' for none. */
  database?: string;
}

/**
 * Opens a connection whose session is set as `sessionSettings` says. Errors: `failed` with the server's reason; with the
 * detail `missing` when there is no such database.
 */
export async function connect(
  address: Address,
  { database = address.database }: ConnectOptions = {},
): Promise<Client> {
  const { default: mysql } = await import('mysql2');
  const { socket, tls, password } = address;
  const connection = mysql.createConnection({
    ...(socket === undefined ? { host: address.host, port: address.port } : { socketPath: socket }),
    user: address.user,
    ...(password === undefined ? {} : { password }),
    ...(database === '' ? {} : { database }),
    ...(tls === undefined ? {} : { ssl: tls as Record<string, unknown> }),
    charset: 'utf8mb4',
    connectTimeout: 15_000,
    // One statement at a time: what a fetched snapshot holds cannot hide another one behind it.
    multipleStatements: false,
    // Nothing of this machine is read for a `LOAD DATA LOCAL` in such a snapshot.
    flags: ['-LOCAL_FILES'],
  });
  // A connection that breaks while nobody waits for an answer: the next question tells.
  connection.on('error', () => {});
  try {
    await new Promise<void>((resolve, reject) => {
      connection.connect((error) => (error === null ? resolve() : reject(error)));
    });
    const client = new Client(connection);
    for (const statement of sessionSettings) await client.run(statement);
    return client;
  } catch (error) {
    connection.destroy();
    throw explain(address, error);
  }
}

export const usualMode = `SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'`;

/** What decides how values are read and written. Strictness is off: zero dates and the like come back as they were. */
export const sessionSettings: readonly string[] = [
  'SET NAMES utf8mb4',
  `SET time_zone = '+00:00'`,
  usualMode,
  'SET sql_quote_show_create = 1',
  // While git writes, the server waits for us to read on.
  'SET net_write_timeout = 86400',
  'SET wait_timeout = 86400',
];

/** Runs `work` with a connection of its own. */
export async function withClient<Result>(
  address: Address,
  work: (client: Client) => Promise<Result>,
  options: ConnectOptions = {},
): Promise<Result> {
  const client = await connect(address, options);
  try {
    const result = await work(client);
    await client.close();
    return result;
  } catch (error) {
    await client.destroy();
    throw explain(address, error);
  }
}

/** The server's number of an error (https://mariadb.com/kb/en/mariadb-error-code-reference/); 0 for any other. */
export function errorNumber(error: unknown): number {
  const number = (error as { errno?: unknown } | null)?.errno;
  return typeof number === 'number' && number > 0 ? number : 0;
}

/** True for a lock that was not had in time, and for what a deadlock ended. */
export function isLocked(error: unknown): boolean {
  return [1205, 1213].includes(errorNumber(error));
}

const withoutRight = new Set([1044, 1142, 1143, 1227, 1370, 1410, 1419]);

/** True when the server says that this user may not do it. */
export function isForbidden(error: unknown): boolean {
  return withoutRight.has(errorNumber(error));
}

/** What an error of the server means for a person; errors of git-pitr are given back as they are. */
export function explain(address: Address, error: unknown): unknown {
  if (error instanceof PitrError) return error;
  const where = `The database "${address.name}" (${describeAddress(address)})`;
  const number = errorNumber(error);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const said = withoutSecret(address, (messageOf(error) || code).replace(/\.$/, ''));
  if (number === 1049)
    return new PitrError('failed', `${where} does not exist.`, { details: { missing: true } });
  if (number === 1045 || number === 1698)
    return new PitrError('failed', `${where} does not let you in: ${said}.`, {
      hints: [
        'Keep the password in ~/.my.cnf (mode 0600, in the group [client]), in MYSQL_PWD, or in an environment variable that holds the whole url (env:NAME).',
      ],
    });
  if (isForbidden(error))
    return new PitrError('failed', `${where} refuses it: ${said}.`, {
      hints: [
        'A copy needs SELECT, SHOW VIEW, TRIGGER, EVENT and LOCK TABLES on the database, and to read the text of its routines (their owner may, and whoever has SELECT on mysql.*).',
        'A restore needs all privileges on it and on the databases that it makes beside it, and SET USER (or SUPER) for what others have defined.',
      ],
    });
  if (isLocked(error))
    return new PitrError('busy', `${where} is in use: ${said}.`, {
      hints: ['git config pitr.lockTimeout 2m waits longer.'],
    });
  if (number === 0 && /^(E[A-Z]+|PROTOCOL_\w+|HANDSHAKE_\w+)$/.test(code))
    return new PitrError('failed', `${where} cannot be reached: ${said}.`, {
      hints: ['Is the server running, and are host and port right?'],
    });
  return new PitrError('failed', `${where}: ${said}${number === 0 ? '' : ` (${number})`}.`, { cause: error });
}

/** The text without the password, whatever put it there. */
function withoutSecret({ password }: Address, text: string): string {
  return password === undefined || password === '' ? text : text.replaceAll(password, '***');
}

/** A name as SQL has it. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** Text as SQL has it while backslashes escape, always on one line. */
export function quoteText(text: string): string {
  const escapes: Record<string, string> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\0': '\\0' };
  return `'${text.replace(/[\\'\n\r\0]/g, (char) => escapes[char] as string)}'`;
}
