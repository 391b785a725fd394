/**
 * Every command, in one place: the parser, `-h`, the command reference and the man page are made from this table.
 * Which module runs it is said in `main.ts`.
 */

export interface OptionSpec {
  type: 'boolean' | 'string';
  /** Given more than once, all count. */
  many?: true;
  alias?: string;
  /** What the value is, as the help text shows it between < and >. */
  value?: string;
  describe: string;
}

export interface CommandSpec {
  name: string;
  /** What comes after the options, as the usage line shows it. */
  operands: string;
  /** How many operands there may be before `--`. */
  maxOperands: number;
  /** Operands after `--` are paths; without this a `--` has no meaning. */
  paths: boolean;
  summary: string;
  description: string;
  options: Readonly<Record<string, OptionSpec>>;
  examples: readonly (readonly [command: string, meaning: string])[];
  exitCodes: Readonly<Record<number, string>>;
}

/** Parsed arguments: options by name, operands, and the paths after `--`. */
export interface Arguments {
  options: Readonly<Record<string, boolean | string | readonly string[] | undefined>>;
  operands: readonly string[];
  paths: readonly string[];
}

export interface CommandModule {
  run: (args: Arguments, terminal: import('./terminal.ts').Terminal) => Promise<number>;
}

export const globalOptions: Readonly<Record<string, OptionSpec>> = {
  json: { type: 'boolean', describe: 'Print one JSON document on standard output' },
  quiet: { type: 'boolean', alias: 'q', describe: 'Print nothing but errors' },
  help: { type: 'boolean', alias: 'h', describe: 'Show this text' },
};

const common = {
  0: 'done',
  1: 'failed; the message says what was not changed',
  2: 'wrong usage, or a wrong value in the configuration',
  130: 'interrupted (Ctrl-C)',
};
const busy = { 6: 'busy: another git-pitr is at work, or a database is in use' };
const stops = { 8: 'an interrupted restore needs --continue or --abort first' };

