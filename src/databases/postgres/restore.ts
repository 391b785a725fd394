import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import { progressOf } from '../../system/progress.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { readAbout, readRecordedText } from '../text/reader.ts';
import { type Address, addressOf, describeAddress, inDatabase } from './address.ts';
import { connectBeside, createDatabase, dropOwn, newName, removeLeftovers } from './builds.ts';
import { copyDatabase, copyLive } from './capture.ts';
import { type About, serverOf } from './catalog.ts';
import { ask, askOne, type Client, connect, disconnect, explain, withClient } from './connect.ts';
import { restoreInPlace } from './inPlace.ts';
import { advanceSequences, bringRows, type KeptRows, requireSameRows } from './kept.ts';
import { loadScript } from './load.ts';
import { rememberAlias } from './memory.ts';
import { sequencePart } from './script.ts';
import { findDifference } from './same.ts';
import { waitUntilAlone } from './sessions.ts';
import { swapDatabases } from './swap.ts';

/** What decides how a live database can be restored. */
interface Live {
  version: number;
  owner: string;
  tablespace: string;
  /** We may create databases and rename this one. */
  mayReplace: boolean;
}

/** Looks whether a restore could begin: the contract is in `../engine.ts`. */
export async function requireFreePostgres(context: EngineContext): Promise<void> {
  const address = addressOf(context.database);
  const live = await liveOf(address);
  if (live === undefined || !live.mayReplace || context.disconnect === true) return;
  const maintenance = await connectBeside(address);
  if (maintenance === undefined) return;
  try {
    await waitUntilAlone(context, maintenance, address.database, Date.now() + context.config.lockTimeout);
  } finally {
    await disconnect(maintenance);
  }
}

/** Whether there is a database: the contract is in `../engine.ts`. */
export async function isTherePostgres({ database }: EngineContext): Promise<boolean> {
  return (await liveOf(addressOf(database))) !== undefined;
}

/**
 * Brings a live database back to a recorded state: the contract is in `../engine.ts`. It is built beside the live one,
 * checked, and put in its place; where we may not create databases, it is all done in one transaction instead.
 */
export async function restorePostgres(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase | undefined,
): Promise<void> {
  const address = addressOf(context.database);
  await removeLeftovers(context, address);
  const live = await liveOf(address);
  if (live === undefined && now !== undefined) throw vanished(target.name, address);
  if (live !== undefined && now === undefined) throw unrecorded(target.name, address);
  const maintenance = live?.mayReplace === false ? undefined : await connectBeside(address);
  if (maintenance === undefined) {
    if (now === undefined) throw cannotCreate(target.name, address);
    await restoreInPlace(context, address, target, now);
    return;
  }
  try {
    await replace(context, maintenance, { address, live, target, now });
  } catch (error) {
    throw explain(address, error);
  } finally {
    await dropOwn(context, maintenance);
    await disconnect(maintenance);
  }
}

interface Work {
  address: Address;
  live: Live | undefined;
  target: CapturedDatabase;
  now: CapturedDatabase | undefined;
}

async function replace(
  context: EngineContext,
  maintenance: Client,
  { address, live, target, now }: Work,
): Promise<void> {
  const build = newName(context, address.database);
  const about = (await readAbout(context.repository, target.tree)) as Partial<About>;
  const { self, version } = await askOne<{ self: string; version: number }>(
    maintenance,
    `SELECT current_user::text AS self, current_setting('server_version_num')::int AS version`,
  );
  crashPoint('database-named');
  await createDatabase(maintenance, build, about, {
    owner: live?.owner ?? self,
    ...(live === undefined ? {} : { tablespace: live.tablespace }),
  });
  const beside = inDatabase(address, build);
  const kept = await loadInto(context, beside, target, live === undefined ? undefined : address);
  crashPoint('database-built');
  await requireSame(context, beside, target);
  await advanceSequences(context, address, beside, kept);
  if (live === undefined || now === undefined) {
    await maintenance.query(`ALTER DATABASE ${quoted(build)} RENAME TO ${quoted(address.database)}`);
    return;
  }
  const away = newName(context, address.database);
  const deadline = Date.now() + context.config.lockTimeout;
  const check = async () => {
    const { captured, snapshot } = await copyLive(context, address, now.tree);
    if (captured.tree !== now.tree) throw changed(target.name);
    // Its own connection, and that of pg_dump.
    return { snapshot, connections: 2 + (await requireSameRows(context, address, kept)) };
  };
  await swapDatabases(
    context,
    maintenance,
    { live: address.database, build, away, version, check },
    deadline,
  );
}

