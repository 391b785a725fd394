import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { ConnectionOptions } from 'node:tls';
import type { DatabaseConfig } from '../../config/config.ts';
import { PitrError } from '../../errors.ts';
import { connectionText } from '../secrets.ts';
import { clientOptions } from './optionFiles.ts';

/** Where a MariaDB or MySQL database is, and how to log in. No program is started, so no argument ever holds it. */
export interface Address {
  /** The name it is registered as. */
  name: string;
  /** `mariadb` or `mysql`: as what it is registered. */
  engine: string;
  host: string;
  port: number;
  /** A socket, in the place of host and port. */
  socket?: string;
  user: string;
  database: string;
  password?: string;
  /** Undefined: without encryption. */
  tls?: ConnectionOptions;
}

const defaultSockets = [
  '/run/mysqld/mysqld.sock',
  '/var/run/mysqld/mysqld.sock',
  '/var/lib/mysql/mysql.sock',
  '/tmp/mysql.sock',
];

/**
 * The address of a registered database, a `mysql://` or `mariadb://` url. What it does not say, the option files say,
 * and for the password MYSQL_PWD. Parameters of other programs are left out.
 * Error: `usage`, without the text.
 */
export function addressOf(database: DatabaseConfig): Address {
  const { name, engine } = database;
  const given = readUrl(name, connectionText(database));
  const files = clientOptions();
  const value = (key: string) => given[key] ?? (files[key] === '' ? undefined : files[key]);
  const host = value('host') ?? 'localhost';
  const port = Number(value('port') ?? 3306);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw malformed(name);
  const password = value('password') ?? process.env['MYSQL_PWD'];
  const socket = given['socket'] ?? socketFor(given, files, host);
  const tls = socket === undefined ? tlsOf(name, value) : undefined;
  return {
    name,
    engine,
    host,
    port,
    user: value('user') ?? userInfo().username,
    database: given['database'] as string,
    ...(socket === undefined ? {} : { socket }),
    ...(password === undefined || password === '' ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** What it is called in messages: no password, and no parameters. */
export function describeAddress({ user, host, port, socket, database }: Address): string {
  return `"${database}" at ${socket === undefined ? `${host}:${port}` : `the socket ${socket}`} as ${user}`;
}

/** As the client programs do: `localhost` is the socket, unless a port is named. */
function socketFor(
  given: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
  host: string,
): string | undefined {
  if (host !== 'localhost' || given['port'] !== undefined || files['protocol']?.toLowerCase() === 'tcp')
    return undefined;
  return [files['socket'] ?? '', ...defaultSockets].find((file) => file !== '' && existsSync(file));
}

/** Parameters that libraries and tools write the same thing as. */
const sameAs: Readonly<Record<string, string>> = {
  socketpath: 'socket',
  unix_socket: 'socket',
  unixsocket: 'socket',
  sslmode: 'ssl-mode',
  ssl_mode: 'ssl-mode',
  sslaccept: 'ssl-mode',
  sslca: 'ssl-ca',
  ssl_ca: 'ssl-ca',
  sslcert: 'ssl-cert',
  ssl_cert: 'ssl-cert',
  sslkey: 'ssl-key',
  ssl_key: 'ssl-key',
};

const known = new Set(['socket', 'ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'user', 'password']);

function readUrl(name: string, text: string): Record<string, string> {
  const match =
    /^(?:mysql|mariadb)2?(?:\+\w+)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text);
  if (match === null) throw malformed(name);
  const [, login = '', place = '', database = '', query = ''] = match;
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw malformed(name);
    }
  };
  const hostPort = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(place);
  if (hostPort === null) throw malformed(name);
  if (database === '') throw malformed(name, 'without the name of a database');
  const colon = login.indexOf(':');
  const found: Record<string, string> = {
    user: decode(colon === -1 ? login : login.slice(0, colon)),
    password: colon === -1 ? '' : decode(login.slice(colon + 1)),
    host: decode((hostPort[1] ?? '').replace(/^\[|\]$/g, '')),
    port: hostPort[2] ?? '',
    database: decode(database),
  };
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=');
    if (equals === -1) continue;
    const key = decode(pair.slice(0, equals)).toLowerCase();
    const option = sameAs[key] ?? key;
    if (known.has(option)) found[option] = decode(pair.slice(equals + 1).replaceAll('+', '%20'));
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ''));
}

/** MySQL's `ssl-mode`, Prisma's `sslaccept`, and what the option files of both systems say. */
function tlsOf(name: string, value: (key: string) => string | undefined): ConnectionOptions | undefined {
  const mode = (value('ssl-mode') ?? '').toLowerCase().replaceAll('-', '_');
  const [ca, cert, key] = ['ssl-ca', 'ssl-cert', 'ssl-key'].map(value);
  if (
    ['', 'disabled', 'disable', 'preferred', 'prefer'].includes(mode) &&
    ca === undefined &&
    cert === undefined
  )
    return undefined;
  const file = (path: string | undefined) => {
    try {
      return path === undefined ? undefined : readFileSync(path);
    } catch {
      throw new PitrError('usage', `A certificate file of the database "${name}" cannot be read: ${path}.`);
    }
  };
  const [caText, certText, keyText] = [file(ca), file(cert), file(key)];
  const own = {
    ...(caText && { ca: caText }),
    ...(certText && { cert: certText }),
    ...(keyText && { key: keyText }),
  };
  if (['verify_identity', 'verify_full', 'strict'].includes(mode))
    return { ...own, rejectUnauthorized: true };
  if (mode === 'verify_ca' || (mode === '' && ca !== undefined))
    return { ...own, rejectUnauthorized: true, checkServerIdentity: () => undefined };
  return { ...own, rejectUnauthorized: false };
}

function malformed(name: string, what = 'not a MariaDB or MySQL url'): PitrError {
  return new PitrError('usage', `The url of the database "${name}" cannot be read: it is ${what}.`, {
    hints: [
      `git config pitr.database.${name}.url mariadb://user@host:3306/database`,
      `Through a socket: git config pitr.database.${name}.url "mariadb://user@localhost/database?socket=/run/mysqld/mysqld.sock"`,
    ],
  });
}
