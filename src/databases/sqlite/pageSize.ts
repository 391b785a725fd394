import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import { type Connection, type Deadline, isBusy, openDatabase, untilFree } from './open.ts';

/**
 * Runs `work` on a database that can take pages of `size` bytes. In WAL mode SQLite refuses a backup with another
 * page size ("attempt to write a readonly database"), so the database is taken out of WAL mode first, and put back
 * into it after: both change no row, are transactions of SQLite's own, and need that nobody else has it open.
 */
export async function withPageSize(
  context: EngineContext,
  live: string,
  size: number,
  deadline: Deadline,
  work: () => Promise<void>,
): Promise<void> {
  const { name } = context.database;
  const converted = await untilFree(name, deadline, () => leaveWal(live, size)).catch((error: unknown) => {
    if (!(error instanceof PitrError) || error.kind !== 'busy') throw error;
    throw new PitrError(
      'busy',
      `The database "${name}" is open in another program and had pages of ${size} bytes then, which it has not now: SQLite can restore that only while nobody else has it open. It was not changed.`,
      {
        hints: ['Stop the other program and run the command again.'],
        cause: error,
      },
    );
  });
  try {
    await work();
  } finally {
    if (converted) await enterWal(live, deadline);
  }
}

async function leaveWal(live: string, size: number): Promise<boolean> {
  const connection = await openDatabase(live, { readonly: false });
  try {
    if (connection.pragma('journal_mode', { simple: true }) !== 'wal') return false;
    if (connection.pragma('page_size', { simple: true }) === size) return false;
    setJournalMode(connection, 'delete');
    return true;
  } finally {
    connection.close();
  }
}

/** As long as others let us; a database left in rollback mode has the right rows, and its application may convert it. */
async function enterWal(live: string, deadline: Deadline): Promise<void> {
  const soon = { ...deadline, at: Math.min(deadline.at, Date.now() + 1000) };
  await untilFree('', soon, async () => {
    const connection = await openDatabase(live, { readonly: false });
    try {
      setJournalMode(connection, 'wal');
    } finally {
      connection.close();
    }
  }).catch((error: unknown) => {
    if (!isBusy(error) && !(error instanceof PitrError && error.kind === 'busy')) throw error;
  });
}

function setJournalMode(connection: Connection, mode: 'wal' | 'delete'): void {
  const got = connection.pragma(`journal_mode = ${mode}`, { simple: true });
  // SQLite may answer with the old mode instead of an error.
  if (got !== mode)
    throw Object.assign(new Error(`the journal mode stays ${String(got)}`), { code: 'SQLITE_BUSY' });
}
