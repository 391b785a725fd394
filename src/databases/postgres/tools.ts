import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { PitrError } from '../../errors.ts';
import { type Address, describeAddress, toolEnvironment } from './address.ts';

/** PostgreSQL's own programs: only they know how to write down a schema. */

export interface Tools {
  dump: string;
  restore: string;
  /** Major version. */
  major: number;
}

/** Where installations keep the programs of one version. */
const versionFolders = (major: number) => [
  `/usr/lib/postgresql/${major}/bin`,
  `/usr/pgsql-${major}/bin`,
  `/opt/homebrew/opt/postgresql@${major}/bin`,
  `/usr/local/opt/postgresql@${major}/bin`,
];

const newestMajor = 30;

/**
 * The programs for a server: of its own version if they are installed, else of the next newer one. An older pg_dump
 * refuses a newer server.
 * Error: `failed`, naming what is there and what to install.
 */
export async function findTools(
  name: string,
  serverMajor: number,
  folders: (major: number) => readonly string[] = versionFolders,
): Promise<Tools> {
  const known = (major: number) => folders(major).find((folder) => existsSync(path.join(folder, 'pg_dump')));
  const own = known(serverMajor);
  if (own !== undefined) return toolsIn(own, serverMajor);
  const found = await onPath();
  if (found !== undefined && found.major >= serverMajor) return found;
  for (let major = serverMajor + 1; major <= newestMajor; major++) {
    const folder = known(major);
    if (folder !== undefined) return toolsIn(folder, major);
  }
  const there =
    found === undefined
      ? 'pg_dump was not found'
      : `pg_dump is of version ${found.major}, which cannot read a server of version ${serverMajor}`;
  throw new PitrError('failed', `The database "${name}" cannot be copied: ${there}.`, {
    hints: [`Install the client programs: apt install postgresql-client-${serverMajor} (or newer).`],
  });
}

function toolsIn(folder: string, major: number): Tools {
  return { dump: path.join(folder, 'pg_dump'), restore: path.join(folder, 'pg_restore'), major };
}

async function onPath(): Promise<Tools | undefined> {
  try {
    const { stdout } = await promisify(execFile)('pg_dump', ['--version']);
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]);
    return Number.isInteger(major) ? { dump: 'pg_dump', restore: 'pg_restore', major } : undefined;
  } catch {
    return undefined;
  }
}

/** The schema of a database as SQL: what comes before its data, and after. */
export interface Schema {
  before: Buffer;
  after: Buffer;
}

/**
 * Writes down the schema as an exported snapshot sees it. One run of pg_dump, into an archive that pg_restore makes
 * SQL of: two runs would look through the catalogs twice.
 * @param lockTimeout milliseconds to wait for each table
 * Error: `DumpFailure`.
 */
export async function dumpSchema(
  tools: Tools,
  address: Address,
  options: {
    snapshot: string;
    encoding: string;
    file: string;
    lockTimeout: number;
    signal?: AbortSignal | undefined;
  },
): Promise<Schema> {
  const { snapshot, encoding, file, lockTimeout, signal } = options;
  const args = [
    '--format=custom',
    '--compress=0',
    '--section=pre-data',
    '--section=post-data',
    '--no-blobs',
    '--no-password',
    `--encoding=${encoding}`,
    `--lock-wait-timeout=${Math.max(1, Math.floor(lockTimeout))}`,
    `--snapshot=${snapshot}`,
    `--file=${file}`,
  ];
  await runTool(tools.dump, args, address, signal);
  const section = async (which: string) =>
    withoutHeader(await runTool(tools.restore, [`--section=${which}`, '--file=-', file], address, signal));
  const [before, after] = await Promise.all([section('pre-data'), section('post-data')]);
  return { before, after };
}

/** A program that did not do it. `message` is what it said; no password is in it. */
export class DumpFailure extends PitrError {}

async function runTool(
  program: string,
  args: readonly string[],
  address: Address,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const child = spawn(program, args, {
    env: toolEnvironment(address),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal === undefined ? {} : { signal }),
  });
  const parts: Buffer[] = [];
  let said = '';
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (said.length < 10_000) said += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code === 0) return Buffer.concat(parts);
  const { password } = address;
  const text = password === undefined || password === '' ? said : said.replaceAll(password, '***');
  const reason = text
    .split('\n')
    .map((line) => line.replace(/^pg_(dump|restore): (error: )?/, '').trim())
    .filter((line) => line !== '')
    .join('; ')
    .slice(0, 1500);
  throw new DumpFailure(
    'failed',
    `${path.basename(program)} could not read the database "${address.name}" (${describeAddress(address)}): ${reason}`,
    {
      hints: /row-level security/.test(reason)
        ? [
            'Row security hides rows from this user: a copy must see all of them. Use the owner, a superuser, or a role with BYPASSRLS.',
          ]
        : /permission denied/.test(reason)
          ? ['A copy needs the right to read everything: the owner has it, or a member of pg_read_all_data.']
          : [],
    },
  );
}

/**
 * Takes out what says nothing about the database: the versions, and the random word of `\restrict`, which keeps psql
 * (13.22, 14.19, 15.14, 16.10, 17.6 and later) from running its own commands. Equal schemas are then equal bytes.
 */
function withoutHeader(script: Buffer): Buffer {
  const start = script.subarray(0, 2000).toString('latin1');
  const word = /^\\restrict (\S+)\n/m.exec(start)?.[1];
  let text = script.toString('latin1');
  text = text.replace(/^-- Dumped (from database|by pg_dump) version .*\n/gm, (line, _, at: number) =>
    at < 2000 ? '' : line,
  );
  if (word !== undefined) {
    text = text.replace(`\\restrict ${word}\n\n`, '').replace(`\n\\unrestrict ${word}\n`, '');
  }
  return Buffer.from(text, 'latin1');
}
