/**
 * The environment every git process gets.
 *
 * Hooks export GIT_DIR, GIT_INDEX_FILE and GIT_CONFIG_*; a tool that inherits them corrupts the user's index or
 * hits another repository (opencode #22477, Roo #4567). So every GIT_* variable is dropped and what matters is set.
 */

/** Config that holds for every git process, whatever the user's files say. */
const fixedConfig: readonly (readonly [string, string])[] = [
  // Power loss leaves empty loose objects by default (cline #4851). Here every object is on its way to the disk before
  // it gets its name, and the one full fsync is that of the refs (`updateRefs`), after all of them: 1 ms a snapshot
  // where fsync for each object costs 10 (docs/decisions/0003).
  ['core.fsync', 'all'],
  ['core.fsyncMethod', 'writeout-only'],
  // The user's fsmonitor and hooks are programs: a snapshot starts none of them.
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', '/dev/null'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['advice.addEmbeddedRepo', 'false'],
  ['core.safecrlf', 'false'],
  ['core.quotePath', 'true'],
  ['diff.renames', 'false'],
  ['diff.ignoreSubmodules', 'none'],
  // Many small packs would slow down the user's own git; few new objects go in loose.
  ['fastimport.unpackLimit', '200'],
  // A partial clone must never fetch because a snapshot looked at it.
  ['protocol.allow', 'never'],
];

/** One variable of this process's environment, also a GIT_* one that git processes do not get. */
export function environmentOf(name: string): string | undefined {
  return process.env[name];
}

let base: NodeJS.ProcessEnv | undefined;

function baseEnvironment(): NodeJS.ProcessEnv {
  if (base !== undefined) return base;
  base = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('GIT_') || name === 'GIT_EXEC_PATH' || name.startsWith('GIT_CONFIG_GLOBAL'))
      base[name] = value;
    if (name === 'GIT_CONFIG_SYSTEM' || name === 'GIT_CONFIG_NOSYSTEM' || name === 'GIT_CEILING_DIRECTORIES')
      base[name] = value;
  }
  Object.assign(base, {
    LC_ALL: 'C',
    LANGUAGE: '',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_ADVICE: '0',
    GIT_PAGER: 'cat',
    GIT_AUTHOR_NAME: 'git-pitr',
    GIT_AUTHOR_EMAIL: 'git-pitr@localhost',
    GIT_COMMITTER_NAME: 'git-pitr',
    GIT_COMMITTER_EMAIL: 'git-pitr@localhost',
  });
  return base;
}

/** Working trees that do not lead to their git directory: worktree -> git directory. */
const told = new Map<string, string>();

/**
 * A working tree that core.worktree, or GIT_DIR with GIT_WORK_TREE, put apart from its git directory: from it git would
 * find none, or another one. Every git process that starts there is told which it is.
 * @param gitDir undefined when git finds the right one by itself
 */
export function tellGitDir(worktree: string, gitDir: string | undefined): void {
  if (gitDir === undefined) told.delete(worktree);
  else told.set(worktree, gitDir);
}

/** True when git does not find the git directory of this working tree by itself. */
export function isApart(worktree: string): boolean {
  return told.has(worktree);
}

/**
 * The environment for one git process.
 * @param extra variables on top (GIT_DIR of the shadow, say)
 * @param config further config keys, stronger than the user's files
 * @param cwd where it starts
 */
export function gitEnvironment(
  extra: Readonly<Record<string, string>> = {},
  config: readonly (readonly [string, string])[] = [],
  cwd = '',
): NodeJS.ProcessEnv {
  const gitDir = told.get(cwd);
  const apart = gitDir === undefined ? {} : { GIT_DIR: gitDir, GIT_WORK_TREE: cwd };
  const environment: NodeJS.ProcessEnv = { ...baseEnvironment(), ...apart, ...extra };
  const all = [...fixedConfig, ...config];
  environment['GIT_CONFIG_COUNT'] = String(all.length);
  for (const [index, [key, value]] of all.entries()) {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return environment;
}
