/** What `init` finds, proposes, and sets. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { sqlite } from '../support/databases.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { everything } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Proposed {
  proposals: { key: string; value: string; accepted: boolean }[];
}

function proposals(repository: TestRepository, ...args: readonly string[]): Record<string, string> {
  const { proposals: found } = pitr(repository.path, ['init', '--json', ...args]).json<Proposed>();
  return Object.fromEntries(found.map(({ key, value }) => [key, value]));
}

function database(repository: TestRepository, file: string): void {
  repository.write(`${file}.folder`, '');
  repository.remove(`${file}.folder`);
  sqlite(repository.resolve(file), 'CREATE TABLE t(x); INSERT INTO t VALUES (1)');
}

function configured(repository: TestRepository): string {
  return repository.git('config', '--local', '--list').replace(/^(?!pitr\.).*\n?/gm, '');
}

describe('databases', () => {
  it('are found by their header, whatever they are called, tracked, untracked and ignored', () => {
    const repository = scratchRepository({ files: { '.gitignore': 'ignored/\n*.tmp\n' } });
    for (const file of ['tracked.db', 'untracked.sqlite3', 'ignored/a.data', 'no-extension', 'scratch.tmp'])
      database(repository, file);
    repository.git('add', 'tracked.db');
    repository.write('fake.db', 'this is no database, whatever its name says\n'.repeat(20));
    repository.write('empty.db', '');
    repository.write('short.db', 'SQLite format 3\0');
    expect(Object.values(proposals(repository)).toSorted()).toEqual([
      'ignored/a.data',
      'no-extension',
      'scratch.tmp',
      'tracked.db',
      'untracked.sqlite3',
    ]);
  });

  it('in folders of dependencies, in .git and behind links are not', () => {
    const repository = scratchRepository();
    const theirs = [
      'node_modules/x',
      'vendor/y',
      '.venv/lib',
      'sub/node_modules/z',
      'target/debug',
      '.git/pitr',
    ];
    for (const folder of theirs) database(repository, `${folder}/theirs.db`);
    database(repository, 'mine/app.db');
    repository.symlink('link.db', 'mine/app.db');
    repository.symlink('folder', 'mine');
    expect(proposals(repository)).toEqual({ 'pitr.database.app.path': 'mine/app.db' });
  });

  it('of the same name get names that tell them apart, and odd names become valid ones', () => {
    const repository = scratchRepository();
    for (const file of ['a/app.db', 'b/app.db', 'with "quotes" & $pace.db', 'ünïcode.db', '-dash.db'])
      database(repository, file);
    const found = proposals(repository, '--yes');
    expect(Object.keys(found).toSorted()).toEqual(
      ['a-app', 'b-app', 'dash', 'u-ni-code', 'with-quotes-pace'].map((name) => `pitr.database.${name}.path`),
    );
    const taken = pitr(repository.path, ['snapshot', '--json']).json<{
      snapshot: { databases: unknown[] };
    }>();
    expect(taken.snapshot.databases).toHaveLength(5);
  });

  it('of a name that another one has already get another one', () => {
    const repository = scratchRepository();
    database(repository, 'app.db');
    pitr(repository.path, ['init', '--yes']);
    database(repository, 'new/app.db');
    expect(proposals(repository)).toEqual({ 'pitr.database.new-app.path': 'new/app.db' });
    repository.remove('new');
    repository.git('config', 'pitr.database.app.path', 'elsewhere.db');
    expect(proposals(repository)).toEqual({ 'pitr.database.app-2.path': 'app.db' });
  });
});

describe('ignored .env files', () => {
  it('are proposed together, wherever they are; one that git keeps is not', () => {
    const repository = scratchRepository({
      files: { '.gitignore': '.env\n.env.local\n', '.env.example': 'KEY=\n', 'a.txt': 'a\n' },
      commit: true,
    });
    expect(proposals(repository)).toEqual({});
    repository.write('.env', 'KEY=1\n', 0o600);
    repository.write('service/.env.local', 'KEY=2\n');
    expect(proposals(repository, '--yes')).toEqual({ 'pitr.include': '.env*' });
    pitr(repository.path, ['snapshot']);
    repository.remove('.env');
    repository.remove('service');
    pitr(repository.path, ['restore', '--snapshot', 'latest']);
    expect(repository.read('.env')).toBe('KEY=1\n');
    expect(repository.read('service/.env.local')).toBe('KEY=2\n');
    expect(repository.hashTree()).toContainEqual(expect.stringMatching(/^\.env file 600 /));
  });

  it('beside an ignored .env folder (a virtual environment) are proposed one by one, and the folder stays out', () => {
    const repository = scratchRepository({ files: { '.gitignore': '.env\n.env.*\n' } });
    repository.write('.env/lib/python.py', 'theirs\n');
    repository.write('.env.local', 'mine\n');
    repository.write('service/.env', 'mine\n');
    const { proposals: found } = pitr(repository.path, ['init', '--yes', '--json']).json<Proposed>();
    expect(found.map(({ value }) => value)).toEqual(['/.env.local', '/service/.env']);
    pitr(repository.path, ['snapshot']);
    expect(repository.git('ls-tree', '-r', '--name-only', 'refs/pitr/main:files').split('\n')).toEqual([
      '.env.local',
      '.gitignore',
      'service/.env',
    ]);
    expect(proposals(repository)).toEqual({});
  });
});

describe('without a terminal', () => {
  function found(): TestRepository {
    const repository = scratchRepository({ files: { '.gitignore': '.env\n' } });
    repository.write('.env', 'KEY=1\n');
    database(repository, "it's data/app.db");
    return repository;
  }

  it('says what it would do, and changes nothing', () => {
    const repository = found();
    const before = everything(repository.path);
    const shown = pitr(repository.path, ['init']).stdout;
    expect(shown).toContain("it's data/app.db");
    expect(shown).toContain('.env');
    expect(shown).toContain('Nothing was changed');
    const asJson = pitr(repository.path, ['init', '--json']).json<Proposed>();
    expect(asJson.proposals.map(({ accepted }) => accepted)).toEqual([false, false]);
    expect(everything(repository.path)).toEqual(before);
  });

  it('the commands it prints do the same when they are pasted into a shell', () => {
    const repository = found();
    const shown = pitr(repository.path, ['init']).stdout;
    const commands = shown.split('\n').filter((line) => line.startsWith('        git config'));
    expect(commands).toHaveLength(2);
    execFileSync('sh', ['-ec', commands.join('\n')], { cwd: repository.path, env: cleanEnvironment() });
    const pasted = configured(repository);
    for (const key of ['pitr.include', 'pitr.database.app.path']) repository.git('config', '--unset', key);
    pitr(repository.path, ['init', '--yes']);
    expect(pasted).toBe(configured(repository));
    expect(proposals(repository)).toEqual({});
  });

  it('--yes accepts all of it; run again, from a subfolder too, it proposes nothing new and sets nothing twice', () => {
    const repository = found();
    expect(pitr(repository.path, ['init', '--yes', '--json']).json<Proposed>().proposals).toEqual([
      expect.objectContaining({ key: 'pitr.database.app.path', accepted: true }),
      expect.objectContaining({ key: 'pitr.include', accepted: true }),
    ]);
    const set = configured(repository);
    for (const folder of ['.', "it's data"]) {
      const again = pitr(repository.resolve(folder), ['init', '--yes']);
      expect(again.stdout).toContain('Nothing to configure');
    }
    expect(configured(repository)).toBe(set);
  });

  it('leaves alone what was configured by hand, under another name or as an absolute path', () => {
    const repository = found();
    const file = repository.resolve("it's data/app.db");
    repository.git('config', 'pitr.database.shop.path', file);
    repository.git('config', 'pitr.include', '.env*');
    expect(proposals(repository, '--yes')).toEqual({});
    expect(configured(repository).split('\n')).toHaveLength(2);
  });
});

it('a repository in the middle of nothing (no commit, no files) has nothing to configure', () => {
  const repository = scratchRepository();
  expect(proposals(repository)).toEqual({});
  writeFileSync(repository.resolve('.gitignore'), '*\n');
  expect(proposals(repository)).toEqual({});
});

describe('databases on servers', () => {
  const environment = `
# DATABASE_URL=postgresql://old@host/old
export DATABASE_URL="postgresql://ada:s3cret%21@db.example:5432/shop?schema=public"
POSTGRES_URL=postgres://ada@localhost/shop # no password
MYSQL_URL='mysql://root:s3cret!@localhost/wiki'
REDIS_URL=redis://:s3cret!@localhost
DERIVED_URL=postgresql://\${USER}:\${PASS}@localhost/shop
`;

  it('that .env files name are proposed, and no password is shown or written', () => {
    const repository = scratchRepository({ files: { '.gitignore': '.env\n' } });
    repository.write('.env', environment);
    repository.write('.env.example', 'DATABASE_URL=postgresql://you@localhost/example');
    const shown = pitr(repository.path, ['init']);
    expect(shown.stdout).toContain('PostgreSQL database in .env (DATABASE_URL); its password stays there');
    expect(shown.stdout + shown.stderr).not.toMatch(/s3cret/);
    const found = proposals(repository, '--yes');
    expect(found).toEqual({
      'pitr.database.shop.url': 'env:DATABASE_URL',
      'pitr.database.shop-2.url': 'postgres://ada@localhost/shop',
      'pitr.database.wiki.url': 'env:MYSQL_URL',
      'pitr.database.shop-3.url': 'env:DERIVED_URL',
      'pitr.include': '.env*',
    });
    expect(configured(repository)).not.toMatch(/s3cret/);
    expect(proposals(repository)).toEqual({});
  });
});
