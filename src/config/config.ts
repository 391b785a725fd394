import { existsSync } from 'node:fs';
import path from 'node:path';
import { messageOf, PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { GitFailure, git } from '../git/run.ts';
import { badValue, parseDuration, parseSize } from './values.ts';

/** What the user configured (git config, section `pitr`) with the defaults filled in. */
export interface Config {
  /** Bytes; a larger file is skipped, with its reason. 0 means no limit. */
  maxFileSize: number;
  /** Bytes that one snapshot may add; more stops it. 0 means no limit. */
  maxSnapshotSize: number;
  /** Patterns of ignored files that are recorded all the same. */
  include: readonly string[];
  /** Patterns of files that are never recorded. */
  exclude: readonly string[];
  /** Milliseconds to wait for another git-pitr or for a busy database. */
  lockTimeout: number;
  /** Milliseconds. */
  hookTimeout: number;
  databases: readonly DatabaseConfig[];
  /** Of one command, not of the configuration: a restore ends the sessions that are in its way (`--disconnect`). */
  disconnect?: boolean;
  /** Every other key of the user's git configuration, last value wins. Keys as git normalises them. */
  git: ReadonlyMap<string, string>;
}

/** The engine of a database whose url is in an environment variable that is not set here. */
export const unknownEngine = 'unknown';

export interface DatabaseConfig {
  name: string;
  engine: string;
  /** An absolute path (engines that live in a file). */
  path?: string;
  url?: string;
  format: 'image' | 'sql' | 'both';
  excludeTable: readonly string[];
}

/** What holds where nothing is configured, written as it would be in the configuration. */
export const defaults = {
  maxFileSize: '100m',
  maxSnapshotSize: '1g',
  lockTimeout: '30s',
  hookTimeout: '5s',
} as const;

/** Keys a tracked `.pitrconfig` may set: nothing that runs, connects or reaches outside the worktree. */
const harmlessKeys =
  /^pitr\.(maxfilesize|maxsnapshotsize|include|exclude|retention\..+|database\.[^]+\.(path|engine|format|excludetable))$/;

const databaseName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

export function isDatabaseName(name: string): boolean {
  return databaseName.test(name) && !name.includes('..');
}

export type ConfigEntry = readonly [key: string, value: string];
type Entry = ConfigEntry;

/** Lists the user's git configuration as seen from a folder; it may run while the repository is still looked for. */
export function listGitConfig(cwd: string): Promise<ConfigEntry[]> {
  return listConfig(['config', '--list', '-z'], cwd);
}

/** Reads the configuration of a repository. Errors: `usage`, naming the key and its value. */
export async function readConfig(
  repository: Repository,
  listing: Promise<ConfigEntry[]> = listGitConfig(repository.worktree),
): Promise<Config> {
  const own = await listing;
  const tracked = await trackedConfig(repository);
  return interpret(repository, tracked, own);
}

async function trackedConfig(repository: Repository): Promise<Entry[]> {
  const file = path.join(repository.worktree, '.pitrconfig');
  if (!existsSync(file)) return [];
  const listing = ['config', '--list', '-z', '--no-includes', '--file', file];
  const entries = await listConfig(listing, repository.worktree).catch((cause: unknown) => {
    throw unreadable(cause);
  });
  for (const [key, value] of entries) {
    if (key.startsWith('pitr.') && !harmlessKeys.test(key)) {
      throw new PitrError('usage', `.pitrconfig sets ${key}, which only your own git config may set.`, {
        hints: [
          `A tracked file must not decide what runs or where to connect. Check it, then: git config ${key} ${JSON.stringify(value)}`,
        ],
      });
    }
  }
  return entries.filter(([key]) => key.startsWith('pitr.'));
}

function unreadable(cause: unknown): PitrError {
  const said = cause instanceof GitFailure ? cause.stderr.replace(/^fatal: /, '').trim() : messageOf(cause);
  return new PitrError('usage', `.pitrconfig cannot be read: ${said}. Nothing was changed.`, {
    hints: ['Mend that line, or move the file aside; it has the syntax of .git/config.'],
    cause,
  });
}

async function listConfig(args: readonly string[], cwd: string): Promise<Entry[]> {
  const { stdout } = await git(args, { cwd });
  const records = stdout
    .toString('utf8')
    .split('\0')
    .filter((record) => record !== '');
  return records.map((record) => {
    const newline = record.indexOf('\n');
    return newline === -1 ? [record, ''] : [record.slice(0, newline), record.slice(newline + 1)];
  });
}

function interpret(repository: Repository, tracked: readonly Entry[], own: readonly Entry[]): Config {
  const last = new Map<string, string>();
  const all = new Map<string, string[]>();
  for (const [key, value] of [...tracked, ...own]) {
    last.set(key, value);
    if (key.startsWith('pitr.')) all.set(key, [...(all.get(key) ?? []), value]);
  }
  const setting = (key: keyof typeof defaults) => last.get(`pitr.${key.toLowerCase()}`) ?? defaults[key];
  const size = (key: 'maxFileSize' | 'maxSnapshotSize') => parseSize(setting(key), `pitr.${key}`);
  return {
    maxFileSize: size('maxFileSize'),
    maxSnapshotSize: size('maxSnapshotSize'),
    include: patterns(all.get('pitr.include')),
    exclude: patterns(all.get('pitr.exclude')),
    lockTimeout: parseDuration(setting('lockTimeout'), 'pitr.lockTimeout'),
    hookTimeout: parseDuration(setting('hookTimeout'), 'pitr.hookTimeout'),
    databases: readDatabases(repository, tracked, own, all),
    git: last,
  };
}

/** An empty value clears what came before, as in git's own lists. */
function patterns(values: readonly string[] = []): string[] {
  let list: string[] = [];
  for (const value of values) list = value === '' ? [] : [...list, value];
  return list;
}

function readDatabases(
  repository: Repository,
  tracked: readonly Entry[],
  own: readonly Entry[],
  all: ReadonlyMap<string, string[]>,
): DatabaseConfig[] {
  const names = new Set<string>();
  for (const key of all.keys()) {
    const match = /^pitr\.database\.(.+)\.[a-z]+$/.exec(key);
    if (match?.[1] !== undefined) names.add(match[1]);
  }
  const ownKeys = new Set(own.map(([key]) => key));
  return [...names].toSorted().map((name) => {
    if (!isDatabaseName(name)) {
      throw new PitrError(
        'usage',
        `The configuration registers a database as "${name}", which is no name for one.`,
        {
          hints: [
            'Names have letters, digits, dots, dashes and underscores.',
            `git config --rename-section "pitr.database.${name}" pitr.database.<name>`,
          ],
        },
      );
    }
    const key = (leaf: string) => `pitr.database.${name}.${leaf}`;
    const value = (leaf: string) => all.get(key(leaf))?.at(-1);
    const given = value('path');
    const file = given === undefined ? undefined : path.resolve(repository.worktree, expandHome(given));
    if (file !== undefined && !ownKeys.has(key('path')) && tracked.length > 0)
      requireInside(repository, key('path'), given ?? '', file);
    const url = value('url');
    const engine = value('engine') ?? (url === undefined ? 'sqlite' : engineOfUrl(url, key('url')));
    if (engine !== 'sqlite' && !ownKeys.has(key('engine')) && !ownKeys.has(key('url'))) {
      throw new PitrError(
        'usage',
        `.pitrconfig registers the ${engine} database "${name}"; only SQLite files may come from a tracked file.`,
      );
    }
    const format = value('format') ?? 'image';
    if (format !== 'image' && format !== 'sql' && format !== 'both')
      throw badValue(key('format'), format, 'image, sql or both');
    return {
      name,
      engine,
      format,
      excludeTable: patterns(all.get(key('excludetable'))),
      ...(file === undefined ? {} : { path: file }),
      ...(url === undefined ? {} : { url }),
    };
  });
}

/** What is meant when only a url is given. */
function engineOfUrl(url: string, key: string): string {
  const variable = /^env:(.*)$/s.exec(url)?.[1];
  const text = variable === undefined ? url : process.env[variable];
  // Who uses the database is told what is missing; everything else works without it.
  if (text === undefined || text === '') return unknownEngine;
  const scheme = /^([a-z+]+):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'postgres' || scheme === 'postgresql') return 'postgres';
  if (scheme === 'mysql' || scheme === 'mariadb') return scheme;
  if (scheme === undefined && /^\s*[a-z_]+\s*=/i.test(text)) return 'postgres';
  // Not the text itself: it may hold a password.
  throw new PitrError('usage', `The configuration ${key} is not a postgresql:, mysql: or mariadb: url.`, {
    hints: [
      `Set it right with: git config ${key} postgresql://user@host/database`,
      `Or say which engine it is for: git config ${key.replace(/url$/, 'engine')} postgres`,
    ],
  });
}

function expandHome(text: string): string {
  return text.startsWith('~/') ? path.join(process.env['HOME'] ?? '/', text.slice(2)) : text;
}

function requireInside(repository: Repository, key: string, given: string, file: string): void {
  if (file.startsWith(`${repository.worktree}/`) && !file.startsWith(`${repository.commonDir}/`)) return;
  throw new PitrError('usage', `.pitrconfig sets ${key} = "${given}", which is outside the working tree.`, {
    hints: [`Only your own configuration may do that: git config ${key} ${JSON.stringify(given)}`],
  });
}
