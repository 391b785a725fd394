import { ExitCode } from '../errors.ts';

/** What the command reference says beside the commands. Only the reference reads this: it is not in the program. */

type Rows = readonly (readonly [name: string, meaning: string])[];

export const selectors: Rows = [
  ['latest', 'the newest snapshot of this worktree'],
  ['latest~2', 'two before it; latest~ is latest~1'],
  ['8c5a220ae96f', 'its id, or the start of it: four digits or more, and of no other snapshot'],
  ['bef8a15ebd30', 'the oid of its commit, or the start of it: seven digits or more'],
  ['@{yesterday 18:00}', 'the newest one at or before that time'],
];

export const times: Rows = [
  ['10 minutes ago', 'counted back from now; also 1h30m ago, 2d ago, 10.minutes.ago'],
  ['14:05', 'today, at that minute exactly; 14:05:20 means the whole of that second'],
  ['yesterday 18:00', 'also last friday 9:30, and other English that leaves nothing to guess'],
  ['2026-11-20', 'the end of that day; its start for --since'],
  ['2026-11-20 14:05', 'in the zone of this machine (or of TZ)'],
  ['2026-11-20T14:05:20+01:00', 'ISO 8601 and RFC 3339, with a zone or Z'],
  ['@1763640000', 'seconds since 1970, as git writes them'],
];

export const exitCodes: Rows = Object.entries({
  done: 'Done.',
  failed: 'Failed. The message says to which path, and what was not changed.',
  usage: 'Wrong usage: an option, a time, or a value in the configuration.',
  partial:
    'Done in part: a database was not recorded, or something could not be restored. What was not is listed.',
  refused: 'Refused by a guard, or by you at a question: nothing was changed.',
  noMatch: 'Nothing matches: no snapshot at or before that time, no such snapshot, path or database.',
  busy: 'Busy: another git-pitr is at work, or a database is in use.',
  integrity: 'What was recorded, or what came back, is damaged. The message says what state there is now.',
  interruptedRestore: 'A restore was interrupted: git pitr restore --continue or --abort comes first.',
  interrupted: 'Interrupted, by Ctrl-C say.',
} satisfies Record<keyof typeof ExitCode, string>).map(([kind, meaning]) => [
  String(ExitCode[kind as keyof typeof ExitCode]),
  meaning,
]);

export const variables: Rows = [
  [
    'GIT_COMMITTER_DATE',
    'The time of a snapshot, and the "now" that times are counted from: @1763640000 or 2026-11-20T14:05:00.000Z.',
  ],
  ['TZ', 'The zone in which times are read and shown.'],
  ['NO_COLOR', 'When it is set and not empty, nothing is coloured. Nor is it where TERM is dumb.'],
  ['PITR_ALLOW_PUSH', 'When it is 1, the hook before a push lets refs/pitr/* through.'],
  ['PITR_DEBUG', 'When it is set, an error that nobody foresaw shows where in the program it arose.'],
  [
    'HOME, XDG_CONFIG_HOME',
    'As for git: where your own configuration is. A working tree that is HOME is refused without --force.',
  ],
  [
    'GIT_CONFIG_GLOBAL, GIT_CONFIG_SYSTEM, GIT_CONFIG_NOSYSTEM, GIT_CEILING_DIRECTORIES, GIT_EXEC_PATH',
    'As for git.',
  ],
  [
    'PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, PGSSLMODE, PGOPTIONS',
    'As for the programs of PostgreSQL: what the url of a database does not say.',
  ],
  ['MYSQL_PWD', 'The password for a MariaDB or MySQL database whose url has none.'],
  [
    'GIT_DIR, GIT_WORK_TREE',
    'The repository and its working tree, where the current folder is in none, and only both together: git --git-dir=<folder> --work-tree=<folder> pitr.',
  ],
  [
    'GIT_*',
    'All others are without effect, and so is git -c: inside a hook they name what git is doing there, which need not be what you see. git -C works.',
  ],
];

export const files: Rows = [
  [
    'refs/pitr/main',
    'The snapshots, as commits; those of a linked worktree are in refs/pitr/ with its name.',
  ],
  [
    'refs/pitr/anchor/main',
    'Keeps what branches, tags and the stash pointed to, for as long as a snapshot names it.',
  ],
  ['refs/notes/pitr', 'What a commit cannot say of a snapshot, as JSON.'],
  ['.git/pitr/', 'Private working files: the index that snapshots are compared with, the lock, the journal.'],
  ['.pitrconfig', 'Configuration that is tracked with the files; see above for what it may set.'],
];
