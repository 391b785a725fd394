import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import type { Address } from './address.ts';
import { type Client, errorNumber, quoteText, withClient } from './connect.ts';

/** Other programs that use a database, and may hold its locks. */

export interface Session {
  id: number;
  user: string;
  host: string;
  /** It has begun a transaction and not ended it. */
  transaction: boolean;
  /** What it does: `Sleep`, `Query` … */
  command: string;
  seconds: number;
}

type Row = Record<'id' | 'user' | 'host' | 'command' | 'seconds', string>;

/**
 * Sessions whose current database it is, and those with an open transaction; without the right PROCESS, only those of
 * the same user. `own`: connections of ours.
 */
export async function sessionsOf(
  client: Client,
  database: string,
  own: readonly number[] = [],
): Promise<Session[]> {
  const open = new Set(await openTransactions(client));
  const rows = await client.ask<Row>(
    `SELECT ID AS id, USER AS user, HOST AS host, COMMAND AS command, COALESCE(TIME, 0) AS seconds
    FROM information_schema.PROCESSLIST
    WHERE ID <> CONNECTION_ID() AND COMMAND NOT IN ('Daemon', 'Binlog Dump')
      AND (DB = ${quoteText(database)} OR ID IN (${['0', ...open].join(',')})) ORDER BY ID`,
  );
  return rows
    .map(({ id, user, host, command, seconds }) => ({
      id: Number(id),
      user,
      host,
      transaction: open.has(id),
      command,
      seconds: Number(seconds),
    }))
    .filter(({ id }) => !own.includes(id));
}

async function openTransactions(client: Client): Promise<string[]> {
  try {
    const rows = await client.ask<{ id: string }>(
      'SELECT DISTINCT trx_mysql_thread_id AS id FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id > 0',
    );
    return rows.map(({ id }) => id);
  } catch (error) {
    if (errorNumber(error) === 0) throw error;
    return []; // this user may not see it
  }
}

/** Those that hold something: with an open transaction, else all. */
export function likelyHolders(sessions: readonly Session[]): Session[] {
  const holders = sessions.filter(({ transaction }) => transaction);
  return holders.length > 0 ? holders : [...sessions];
}

/** Who may be in the way, for a message; '' when nobody is seen. */
export async function describeHolders(address: Address, own: readonly number[] = []): Promise<string> {
  try {
    return await withClient(address, async (client) =>
      describe(likelyHolders(await sessionsOf(client, address.database, own))),
    );
  } catch {
    return ''; // the message is about something else
  }
}

export function describe(sessions: readonly Session[]): string {
  const shown = sessions.slice(0, 5).map(({ id, user, host, transaction, seconds }) => {
    const from = host === '' || host === 'localhost' ? '' : ` from ${host}`;
    const what = transaction ? `, in a transaction, idle or busy for ${seconds} s` : '';
    return `connection ${id} (user ${user}${from}${what})`;
  });
  return shown.join(', ') + (sessions.length > 5 ? ` and ${sessions.length - 5} more` : '');
}

/** Ends sessions (`--disconnect`): the server rolls back what they had not committed. Error: `busy` if it may not. */
export async function endSessions(client: Client, database: string, own: readonly number[]): Promise<void> {
  for (const session of await sessionsOf(client, database, own)) {
    try {
      await client.run(`KILL CONNECTION ${session.id}`);
    } catch (cause) {
      if (errorNumber(cause) === 1094) continue; // it is gone already
      throw new PitrError(
        'busy',
        `The database is in use, and this user may not end other sessions: ${describe([session])}.`,
        {
          hints: ['A user with CONNECTION ADMIN (or SUPER) may, and the same user as that of the session.'],
          cause,
        },
      );
    }
  }
}

export function inUse(
  { database }: EngineContext,
  who: string,
  sessions: readonly Session[] = [],
): PitrError {
  return new PitrError(
    'busy',
    `The database "${database.name}" is in use by ${who === '' ? 'other sessions' : who}. It was not changed.`,
    {
      hints: [
        'Let these programs end their transactions, or stop them, and run the command again.',
        '--disconnect ends their sessions: what they have not committed is lost, and programs that reconnect by themselves go on.',
        'git config pitr.lockTimeout 2m waits longer.',
      ],
      details: { sessions },
    },
  );
}
