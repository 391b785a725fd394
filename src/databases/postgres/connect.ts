import type { Client as PgClient, QueryResultRow } from 'pg';
import { messageOf, PitrError } from '../../errors.ts';
import { passwordFromFile } from './passwordFile.ts';
import { type Address, applicationName, describeAddress, tlsOptions } from './address.ts';

export type Client = PgClient;

/** Connecting to a server, asking it, and what its errors mean. */

/**
 * Opens a connection; close it with `disconnect`. Errors: `failed` with the server's reason; with the detail `missing`
 * when there is no such database.
 */
export async function connect(address: Address): Promise<Client> {
  const { default: pg } = await import('pg');
  const ways = tlsOptions(address);
  for (const [index, ssl] of ways.entries()) {
    const client = new pg.Client({
      host: address.host,
      port: address.port,
      user: address.user,
      database: address.database,
      // Asked only when the server wants one; `pg` would look into the file itself, with a warning that it soon will not.
      password: async () =>
        (address.password ?? process.env['PGPASSWORD'] ?? passwordFromFile(address)) as string,
      ...(address.parameters['options'] === undefined ? {} : { options: address.parameters['options'] }),
      ssl,
      application_name: applicationName,
      connectionTimeoutMillis: 15_000,
      keepAlive: true,
    });
    // A connection that breaks while nobody waits for an answer: the next question tells.
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (index + 1 === ways.length || !isAboutEncryption(error)) throw explain(address, error);
    }
  }
  throw new Error('no way to connect');
}

/** Runs `work` with a connection of its own. */
export async function withClient<Result>(
  address: Address,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(address);
  try {
    return await work(client);
  } catch (error) {
    throw explain(address, error);
  } finally {
    await disconnect(client);
  }
}

/** Closes a connection; a broken one too. */
export async function disconnect(client: Client): Promise<void> {
  await client.end().catch(() => {});
}

/** The rows of a query. */
export async function ask<Row extends QueryResultRow>(
  client: Client,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { rows } = await client.query<Row>(sql, [...values]);
  return rows;
}

/** The one row of a query. */
export async function askOne<Row extends QueryResultRow>(
  client: Client,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const [row] = await ask<Row>(client, sql, values);
  if (row === undefined) throw new PitrError('failed', 'The server gave no answer.');
  return row;
}

/** PostgreSQL's five characters (appendix A of its manual); '' for any other error. */
export function stateOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : '';
}

/** True for a lock that was not had in time, and for what a deadlock or a crossing change ended. */
export function isLocked(error: unknown): boolean {
  return ['55P03', '40P01', '40001'].includes(stateOf(error));
}

function isAboutEncryption(error: unknown): boolean {
  const state = stateOf(error);
  return state === '28000' || (state === '' && /SSL/.test(messageOf(error)));
}

/** What an error of the server means for a person; errors of git-pitr are given back as they are. */
export function explain(address: Address, error: unknown): unknown {
  if (error instanceof PitrError) return error;
  const where = `The database "${address.name}" (${describeAddress(address)})`;
  const state = stateOf(error);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const said = withoutSecret(address, messageOf(error) || code);
  if (state === '3D000')
    return new PitrError('failed', `${where} does not exist.`, { details: { missing: true } });
  if (state === '28P01' || state === '28000')
    return new PitrError('failed', `${where} does not let you in: ${said}.`, {
      hints: [
        'Keep the password in ~/.pgpass (mode 0600), in PGPASSWORD, or in an environment variable that holds the whole url (env:NAME).',
      ],
    });
  if (state === '42501')
    return new PitrError('failed', `${where} refuses it: ${said}.`, {
      hints: [
        'A copy needs the right to read everything in the database: its owner has it, a superuser, or a member of pg_read_all_data.',
      ],
    });
  if (state === '53100') return new PitrError('failed', `${where}: the server's disk is full.`);
  if (isLocked(error))
    return new PitrError('busy', `${where} is in use: ${said}.`, {
      hints: ['git config pitr.lockTimeout 2m waits longer.'],
    });
  if (state === '' && /^E[A-Z]+$/.test(code))
    return new PitrError('failed', `${where} cannot be reached: ${said}.`, {
      hints: ['Is the server running, and are host and port right?'],
    });
  return new PitrError('failed', `${where}: ${said}${state === '' ? '' : ` (${state})`}.`);
}

/** The text without the password, whatever put it there. */
function withoutSecret({ password }: Address, text: string): string {
  return password === undefined || password === '' ? text : text.replaceAll(password, '***');
}

/** A name as SQL has it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Text as SQL has it, whatever `standard_conforming_strings` says, and always on one line. */
export function quoteText(text: string): string {
  const quoted = text.replaceAll("'", "''");
  if (!/[\\\n\r]/.test(text)) return `'${quoted}'`;
  return `E'${quoted.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}'`;
}