/** Gives what came along from the live database. */
async function loadInto(
  context: EngineContext,
  address: Address,
  target: CapturedDatabase,
  live: Address | undefined,
): Promise<KeptRows> {
  let kept: KeptRows | undefined;
  progressOf(context.repository)?.begin(`restoring the database ${target.name}`, { bytes: target.bytes });
  await withClient(address, async (client) => {
    await client.query('BEGIN');
    // What we called it; the recorded comment, if there was one, is in the script.
    await client.query(`COMMENT ON DATABASE ${quoted(address.database)} IS NULL`);
    await loadScript(client, target.name, readRecordedText(context.repository, target), {
      beforePart: async (part) => {
        // Between the rows that are recorded and the constraints; not every database has sequences.
        if (kept === undefined && live !== undefined && part > sequencePart)
          kept = await bringRows(context, live, client);
      },
    });
    await client.query('COMMIT');
  });
  return kept ?? new Map();
}

/** Reads the new database back. Error: `integrity` when it is not the recorded one. */
async function requireSame(
  context: EngineContext,
  address: Address,
  target: CapturedDatabase,
): Promise<void> {
  progressOf(context.repository)?.begin(`checking the database ${target.name}`);
  const { captured, schema } = await copyDatabase(context, address, target.tree);
  const difference = await findDifference(context.repository, captured.tree, target.tree);
  if (difference !== undefined) {
    throw new PitrError(
      'integrity',
      `The database "${target.name}" would not be what was recorded: ${difference} is different. It was not changed.`,
      {
        hints: [
          'The server may lack something that it had then: compare its version and its extensions.',
          `git pitr restore --into <folder> --db ${target.name} writes the SQL, to look at or to load by hand.`,
        ],
      },
    );
  }
  const { tree, bytes, sha256 } = target;
  if (captured.tree !== tree)
    rememberAlias(context, { schema, restored: captured.tree, recorded: { tree, bytes, sha256 } });
}

/** What there is at an address; undefined when there is no such database. Other errors are thrown. */
async function liveOf(address: Address): Promise<Live | undefined> {
  let client: Client;
  try {
    client = await connect(address);
  } catch (error) {
    if (error instanceof PitrError && error.details['missing'] === true) return undefined;
    throw error;
  }
  try {
    const { version } = await serverOf(client);
    const row = await askOne<{ owner: string; tablespace: string; may: boolean }>(
      client,
      `SELECT pg_get_userbyid(d.datdba)::text AS owner, t.spcname::text AS tablespace,
        (r.rolsuper OR (r.rolcreatedb AND pg_has_role(d.datdba, 'USAGE'))) AS may
      FROM pg_database d, pg_tablespace t, pg_roles r
      WHERE d.datname = current_database() AND t.oid = d.dattablespace AND r.rolname = current_user`,
    );
    const bound = await boundTo(client);
    if (bound !== undefined) throw replicates(address.name, bound);
    return { version, owner: row.owner, tablespace: row.tablespace, mayReplace: row.may };
  } finally {
    await disconnect(client);
  }
}

/** What is tied to this very database on the server, and would stay behind. */
async function boundTo(client: Client): Promise<string | undefined> {
  const [row] = await ask<{ what: string }>(
    client,
    `SELECT 'the replication slot ' || slot_name AS what FROM pg_replication_slots WHERE database = current_database()
    UNION ALL
    SELECT 'the subscription ' || subname FROM pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1`,
  );
  return row?.what;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function replicates(name: string, what: string): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" takes part in logical replication (${what}), which would not survive its restore; nothing was changed.`,
    {
      hints: [
        'End the replication first (drop the slot or the subscription), and set it up again afterwards.',
      ],
    },
  );
}

function changed(name: string): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" changed after its present state was recorded; it was not changed.`,
    { hints: ['Run the command again: it records the new state first.'] },
  );
}

function vanished(name: string, address: Address): PitrError {
  return new PitrError(
    'refused',
    `The database "${name}" (${describeAddress(address)}) is gone since it was recorded. Nothing was changed.`,
    { hints: ['Run the command again: it looks at the new situation.'] },
  );
}

function unrecorded(name: string, address: Address): PitrError {
  return new PitrError(
    'refused',
    `There is a database "${name}" (${describeAddress(address)}) that was not recorded: it would be lost. Nothing was changed.`,
    {
      hints: [`Rename it, and run the command again: ALTER DATABASE ${quoted(address.database)} RENAME TO …`],
    },
  );
}

function cannotCreate(name: string, address: Address): PitrError {
  return new PitrError(
    'failed',
    `The database "${name}" (${describeAddress(address)}) does not exist, and this user may not create it.`,
    { hints: ['Create it, empty, and run the command again, or give the user CREATEDB.'] },
  );
}
