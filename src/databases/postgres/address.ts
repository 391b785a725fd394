import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { ConnectionOptions } from 'node:tls';
import type { DatabaseConfig } from '../../config/config.ts';
import { PitrError } from '../../errors.ts';
import { randomId } from '../../system/files.ts';
import { connectionText } from '../secrets.ts';

/** Sessions say in pg_stat_activity whose they are: of git-pitr, and of which process (see builds.ts). */
export const applicationName = `git-pitr ${randomId()}`;

export function isOurs(application: string): boolean {
  return /^git-pitr [0-9a-f]{12}$/.test(application);
}

/**
 * Where a PostgreSQL database is, for the `pg` module and for PostgreSQL's own programs alike: both are told the same,
 * these through their environment, never through arguments (https://www.postgresql.org/docs/15/libpq-envars.html).
 */
export interface Address {
  /** The name it is registered as. */
  name: string;
  /** A host, or the folder of a socket. */
  host: string;
  port: number;
  user: string;
  database: string;
  /** Absent when it comes from PGPASSWORD, a password file, or none is needed. */
  password?: string;
  sslmode: string;
  /** Files of certificates, by the names of libpq's parameters; and `options`. */
  parameters: Readonly<Record<string, string>>;
}

/** libpq's parameters that are passed on, and the variables they are to PostgreSQL's programs. */
const variables: Readonly<Record<string, string>> = {
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslrootcert: 'PGSSLROOTCERT',
  options: 'PGOPTIONS',
};

/**
 * The address of a registered database: a `postgresql://` url, or libpq's `key=value` list. What it does not say, the
 * PG* variables say. Parameters of other programs (`schema`, `pgbouncer`, `connection_limit`) are left out.
 * Error: `usage`, without the text.
 */
export function addressOf(database: DatabaseConfig): Address {
  const text = connectionText(database);
  const given = /^postgres(ql)?:\/\//i.test(text)
    ? readUrl(database.name, text)
    : readPairs(database.name, text);
  const env = (name: string) => (process.env[name] === '' ? undefined : process.env[name]);
  const user = given['user'] ?? env('PGUSER') ?? userInfo().username;
  const port = Number(given['port'] ?? env('PGPORT') ?? 5432);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw malformed(database.name);
  const password = given['password'];
  const parameters = Object.fromEntries(
    Object.keys(variables).flatMap((key) => {
      const value = given[key] ?? env(variables[key] as string);
      return value === undefined ? [] : [[key, value]];
    }),
  );
  return {
    name: database.name,
    host: given['host'] ?? given['hostaddr'] ?? env('PGHOST') ?? defaultHost(),
    port,
    user,
    database: given['dbname'] ?? env('PGDATABASE') ?? user,
    ...(password === undefined ? {} : { password }),
    sslmode: given['sslmode'] ?? env('PGSSLMODE') ?? 'prefer',
    parameters,
  };
}

/** Another database of the same server. */
export function inDatabase(address: Address, database: string): Address {
  return { ...address, database };
}

/** What it is called in messages: no password, and no parameters. */
export function describeAddress({ user, host, port, database }: Address): string {
  const where = host.startsWith('/') ? `the socket in ${host}` : `${host}:${port}`;
  return `"${database}" at ${where} as ${user}`;
}

function defaultHost(): string {
  const folders = ['/var/run/postgresql', '/run/postgresql', '/tmp'];
  return folders.find((folder) => existsSync(`${folder}/.s.PGSQL.5432`)) ?? 'localhost';
}

function readUrl(name: string, text: string): Record<string, string> {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text);
  if (match === null) throw malformed(name);
  const [, login = '', place = '', dbname = '', query = ''] = match;
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw malformed(name);
    }
  };
  if (place.includes(',')) throw malformed(name, 'more than one host');
  const hostPort = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(place);
  if (hostPort === null) throw malformed(name);
  const colon = login.indexOf(':');
  const found: Record<string, string> = {
    user: decode(colon === -1 ? login : login.slice(0, colon)),
    password: colon === -1 ? '' : decode(login.slice(colon + 1)),
    host: decode((hostPort[1] ?? '').replace(/^\[|\]$/g, '')),
    port: hostPort[2] ?? '',
    dbname: decode(dbname),
  };
  for (const pair of query.split('&').filter((part) => part !== '')) {
    const equals = pair.indexOf('=');
    if (equals === -1) continue;
    found[decode(pair.slice(0, equals))] = decode(pair.slice(equals + 1).replaceAll('+', '%20'));
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ''));
}

/** `host=/run/postgresql dbname='my app'`, with backslashes before quotes and backslashes. */
function readPairs(name: string, text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const pair = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?:\s+|$)/sy;
  let end = 0;
  for (let match = pair.exec(text); match !== null; match = pair.exec(text)) {
    end = pair.lastIndex;
    const value = (match[2] ?? match[3] ?? '').replace(/\\(.)/gs, '$1');
    if (value !== '') found[(match[1] as string).toLowerCase()] = value;
  }
  if (text.slice(end).trim() !== '' || Object.keys(found).length === 0) throw malformed(name);
  return found;
}

function malformed(name: string, what = 'not a PostgreSQL url'): PitrError {
  return new PitrError('usage', `The url of the database "${name}" cannot be read: it is ${what}.`, {
    hints: [
      `git config pitr.database.${name}.url postgresql://user@host:5432/database`,
      `Through a socket: git config pitr.database.${name}.url "host=/run/postgresql dbname=database"`,
    ],
  });
}

/**
 * The environment for PostgreSQL's own programs. The password is in it: other users cannot see a process's
 * environment, and everybody sees its arguments.
 */
export function toolEnvironment(address: Address): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('PG') || ['PGPASSWORD', 'PGPASSFILE', 'PGSYSCONFDIR'].includes(name),
  );
  const parameters = Object.entries(address.parameters).map(([key, value]) => [variables[key], value]);
  return {
    ...Object.fromEntries(kept),
    ...Object.fromEntries(parameters),
    PGHOST: address.host,
    PGPORT: String(address.port),
    PGUSER: address.user,
    PGDATABASE: address.database,
    PGSSLMODE: address.sslmode,
    PGAPPNAME: applicationName,
    PGCONNECT_TIMEOUT: '15',
    LC_ALL: 'C',
    ...(address.password === undefined ? {} : { PGPASSWORD: address.password }),
  };
}

/** What to try, in order, as libpq's `sslmode` says (table 34.1 there). */
export function tlsOptions({ sslmode, host, parameters }: Address): (ConnectionOptions | false)[] {
  if (host.startsWith('/') || sslmode === 'disable') return [false];
  const file = (key: string) => {
    const name = parameters[key];
    return name === undefined || name === 'system' ? undefined : readFileSync(name);
  };
  const [ca, cert, key] = [file('sslrootcert'), file('sslcert'), file('sslkey')];
  const own = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  if (sslmode === 'verify-full') return [{ ...own, rejectUnauthorized: true }];
  if (sslmode === 'verify-ca' || (sslmode === 'require' && ca !== undefined))
    return [{ ...own, rejectUnauthorized: true, checkServerIdentity: () => undefined }];
  const encrypted = { ...own, rejectUnauthorized: false };
  if (sslmode === 'require') return [encrypted];
  return sslmode === 'allow' ? [false, encrypted] : [encrypted, false];
}
