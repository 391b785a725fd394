import { defaults } from './config.ts';

/** Every configuration key, for the reference. What reads them is `config.ts`; nothing of this is in the program. */
export interface ConfigKey {
  key: string;
  /** What a value looks like. */
  value: string;
  /** What holds when it is not set; empty when nothing does. */
  otherwise: string;
  /** May be given more than once, and all count; an empty value drops what came before. */
  list?: true;
  /** May stand in a tracked `.pitrconfig` too. */
  tracked: boolean;
  describe: string;
}

export const configKeys: readonly ConfigKey[] = [
  {
    key: 'pitr.maxFileSize',
    value: 'size',
    otherwise: defaults.maxFileSize,
    tracked: true,
    describe:
      'A new or changed file that is larger is left out of snapshots, with its reason, and no restore touches it. 0 means no limit.',
  },
  {
    key: 'pitr.maxSnapshotSize',
    value: 'size',
    otherwise: defaults.maxSnapshotSize,
    tracked: true,
    describe:
      'When the new and changed files of one snapshot are more than this together, nothing is recorded and the largest are named (exit code 4). 0 means no limit.',
  },
  {
    key: 'pitr.include',
    value: 'pattern',
    otherwise: '',
    list: true,
    tracked: true,
    describe:
      'Ignored files that are recorded all the same, say .env*. A pattern without a slash fits names anywhere but inside an ignored folder; one with a slash is a path from the top of the working tree, also inside one.',
  },
  {
    key: 'pitr.exclude',
    value: 'pattern',
    otherwise: '',
    list: true,
    tracked: true,
    describe:
      'Files that are never recorded, tracked ones too, in the syntax of .gitignore. It is stronger than pitr.include. No restore touches them.',
  },
  {
    key: 'pitr.lockTimeout',
    value: 'duration',
    otherwise: defaults.lockTimeout,
    tracked: false,
    describe: 'How long to wait for another git-pitr or for a busy database before giving up (exit code 6).',
  },
  {
    key: 'pitr.hookTimeout',
    value: 'duration',
    otherwise: defaults.hookTimeout,
    tracked: false,
    describe:
      'How long git waits for the snapshot of a hook, in whole seconds; then it goes on without one. Read when hooks are installed.',
  },
  {
    key: 'pitr.database.<name>.path',
    value: 'file',
    otherwise: '',
    tracked: true,
    describe:
      'Registers a SQLite database: a path from the top of the working tree, an absolute one, or one that begins with ~/. Its file and what SQLite keeps beside it are then recorded as a database and not as files. In .pitrconfig the file must be inside the working tree.',
  },
  {
    key: 'pitr.database.<name>.engine',
    value: 'engine',
    otherwise: 'sqlite',
    tracked: true,
    describe:
      'What kind of database it is: sqlite, postgres, mariadb or mysql. With a url it need not be given. In .pitrconfig only sqlite.',
  },
  {
    key: 'pitr.database.<name>.url',
    value: 'url',
    otherwise: '',
    tracked: false,
    describe:
      'Registers a database on a server: postgresql://user@host:5432/database, or host=/run/postgresql dbname=database through a socket; mariadb://user@host:3306/database (or mysql:), with ?socket=/run/mysqld/mysqld.sock through a socket; each without a password; or env:NAME, the environment variable that holds it.',
  },
  {
    key: 'pitr.database.<name>.excludeTable',
    value: 'pattern',
    otherwise: '',
    list: true,
    tracked: true,
    describe:
      'Tables of a server whose rows are not recorded; their definitions are. In PostgreSQL schema.table, or table for those in public; in MariaDB table; * and ? stand for any characters.',
  },
  {
    key: 'pitr.database.<name>.format',
    value: 'format',
    otherwise: 'image',
    tracked: true,
    describe:
      'How a SQLite database is recorded: image (the file, in chunks), sql (as SQL text that the sqlite3 shell runs), or both. Servers are always recorded as SQL text.',
  },
];