export const commands: readonly CommandSpec[] = [
  {
    name: 'init',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'find databases and ignored secrets, and propose to record them',
    description:
      'Looks for SQLite databases (also ignored ones, but not in dependency folders) and for ignored .env files, and proposes the git config that records them. Asks on a terminal; without one it only says what it would do, unless --yes is given.',
    options: { yes: { type: 'boolean', alias: 'y', describe: 'Accept every proposal' } },
    examples: [
      ['git pitr init', 'show what was found, and ask'],
      ['git pitr init --yes', 'accept all of it'],
    ],
    exitCodes: common,
  },
  {
    name: 'snapshot',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'record the working tree, the index, the refs and the databases',
    description:
      'Records the present state as a commit on refs/pitr/main (in a linked worktree, on refs/pitr/ with its name). Nothing of yours is touched: not HEAD, the branches, the index or any file. When nothing changed since the newest snapshot, nothing is created.',
    options: {
      message: {
        type: 'string',
        alias: 'm',
        value: 'message',
        describe: 'Say what this state is; such a snapshot is recorded even when nothing changed',
      },
      type: {
        type: 'string',
        value: 'type',
        describe: 'snapshot (default), safety, incremental, archive or migration',
      },
      trigger: {
        type: 'string',
        value: 'cause',
        describe: 'What caused it: manual (default), watch, guard, agent, hook:<name> or schedule:<name>',
      },
      pin: { type: 'boolean', describe: 'Never let retention drop it; recorded even when nothing changed' },
      'allow-empty': { type: 'boolean', describe: 'Record it even when nothing changed' },
      'no-databases': { type: 'boolean', describe: 'Leave the databases out' },
      force: { type: 'boolean', alias: 'f', describe: 'Also when the working tree is your home folder or /' },
    },
    examples: [
      ['git pitr snapshot', 'record what is there now'],
      ['git pitr snapshot -m "before the upgrade" --pin', 'a restore point with a name, kept for good'],
    ],
    exitCodes: {
      ...common,
      ...busy,
      ...stops,
      3: 'recorded, but for the databases that are listed',
      4: 'refused: more than pitr.maxSnapshotSize, or the working tree is your home folder or /',
      7: 'an object that the snapshot needs is missing; nothing was recorded',
    },
  },
  {
    name: 'list',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'list the snapshots, newest first',
    description:
      'Lists the snapshots of this worktree, newest first, a line each: id, time, type and trigger, files added (+), modified (~) and deleted (-) against the snapshot before, message, databases.',
    options: {
      since: { type: 'string', value: 'time', describe: 'Only those at or after this time' },
      until: { type: 'string', value: 'time', describe: 'Only those at or before this time' },
      type: { type: 'string', value: 'type', describe: 'Only those of this type' },
      trigger: {
        type: 'string',
        value: 'cause',
        describe: 'Only those with this cause; hook and schedule mean all of theirs',
      },
      path: {
        type: 'string',
        value: 'path',
        describe: 'Only those that changed this path (relative to the current folder)',
      },
      grep: {
        type: 'string',
        value: 'text',
        describe: 'Only those whose message holds this text, in capitals or not',
      },
      number: { type: 'string', alias: 'n', value: 'number', describe: 'At most so many' },
    },
    examples: [
      ['git pitr list -n 10', 'the ten newest'],
      ['git pitr list --since yesterday --path src/app.ts', 'those since yesterday that changed a file'],
    ],
    exitCodes: common,
  },
  {
    name: 'show',
    operands: '[<snapshot>]',
    maxOperands: 1,
    paths: false,
    summary: 'show one snapshot',
    description:
      'Shows one snapshot: when and why it was taken, how much it holds, how much changed against the one before, which databases are in it, and what was left out and why. Without a name, the latest.',
    options: {},
    examples: [
      ['git pitr show', 'the latest'],
      ['git pitr show latest~2', 'two before it'],
      ['git pitr show "@{yesterday 18:00}"', 'the one in force at that time'],
    ],
    exitCodes: { ...common, 5: 'no such snapshot' },
  },
  {
    name: 'diff',
    operands: '[<snapshot> [<snapshot>]] [-- <path>...]',
    maxOperands: 2,
    paths: true,
    summary: 'show what differs between snapshots, or between a snapshot and now',
    description:
      'Shows how the files of two states differ, as git diff does, and which databases changed: the latest snapshot against now, one snapshot against now, or two snapshots. With --db, the rows in which databases differ, by primary key (by the whole row where a table has none), with changed columns old -> new; definitions apart.',
    options: {
      stat: { type: 'boolean', describe: 'Only how many lines changed in each file, or rows in each table' },
      'name-only': { type: 'boolean', describe: 'Only the names of the files' },
      db: {
        type: 'string',
        many: true,
        value: 'name[.table]',
        describe: 'The rows of this database, or of one table of it; may be given more than once',
      },
    },
    examples: [
      ['git pitr diff', 'what changed since the latest snapshot'],
      ['git pitr diff latest~1 latest --stat -- src', 'what the latest snapshot changed below src'],
      ['git pitr diff --db app.orders', 'the rows of a table that changed since the latest snapshot'],
    ],
    exitCodes: {
      ...common,
      ...busy,
      4: 'refused: the present state is more than pitr.maxSnapshotSize',
      5: 'no such snapshot, path, database or table',
      7: 'a recorded database is damaged',
    },
  },
  {
    name: 'history',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'show each version of a row of a database',
    description:
      'Shows each version of one row, newest first: the snapshot that first holds it, its time, and what changed. Snapshots between which the row is the same are not listed; the present state is not looked at.',
    options: {
      db: { type: 'string', value: 'name.table', describe: 'The table of a registered database' },
      key: {
        type: 'string',
        many: true,
        value: 'value',
        describe:
          "The row's primary key; for a key of several columns, one for each, in the order of the key",
      },
    },
    examples: [['git pitr history --db app.orders --key 42', 'every version of order 42']],
    exitCodes: {
      ...common,
      5: 'no such database, table or row in any snapshot',
      7: 'a recorded database is damaged',
    },
  },
  {
    name: 'restore',
    operands: '[--] [<path>...]',
    maxOperands: Number.POSITIVE_INFINITY,
    paths: true,
    summary: 'bring files and databases back to a point in time',
    description:
      'Brings files and databases back to the newest snapshot at or before a time, never a later one. With paths, only these; without paths and --db, all files; with --all, all files and every registered database. First the present state is recorded: git pitr undo brings it back. HEAD, the branches and the index are not touched (but for --staged). With --branch, --tag or --stash, only these are: what they pointed to is kept for as long as the snapshot.',
    options: {
      at: {
        type: 'string',
        value: 'time',
        describe: 'The time: "10 minutes ago", "yesterday 18:00", 14:05, 2026-11-20T14:05:00Z, @1763640000',
      },
      snapshot: {
        type: 'string',
        value: 'snapshot',
        describe: 'The snapshot: its id or the start of it, latest, latest~2, "@{<time>}"',
      },
      source: {
        type: 'string',
        value: 'source',
        describe:
          'snapshots (default), or history: tracked files from the commit that was checked out at --at <time>',
      },
      db: {
        type: 'string',
        many: true,
        value: 'name[.table]',
        describe: 'This registered database, or one table of it; may be given more than once',
      },
      all: { type: 'boolean', describe: 'All files and every registered database' },
      staged: {
        type: 'boolean',
        describe:
          'Bring the index back too (with paths, only these): what was staged, conflicts, intents to add, and the assume-unchanged and skip-worktree bits',
      },
      branch: {
        type: 'string',
        many: true,
        value: 'name',
        describe: 'This branch, and no file: where it pointed then; may be given more than once',
      },
      tag: {
        type: 'string',
        many: true,
        value: 'name',
        describe: 'This tag, and no file; may be given more than once',
      },
      stash: {
        type: 'boolean',
        describe: 'Entries of the stash that were there then and are not now, and no file',
      },
      into: {
        type: 'string',
        value: 'folder',
        describe: 'Write into this new or empty folder; the working copy is left as it is',
      },
      'dry-run': { type: 'boolean', alias: 'n', describe: 'Show the plan and change nothing' },
      force: {
        type: 'boolean',
        alias: 'f',
        describe: 'Do not ask, and go on over uncommitted changes (they are recorded first)',
      },
      'keep-changes': { type: 'boolean', describe: 'Leave paths with uncommitted changes alone' },
      merge: {
        type: 'boolean',
        describe:
          'Take back only what changed between that snapshot and the next one, as git revert does with a commit, and keep what changed since. Lines that changed on both sides are marked as git marks them. Files only; renames are not followed. It overwrites nothing of yours: it needs no --force, and --keep-changes has no meaning with it',
      },
      base: {
        type: 'string',
        value: 'snapshot',
        describe: 'With --merge: the snapshot right after the unwanted change, if that is not the next one',
      },
      'keep-new': { type: 'boolean', describe: 'Leave files alone that did not exist then' },
      disconnect: {
        type: 'boolean',
        describe:
          'End the sessions of others on a PostgreSQL or MariaDB database that is restored, instead of waiting for them; what they have not committed is lost',
      },
      yes: { type: 'boolean', alias: 'y', describe: 'Answer every question with yes: the same as --force' },
      continue: { type: 'boolean', describe: 'Finish an interrupted restore' },
      abort: { type: 'boolean', describe: 'Take an interrupted restore back' },
    },
    examples: [
      ['git pitr restore --at "10 minutes ago"', 'all files as they were ten minutes ago'],
      ['git pitr restore --at "yesterday 18:00" --all --dry-run', 'what would come back, databases too'],
      ['git pitr restore --snapshot latest~1 -- src/app.ts', 'one file, from the snapshot before the latest'],
      ['git pitr restore --at 14:05 --db app', 'only the database app'],
      ['git pitr restore --at 14:05 --db app.orders', 'only the table orders of it'],
      ['git pitr restore --at 14:05 --branch topic', 'a branch that was deleted, or where it pointed'],
      [
        'git pitr restore --snapshot 4f2a --merge',
        'take back what changed right after snapshot 4f2a, and keep what came later',
      ],
    ],
    exitCodes: {
      ...common,
      ...busy,
      ...stops,
      3: 'done in part: paths or databases that could not be restored, and merge conflicts, are listed',
      4: 'refused: uncommitted changes (also staged ones) would be overwritten, a branch is checked out or commits would be left without a ref, the folder is not empty, a table cannot be restored without others, or you said no',
      5: 'no snapshot at or before that time; no such snapshot, path, database, table, branch or tag',
      7: 'what came back is not what was recorded; it was taken back',
    },
  },
  {
    name: 'refs',
    operands: '[<snapshot>]',
    maxOperands: 1,
    paths: false,
    summary: 'show what branches, tags and the stash were, and how they differ now',
    description:
      'Shows HEAD, the branches, the tags and all entries of the stash as a snapshot recorded them, and how they differ now: moved (~), deleted (-) or made (+) since. What they pointed to is kept for as long as the snapshot, so that git pitr restore --branch, --tag or --stash brings it back, also after git gc. Without a snapshot, the latest.',
    options: {
      at: { type: 'string', value: 'time', describe: 'The newest snapshot at or before this time' },
    },
    examples: [
      ['git pitr refs', 'what changed since the latest snapshot'],
      ['git pitr refs --at "1 hour ago"', 'where everything pointed an hour ago'],
    ],
    exitCodes: {
      ...common,
      5: 'no such snapshot, or none at or before that time',
      7: 'what the snapshot recorded cannot be read',
    },
  },
  {
    name: 'verify',
    operands: '[<snapshot>]',
    maxOperands: 1,
    paths: false,
    summary: 'check that snapshots are whole and can be restored',
    description:
      'Reads every object of a snapshot (without a name, of the latest) and compares it with its name; the note with the commit; the copies of databases with what was captured; what keeps refs alive; and reads objects again with a second implementation of git. The result is written into the notes. Names each snapshot and path that is hurt.',
    options: {
      all: { type: 'boolean', describe: 'All snapshots of this worktree' },
      subset: {
        type: 'string',
        value: 'part',
        describe: 'One part of all snapshots: 1/7, or today/7, another one each day; seven parts are all',
      },
      deep: {
        type: 'boolean',
        describe:
          'Also put SQLite databases together and let SQLite check them; read more objects a second time',
      },
    },
    examples: [
      ['git pitr verify', 'the latest snapshot'],
      ['git pitr verify --all --deep', 'everything, as far as it can be checked'],
      ['git pitr verify --subset today/7', 'for a daily job: all of it in a week'],
    ],
    exitCodes: {
      ...common,
      5: 'no such snapshot, or none at all',
      6: 'busy: the result could not be written into the notes',
      7: 'something is damaged: the snapshots and paths are listed',
    },
  },
  {
    name: 'doctor',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'find what is damaged or dangerous, and mend it',
    description:
      'Looks for a timeline ref that is gone or was moved, snapshots that are missing from the chain, notes that are lost or damaged, refs that nothing keeps alive any more, missing and damaged objects, locks and files of dead processes, and dangerous settings. Each finding has a reason and a remedy. Without --repair nothing is written; with it, what can be mended is, and what cannot is said. Settings are never changed.',
    options: { repair: { type: 'boolean', describe: 'Mend what can be mended' } },
    examples: [
      ['git pitr doctor', 'look, and change nothing'],
      ['git pitr doctor --repair', 'mend what can be mended'],
    ],
    exitCodes: {
      ...common,
      0: 'no damage, or all of it is mended; warnings and advice do not count',
      6: 'busy: another git-pitr is at work (with --repair)',
      7: 'damage is left: it is listed',
    },
  },
  {
    name: 'undo',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'take back the last restore or prune; again is a redo',
    description:
      'Brings back the state before the last restore: its paths and databases, nothing else. Undoing twice is a redo. Asks only about what changed since that restore. When a prune came after it, that is taken back: the snapshots that it dropped are there again, and those taken since stay.',
    options: {
      'dry-run': { type: 'boolean', alias: 'n', describe: 'Show the plan and change nothing' },
      force: {
        type: 'boolean',
        alias: 'f',
        describe: 'Do not ask, and go on over what changed since the restore (it is recorded first)',
      },
      'keep-changes': { type: 'boolean', describe: 'Leave alone what changed since the restore' },
      disconnect: {
        type: 'boolean',
        describe:
          'End the sessions of others on a database that is brought back, instead of waiting for them',
      },
      yes: { type: 'boolean', alias: 'y', describe: 'Answer every question with yes: the same as --force' },
    },
    examples: [
      ['git pitr undo --dry-run', 'what taking back the last restore would do'],
      ['git pitr undo', 'take it back; a second time, restore again'],
    ],
    exitCodes: {
      ...common,
      ...busy,
      ...stops,
      4: 'refused: something changed since the restore, or you said no',
      5: 'there is nothing to undo',
      7: 'the state before cannot be brought back whole; what had been done was taken back',
    },
  },
  {
    name: 'prune',
    operands: '',
    maxOperands: 0,
    paths: false,
    summary: 'drop the snapshots that no rule keeps',
    description:
      'Drops the snapshots that no rule of pitr.retention keeps, and says of each why it stays or goes. What is dropped folds into the next newer snapshot that stays, which says so; ids stay. The newest, pinned ones, archives, migrations and what undo needs are never dropped. git pitr undo takes a prune back, until the next one. It also runs by itself after a snapshot, once a day (pitr.retention.auto).',
    options: {
      'dry-run': { type: 'boolean', alias: 'n', describe: 'Say what would stay and go, and change nothing' },
      policy: {
        type: 'string',
        value: 'rules',
        describe:
          'Instead of the configured rules: "7d 4w 12m" keeps the newest of 7 days, 4 weeks and 12 months (h hours, y years, a bare number the last so many); or by name, "keepWithin=48h safety.keepLast=5 maxSize=2g"',
      },
      gc: {
        type: 'boolean',
        describe: "Run git's gc afterwards, with its grace period of two weeks (gc.pruneExpire)",
      },
    },
    examples: [
      ['git pitr prune --dry-run', 'what would stay and go, and why'],
      ['git pitr prune', 'do just that'],
      ['git pitr prune --policy "7d 4w 12m"', 'with other rules, this once'],
    ],
    exitCodes: {
      ...common,
      ...busy,
      ...stops,
      2: 'wrong usage, or a policy that has no rules or is not understood; nothing was changed',
      3: 'done, but what is protected is more than pitr.retention.maxSize',
      7: 'the timeline cannot be read whole; nothing was changed',
    },
  },
  {
    name: 'pin',
    operands: '<snapshot>',
    maxOperands: 1,
    paths: false,
    summary: 'keep a snapshot for good',
    description: 'Pins a snapshot: no prune drops it.',
    options: {},
    examples: [['git pitr pin latest', 'keep the newest for good']],
    exitCodes: { ...common, ...busy, ...stops, 5: 'no such snapshot', 7: 'its note is lost' },
  },
  {
    name: 'unpin',
    operands: '<snapshot>',
    maxOperands: 1,
    paths: false,
    summary: 'let the rules decide about a snapshot again',
    description: 'Takes the pin off a snapshot: a prune may drop it.',
    options: {},
    examples: [['git pitr unpin 8c5a220ae96f', 'leave it to the rules']],
    exitCodes: { ...common, ...busy, ...stops, 5: 'no such snapshot', 7: 'its note is lost' },
  },
  {
    name: 'annotate',
    operands: '<snapshot>',
    maxOperands: 1,
    paths: false,
    summary: 'say what a snapshot is',
    description: 'Gives a snapshot another message. Its commit stays as it is.',
    options: {
      message: { type: 'string', alias: 'm', value: 'message', describe: 'What this state is' },
    },
    examples: [['git pitr annotate latest~2 -m "the last good one"', 'name it afterwards']],
    exitCodes: { ...common, ...busy, ...stops, 5: 'no such snapshot', 7: 'its note is lost' },
  },
  {
    name: 'guard',
    operands: '-- <command>...',
    maxOperands: 0,
    paths: true,
    summary: 'record a safety snapshot, then run a command',
    description:
      'Records the present state, databases included, and runs the command on this terminal, with its signals and its exit code (126 and 127 as in a shell). If it fails, the line that takes back all it did is printed. When the state cannot be recorded, the command is not run.',
    options: {
      migration: {
        type: 'boolean',
        describe: 'Before a change of a database schema: retention never drops the snapshot',
      },
      'restore-on-failure': {
        type: 'boolean',
        describe: 'When the command fails, bring back files, index and databases at once',
      },
      'no-databases': { type: 'boolean', describe: 'Leave the databases out' },
      disconnect: {
        type: 'boolean',
        describe:
          'With --restore-on-failure: end the sessions of others on a database, instead of waiting for them',
      },
    },
    examples: [
      ['git pitr guard -- git clean -fdx', 'whatever it removes can be brought back'],
      ['git pitr guard --migration --restore-on-failure -- npm run migrate', 'all of it, or none'],
    ],
    exitCodes: {
      ...busy,
      ...stops,
      0: 'the command ended with 0',
      1: 'nothing was recorded, and the command was not run',
      2: 'wrong usage; the command was not run',
      3: 'the command failed, and the state before could not be brought back',
      4: 'nothing was recorded (pitr.maxSnapshotSize, or a home folder), and the command was not run',
      130: 'interrupted (Ctrl-C)',
    },
  },
  {
    name: 'hooks',
    operands: '<action>',
    maxOperands: 1,
    paths: false,
    summary: "let git's own hooks take snapshots",
    description:
      "The action is install, uninstall or status. Installing puts a line into git's hooks that records a safety snapshot before commits, merges, rebases and pushes, and a snapshot after commits, checkouts and merges. A hook that is there goes on working, and comes back byte for byte. A snapshot that fails, or takes longer than pitr.hookTimeout, stops nothing. The hook before a push refuses to send refs/pitr/*, unless PITR_ALLOW_PUSH=1 is set.",
    options: {
      only: {
        type: 'string',
        many: true,
        value: 'hooks',
        describe: 'With install: these hooks, separated by commas, instead of all',
      },
    },
    examples: [
      ['git pitr hooks install', 'all of them'],
      ['git pitr hooks install --only pre-rebase,pre-commit', 'these two'],
      ['git pitr hooks status', 'which are there, and whether they work'],
      ['git pitr hooks uninstall', 'as it was before'],
    ],
    exitCodes: {
      ...common,
      1: 'failed; for status: a hook does not work, and the list says why',
      4: 'refused: the hooks are files of the project, or those of other repositories too',
    },
  },
  {
    name: 'shell-init',
    operands: '<shell>',
    maxOperands: 1,
    paths: false,
    summary: 'print a shell function that takes a snapshot before git reset --hard and its like',
    description:
      "Prints a function called git for the shell's start-up file. Before subcommands that destroy what no commit holds (reset --hard, checkout -f, checkout of files, restore, switch -f, clean -f, stash drop, rebase, branch -D, rm -f, worktree remove, gc --prune=now and more) it records a safety snapshot; when that fails, git is not run. All other git commands cost nothing: the shell decides alone.",
    options: {},
    examples: [
      ['git pitr shell-init bash', 'in ~/.bashrc: eval "$(git pitr shell-init bash)"; zsh likewise'],
      ['git pitr shell-init fish', 'in ~/.config/fish/config.fish: git pitr shell-init fish | source'],
    ],
    exitCodes: { 0: 'done', 2: 'wrong usage' },
  },
];

export function findCommand(name: string): CommandSpec | undefined {
  return commands.find((command) => command.name === name);
}
