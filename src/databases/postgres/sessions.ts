import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import { isOurs } from './address.ts';
import { ask, type Client } from './connect.ts';

/** Other programs that are connected to a database. */

export interface Session {
  pid: number;
  user: string;
  application: string;
  client: string;
}

/** Who is connected to a database, seen from a connection to any database of the server. */
export async function sessionsOf(client: Client, database: string): Promise<Session[]> {
  return ask<Session & Record<string, unknown>>(
    client,
    `SELECT pid, coalesce(usename::text, '') AS user, coalesce(application_name, '') AS application,
      coalesce(host(client_addr), '') AS client
    FROM pg_stat_activity
    WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
    ORDER BY pid`,
    [database],
  );
}

/**
 * Ends sessions (`--disconnect`). What they had not committed is rolled back, by the server. Error: `failed` when the
 * server does not allow it.
 */
export async function endSessions(client: Client, database: string): Promise<void> {
  for (const session of await sessionsOf(client, database)) {
    try {
      await client.query('SELECT pg_terminate_backend($1)', [session.pid]);
    } catch (cause) {
      throw new PitrError(
        'busy',
        `The database is in use, and this user may not end other sessions: ${describe([session])}.`,
        {
          hints: [
            'A superuser may, a member of pg_signal_backend, and the same user as that of the session.',
          ],
          cause,
        },
      );
    }
  }
}

/** Waits until nobody else is connected. Error: `busy`, naming who is. */
export async function waitUntilAlone(
  context: EngineContext,
  client: Client,
  database: string,
  deadline: number,
): Promise<void> {
  for (let wait = 20; ; wait = Math.min(wait * 1.5, 250)) {
    context.signal?.throwIfAborted();
    const sessions = await sessionsOf(client, database);
    if (sessions.length === 0) return;
    if (context.disconnect === true) await endSessions(client, database);
    if (Date.now() >= deadline) throw inUse(context, sessions);
    await sleep(wait);
  }
}

/** Who is connected and in a transaction: one of them holds the lock. */
export async function holdersOf(client: Client, database: string): Promise<Session[]> {
  const sessions = await sessionsOf(client, database);
  const busy = await ask<{ pid: number }>(
    client,
    `SELECT DISTINCT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = $1 AND l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'`,
    [database],
  );
  const pids = new Set(busy.map(({ pid }) => pid));
  const holders = sessions.filter(({ pid, application }) => pids.has(pid) && !isOurs(application));
  return holders.length > 0 ? holders : sessions.filter(({ application }) => !isOurs(application));
}

export function inUse({ database }: EngineContext, sessions: readonly Session[]): PitrError {
  const who = sessions.length === 0 ? 'other sessions' : describe(sessions);
  return new PitrError('busy', `The database "${database.name}" is in use by ${who}. It was not changed.`, {
    hints: [
      'Stop these programs, or let them disconnect, and run the command again.',
      '--disconnect ends their sessions: what they have not committed is lost, and programs that reconnect by themselves go on.',
      'git config pitr.lockTimeout 2m waits longer.',
    ],
    details: { sessions },
  });
}

function describe(sessions: readonly Session[]): string {
  const shown = sessions.slice(0, 5).map(({ pid, user, application, client }) => {
    const program = application === '' ? 'a program without a name' : application;
    return `${program} (pid ${pid}, user ${user}${client === '' ? '' : `, from ${client}`})`;
  });
  return shown.join(', ') + (sessions.length > 5 ? ` and ${sessions.length - 5} more` : '');
}
