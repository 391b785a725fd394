import { copyFileSync, existsSync, lstatSync, mkdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import type { BytePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { type GitOptions, type GitResult, type RunningGit, git, startGit } from '../git/run.ts';
import { ensurePrivateDir, readFileIfThere, writeFileWhole } from '../system/files.ts';

/**
 * A capture reads one working tree through a *shadow* git directory: private, with an index of its own and the real
 * object store behind it. The user's index, HEAD and config are never written.
 */
export interface CaptureContext extends ShadowPlace {
  config: Config;
  /** The user's own index of that tree. */
  userIndex: string;
  /** The user's `info/exclude` for that tree. */
  excludeFile: string;
  /** Where `worktree` lies below the repository's: '' or `path/to/nested`. */
  mount: BytePath;
  /** Patterns, in git's ignore syntax, of registered database files: captured by their engines, never as files. */
  databaseFiles: readonly string[];
}

/** What it takes to run git on a shadow. */
export interface ShadowPlace {
  repository: Repository;
  /** The working tree to read: the worktree, or a nested repository in it. */
  worktree: string;
  shadowDir: string;
}

/** Where the worktree's own shadow is. */
export function shadowOf(repository: Repository): ShadowPlace {
  return { repository, worktree: repository.worktree, shadowDir: path.join(repository.lineDir, 'shadow') };
}

/** The environment that makes git work on the shadow. */
function shadowEnvironment(context: ShadowPlace): Record<string, string> {
  return {
    GIT_DIR: context.shadowDir,
    GIT_WORK_TREE: context.worktree,
    GIT_OBJECT_DIRECTORY: context.repository.objectDir,
  };
}

export function shadowGit(
  context: ShadowPlace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<GitResult> {
  return git(args, shadowOptions(context, options));
}

export function startShadowGit(
  context: ShadowPlace,
  args: readonly string[],
  options: GitOptions = {},
): RunningGit {
  return startGit(args, shadowOptions(context, options));
}

function shadowOptions(context: ShadowPlace, options: GitOptions): GitOptions {
  return { cwd: context.worktree, ...options, env: { ...shadowEnvironment(context), ...options.env } };
}

export function shadowIndex(context: Pick<ShadowPlace, 'shadowDir'>): string {
  return path.join(context.shadowDir, 'index');
}

/** Every conversion off: what is recorded is what is on disk, byte for byte (CRLF, filters, encodings, ident). */
const rawAttributes = '* -text -eol -filter -ident -working-tree-encoding -crlf\n';

/** The user's settings that change how the working tree is compared; all else in the shadow's config is fixed. */
const mirroredKeys = [
  'core.filemode',
  'core.symlinks',
  'core.precomposeunicode',
  'core.trustctime',
  'core.checkstat',
  'core.excludesfile',
  'core.protecthfs',
  'core.protectntfs',
  'core.bigfilethreshold',
  'core.sharedrepository',
  'core.compression',
  'core.loosecompression',
  'pack.compression',
];

/** Creates the shadow git directory, or brings its settings up to date. True when it was there with an index. */
export function prepareShadow(context: CaptureContext): boolean {
  const { shadowDir } = context;
  if (!existsSync(path.join(shadowDir, 'refs'))) {
    ensurePrivateDir(shadowDir);
    for (const dir of ['info', 'objects', 'refs']) mkdirSync(path.join(shadowDir, dir), { recursive: true });
  }
  // A git that was killed in the shadow leaves its lock; we hold the line's lock, so nobody else is using it. Other
  // indexes in there have their own users, who may be at work already.
  rmSync(`${shadowIndex(context)}.lock`, { force: true });
  // Each looked at each time: a full disk, or a loss of power, leaves a file that is there and empty.
  const files = {
    'info/attributes': rawAttributes,
    'info/exclude': readFileIfThere(context.excludeFile) ?? '',
    config: shadowConfig(context),
    HEAD: 'ref: refs/heads/shadow\n',
  };
  for (const [name, content] of Object.entries(files)) writeIfChanged(path.join(shadowDir, name), content);
  return existsSync(shadowIndex(context));
}

function shadowConfig(context: CaptureContext): string {
  const { repository, config } = context;
  const lines = [
    '[core]',
    '\trepositoryformatversion = 1',
    '\tbare = false',
    '\tautocrlf = false',
    '\tlogallrefupdates = false',
    '\tsplitindex = false',
    '\tuntrackedcache = false',
    `\tignorecase = ${tellsCasesApart(context.worktree) ? 'false' : quoteConfig(config.git.get('core.ignorecase') ?? 'false')}`,
    // git then takes the skip-worktree flag from every path that is on disk (see sparse.ts).
    '\tsparsecheckout = true',
  ];
  const other: string[] = ['[sparse]', '\texpectfilesoutsideofpatterns = false'];
  for (const key of mirroredKeys) {
    const value = config.git.get(key);
    if (value === undefined) continue;
    const [section, name] = key.split('.') as [string, string];
    const line = `\t${name} = ${quoteConfig(value)}`;
    if (section === 'core') lines.push(line);
    else other.push(`[${section}]`, line);
  }
  if (repository.objectFormat === 'sha256') other.push('[extensions]', '\tobjectformat = sha256');
  return `${[...lines, ...other].join('\n')}\n`;
}

/**
 * True when the file system of a working tree has `a` and `A` as two names. core.ignoreCase may say otherwise (it comes
 * along with a configuration from another machine), and would then hide one of two files that differ in case only.
 */
function tellsCasesApart(worktree: string): boolean {
  const [lower, upper] = ['.git', '.GIT'].map((name) =>
    lstatSync(path.join(worktree, name), { throwIfNoEntry: false }),
  );
  return lower !== undefined && lower.ino !== upper?.ino;
}

function quoteConfig(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

function writeIfChanged(file: string, content: string): void {
  if (readFileIfThere(file) !== content) writeFileWhole(file, content);
}

/**
 * Copies an index and keeps its times. A copy with a fresh mtime would make entries look older than the index, and so
 * hide an edit of the same size made in the same tick (t3code #10792 #9661).
 */
export function copyIndex(from: string, to: string): boolean {
  try {
    const before = statSync(from);
    copyFileSync(from, to);
    utimesSync(to, before.atimeMs / 1000, Math.floor(before.mtimeMs / 1000));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
