import { basename } from 'node:path';
import type { Config } from '../config/config.ts';
import type { Repository } from '../git/repository.ts';
import { git, splitNul } from '../git/run.ts';
import { databasesInEnvironmentFiles } from './environmentFiles.ts';
import { findSqliteFiles } from '../databases/sqlite/detect.ts';
import { type BytePath, displayPath } from '../git/paths.ts';

/** One setting that `init` proposes. */
export interface Proposal {
  key: string;
  value: string;
  /** What was found. */
  reason: string;
  /** Added to a list, or set. */
  add: boolean;
}

/** Looks at a worktree and works out what should be configured and is not. Changes nothing. */
export async function propose(repository: Repository, config: Config): Promise<Proposal[]> {
  return [...(await proposeDatabases(repository, config)), ...(await proposeIncludes(repository, config))];
}

async function proposeDatabases(repository: Repository, config: Config): Promise<Proposal[]> {
  const known = new Set(config.databases.map(({ path }) => path));
  const taken = new Set(config.databases.map(({ name }) => name));
  const proposals: Proposal[] = [];
  for (const { path, bytes, proposedName } of await findSqliteFiles(repository.worktree)) {
    if (known.has(`${repository.worktree}/${path}`)) continue;
    let name = proposedName;
    for (let n = 2; taken.has(name); n++) name = `${proposedName}-${n}`;
    taken.add(name);
    proposals.push({
      key: `pitr.database.${name}.path`,
      value: path,
      reason: `SQLite database ${path} (${bytes} bytes)`,
      add: false,
    });
  }
  return [...proposals, ...proposeServers(repository, config, taken)];
}

/** Databases on servers that `.env` files name. */
function proposeServers(repository: Repository, config: Config, taken: Set<string>): Proposal[] {
  const urls = new Set(config.databases.map(({ url }) => url));
  const proposals: Proposal[] = [];
  for (const { variable, file, engine, name, value, secret } of databasesInEnvironmentFiles(
    repository.worktree,
  )) {
    if (urls.has(value) || urls.has(`env:${variable}`)) continue;
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name}-${n}`;
    taken.add(free);
    proposals.push({
      key: `pitr.database.${free}.url`,
      value,
      reason: `${engineNames[engine]} database in ${file} (${variable})${secret ? `; its password stays there: set ${variable} where git-pitr runs` : ''}`,
      add: false,
    });
  }
  return proposals;
}

const engineNames = { postgres: 'PostgreSQL', mysql: 'MySQL', mariadb: 'MariaDB' } as const;

/** Ignored `.env` files: what git does not keep, and what hurts most to lose. */
async function proposeIncludes(repository: Repository, config: Config): Promise<Proposal[]> {
  if (config.include.includes('.env*')) return [];
  const args = [
    'ls-files',
    '-z',
    '--others',
    '--ignored',
    '--exclude-standard',
    '--directory',
    '--',
    ':(top,glob)**/.env*',
  ];
  const { stdout } = await git(args, { cwd: repository.worktree });
  const found = splitNul(stdout).filter((file) => basename(file).startsWith('.env'));
  const files = found.filter((file) => !file.endsWith('/'));
  if (files.length === 0) return [];
  // The pattern would take in a folder too, and an ignored one called .env is somebody's virtual environment.
  if (files.length < found.length) return proposeEach(files, config);
  const shown = files.slice(0, 5).map(displayPath).join(', ');
  return [
    {
      key: 'pitr.include',
      value: '.env*',
      reason: `ignored ${shown}${files.length > 5 ? ` and ${files.length - 5} more` : ''}`,
      add: true,
    },
  ];
}

function proposeEach(files: readonly BytePath[], config: Config): Proposal[] {
  return files
    .map((file) => ({ file, value: `/${displayPath(file).replace(/[\\*?[\]]/g, '\\$&')}` }))
    .filter(({ value }) => !config.include.includes(value))
    .map(({ file, value }) => ({
      key: 'pitr.include',
      value,
      reason: `ignored ${displayPath(file)}`,
      add: true,
    }));
}

/** Writes proposals to the repository's own git config. */
export async function accept(repository: Repository, proposals: readonly Proposal[]): Promise<void> {
  for (const { key, value, add } of proposals) {
    await git(['config', '--local', ...(add ? ['--add'] : []), key, value], { cwd: repository.worktree });
  }
}
