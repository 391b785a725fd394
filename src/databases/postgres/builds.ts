import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PitrError } from '../../errors.ts';
import {
  ensurePrivateDir,
  randomId,
  readFileIfThere,
  removeFileDurably,
  writeFileAtomic,
} from '../../system/files.ts';
import { isAlive, isWithinSight, type ProcessMark, thisProcess } from '../../system/processes.ts';
import type { EngineContext } from '../engine.ts';
import { type Address, applicationName, inDatabase } from './address.ts';
import type { About } from './catalog.ts';
import { ask, type Client, connect, disconnect, quoteName, quoteText } from './connect.ts';

/**
 * The databases that a restore makes beside the live one. Their names are written down before they are made, so that
 * the next command removes what a killed one has left, and nothing else. They also say in their comment what they are.
 */

/** A name for a database that is ours, at most 63 bytes. It is on record from here on. */
export function newName(context: EngineContext, live: string): string {
  let stem = live;
  while (Buffer.byteLength(stem) > 44) stem = stem.slice(0, -1);
  const name = `${stem}_pitr_${randomId()}`;
  record(context, [...recorded(context), { ...thisProcess(), name, session: applicationName }]);
  return name;
}

/** Creates an empty database as the recorded one was made, for `owner`. */
export async function createDatabase(
  maintenance: Client,
  name: string,
  about: Partial<About>,
  options: { owner: string; tablespace?: string },
): Promise<void> {
  const { encoding = 'UTF8', collate, ctype, provider = 'c', locale } = about;
  const icu =
    provider === 'i' && locale !== undefined ? ` LOCALE_PROVIDER icu ICU_LOCALE ${quoteText(locale)}` : '';
  const builtin =
    provider === 'b' && locale !== undefined
      ? ` LOCALE_PROVIDER builtin BUILTIN_LOCALE ${quoteText(locale)}`
      : '';
  const locales =
    collate === undefined || ctype === undefined
      ? ''
      : ` LC_COLLATE ${quoteText(collate)} LC_CTYPE ${quoteText(ctype)}`;
  const place = options.tablespace === undefined ? '' : ` TABLESPACE ${quoteName(options.tablespace)}`;
  await maintenance.query(
    `CREATE DATABASE ${quoteName(name)} OWNER ${quoteName(options.owner)} TEMPLATE template0 ENCODING ${quoteText(encoding)}${locales}${icu}${builtin}${place}`,
  );
  await maintenance.query(
    `COMMENT ON DATABASE ${quoteName(name)} IS 'git-pitr: made by a restore that is under way or was ended; it may be dropped'`,
  );
}

/**
 * Removes what killed restores have left; not what one that is under way has made. It never stands in the way of the
 * work: what cannot go now goes later.
 */
export async function removeLeftovers(context: EngineContext, address: Address): Promise<void> {
  const isLeft = (made: Made) => isWithinSight(made) && !isAlive(made);
  if (!recorded(context).some(isLeft)) return;
  const maintenance = await connectBeside(address);
  if (maintenance === undefined) return;
  try {
    await drop(context, maintenance, isLeft);
  } finally {
    await disconnect(maintenance);
  }
}

/** Drops what this process has made. */
export function dropOwn(context: EngineContext, maintenance: Client): Promise<void> {
  const { pid, started } = thisProcess();
  return drop(context, maintenance, (made) => made.pid === pid && made.started === started);
}

async function drop(
  context: EngineContext,
  maintenance: Client,
  which: (made: Made) => boolean,
): Promise<void> {
  for (const made of recorded(context).filter(which)) {
    try {
      await endAbandoned(maintenance, made);
      const [there] = await ask(maintenance, 'SELECT 1 FROM pg_database WHERE datname = $1', [made.name]);
      if (there !== undefined)
        await maintenance.query(`DROP DATABASE IF EXISTS ${quoteName(made.name)} WITH (FORCE)`);
    } catch {
      continue;
    }
    record(
      context,
      recorded(context).filter(({ name }) => name !== made.name),
    );
  }
}

/**
 * Ends what a killed process had asked of the server: it goes on without it, and a CREATE DATABASE that is under way
 * would make a database after everybody had looked for it. Errors: those of the server.
 */
async function endAbandoned(maintenance: Client, { session }: Made): Promise<void> {
  if (session === undefined || session === applicationName) return;
  for (let turn = 0; turn < 200; turn++) {
    const ended = await ask(
      maintenance,
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      [session],
    );
    if (ended.length === 0) return;
    await sleep(50);
  }
  throw new PitrError('busy', 'What a killed restore had begun on the server does not end.');
}

/** A connection to another database of the server, which no restore renames; undefined where none lets us in. */
export async function connectBeside(address: Address): Promise<Client | undefined> {
  for (const database of ['postgres', 'template1']) {
    if (database === address.database) continue;
    try {
      return await connect(inDatabase(address, database));
    } catch {
      // The next one may.
    }
  }
  return undefined;
}

function file({ repository, database }: EngineContext): string {
  return path.join(repository.lineDir, `postgres-${database.name}-made.json`);
}

/** A database that a restore has made, or is about to. */
interface Made extends ProcessMark {
  name: string;
  /** The application name of the process's connections. */
  session?: string;
}

function record(context: EngineContext, databases: readonly Made[]): void {
  ensurePrivateDir(context.repository.lineDir);
  if (databases.length === 0) removeFileDurably(file(context));
  else writeFileAtomic(file(context), `${JSON.stringify({ databases })}\n`);
}

function recorded(context: EngineContext): Made[] {
  const text = readFileIfThere(file(context));
  if (text === undefined) return [];
  try {
    const { databases } = JSON.parse(text) as { databases?: unknown };
    if (!Array.isArray(databases)) return [];
    return (databases as Made[]).filter(({ name }) => /_pitr_[0-9a-f]{12}$/.test(name));
  } catch {
    return [];
  }
}
