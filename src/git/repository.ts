import { lstatSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { readFileIfThere } from '../system/files.ts';
import { environmentOf, tellGitDir } from './environment.ts';
import { GitFailure, git, gitText } from './run.ts';

/** Where one worktree and its repository are. All paths are absolute. */
export interface Repository {
  /** The top of the working tree. */
  worktree: string;
  /** The git directory of this worktree (holds its HEAD and index). */
  gitDir: string;
  /** The repository's shared git directory (holds objects and refs). */
  commonDir: string;
  /** Where objects are read and written. */
  objectDir: string;
  /** Where they stay, when that is another place: see quarantine.ts. */
  quarantineOf?: string;
  objectFormat: 'sha1' | 'sha256';
  /** The folder of the caller below the worktree, with a trailing slash; '' at the top. */
  prefix: string;
  /** The name of this worktree's timeline: `main`, or the administrative name of a linked worktree. */
  line: string;
  /** git-pitr's private folder of this repository. */
  privateDir: string;
  /** The private folder of this worktree's line. */
  lineDir: string;
}

/** The oid that means "nothing", in the repository's hash. */
export function nullOid(repository: Pick<Repository, 'objectFormat'>): string {
  return '0'.repeat(repository.objectFormat === 'sha256' ? 64 : 40);
}

export function timelineRef(repository: Pick<Repository, 'line'>): string {
  return `refs/pitr/${repository.line}`;
}

/** Keeps what the refs of a line's snapshots pointed to. */
export function anchorRef(repository: Pick<Repository, 'line'>): string {
  return `refs/pitr/anchor/${repository.line}`;
}

export const notesRef = 'refs/notes/pitr';

/** Where the timeline and the notes were before the last prune of a line, for `undo`. */
export function previousRefs({ line }: Pick<Repository, 'line'>): { timeline: string; notes: string } {
  return { timeline: `refs/pitr/previous/${line}`, notes: `refs/pitr/previous-notes/${line}` };
}

const questions = [
  ['--is-bare-repository'],
  ['--is-inside-git-dir'],
  ['--git-dir'],
  ['--git-common-dir'],
  ['--git-path', 'objects'],
  ['--show-object-format'],
  ['--show-toplevel'],
  ['--show-prefix'],
];

/**
 * Finds the repository around `cwd`. Only where there is none do GIT_DIR and GIT_WORK_TREE count, and only both
 * together: a hook has GIT_DIR set, and a program that it starts elsewhere must not end up in the hook's repository.
 * Errors: none here, bare, inside a git directory.
 */
export async function findRepository(cwd: string = process.cwd()): Promise<Repository> {
  const [gitDir, worktree] = [environmentOf('GIT_DIR') ?? '', environmentOf('GIT_WORK_TREE') ?? ''];
  try {
    return await discover(cwd);
  } catch (error) {
    if (gitDir === '' || worktree === '' || !(error instanceof NoRepository)) throw error;
    return await discover(cwd, { GIT_DIR: path.resolve(gitDir), GIT_WORK_TREE: path.resolve(worktree) });
  }
}

async function discover(cwd: string, env: Record<string, string> = {}): Promise<Repository> {
  const args = ['rev-parse', '--path-format=absolute', ...questions.flat()];
  const { stdout, stderr, code } = await git(args, { cwd, env, okCodes: [0, 128] });
  let lines = stdout.toString('utf8').split('\n');
  // A path with a line end in it: one question at a time.
  if (code === 0 && lines.length !== questions.length + 1)
    lines = await Promise.all(
      questions.map((question) =>
        gitText(['rev-parse', '--path-format=absolute', ...question], { cwd, env }),
      ),
    );
  const [bare, insideGitDir, gitDir, commonDir, objectDir, objectFormat, worktree, prefix] = lines;
  if (gitDir === undefined || gitDir === '') throw discoveryError(cwd, stderr);
  if (bare === 'true') {
    throw new PitrError('failed', `${gitDir} is a bare repository: it has no working tree to record.`, {
      hints: ['Run git pitr in a clone or a linked worktree (git worktree add).'],
    });
  }
  if (insideGitDir === 'true' || worktree === undefined || worktree === '' || code !== 0) {
    if (insideGitDir !== 'true' && stderr !== '') throw new GitFailure(args, code, stderr, null);
    throw new PitrError('failed', `${cwd} is inside the git directory ${gitDir}, not in a working tree.`, {
      hints: ['Change to the folder that holds your files and run the command again.'],
    });
  }
  tellGitDir(worktree, leadsTo(worktree, gitDir) ? undefined : gitDir);
  return withOwnPlaces({
    worktree,
    gitDir,
    commonDir: commonDir as string,
    objectDir: objectDir as string,
    objectFormat: objectFormat === 'sha256' ? 'sha256' : 'sha1',
    prefix: prefix ?? '',
  });
}

/** True when git, started in the working tree, finds this git directory. */
function leadsTo(worktree: string, gitDir: string): boolean {
  const dotGit = path.join(worktree, '.git');
  const found = lstatSync(dotGit, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (found.isDirectory() && dotGit === gitDir) return true;
  const pointer = found.isFile() ? /^gitdir: (.*?)\n?$/s.exec(readFileIfThere(dotGit) ?? '')?.[1] : dotGit;
  if (pointer === undefined) return false;
  try {
    return realpathSync(path.resolve(worktree, pointer)) === realpathSync(gitDir);
  } catch {
    return false; // it leads to nothing
  }
}

/**
 * What `findRepository` will most likely say, without asking git: the ordinary layout with a `.git` folder. Whoever
 * starts work on it must see the same from `findRepository` before anything is recorded.
 */
export function guessRepository(cwd: string): Repository | undefined {
  const here = realpathSync(cwd);
  for (let worktree = here; ; worktree = path.dirname(worktree)) {
    const gitDir = path.join(worktree, '.git');
    const found = lstatSync(gitDir, { throwIfNoEntry: false });
    if (found === undefined && worktree !== path.dirname(worktree)) continue;
    if (found?.isDirectory() !== true) return undefined;
    const below = path.relative(worktree, here);
    const config = ['config', 'config.worktree']
      .map((name) => readFileIfThere(path.join(gitDir, name)) ?? '')
      .join('\n');
    if (/^\s*(worktree|bare\s*=\s*true)/im.test(config.replace(/^\s*worktreeconfig/gim, '')))
      return undefined;
    return withOwnPlaces({
      worktree,
      gitDir,
      commonDir: gitDir,
      objectDir: path.join(gitDir, 'objects'),
      objectFormat: /^\s*objectformat\s*=\s*sha256/im.test(config) ? 'sha256' : 'sha1',
      prefix: below === '' ? '' : `${below}/`,
    });
  }
}

function withOwnPlaces(found: Omit<Repository, 'line' | 'privateDir' | 'lineDir'>): Repository {
  const line = found.gitDir === found.commonDir ? 'main' : lineName(path.basename(found.gitDir));
  const privateDir = path.join(found.commonDir, 'pitr');
  return { ...found, line, privateDir, lineDir: path.join(privateDir, 'lines', line) };
}

/** A linked worktree may be called `main` too: its line must not share the main worktree's. */
function lineName(administrativeName: string): string {
  return ['main', 'previous', 'previous-notes', 'anchor', 'incoming'].includes(administrativeName)
    ? `${administrativeName}-worktree`
    : administrativeName;
}

class NoRepository extends PitrError {
  constructor(cwd: string) {
    const gitDir = environmentOf('GIT_DIR');
    const ignored =
      gitDir === undefined ? [] : [`GIT_DIR (${gitDir}) counts only together with GIT_WORK_TREE.`];
    super('failed', `${cwd} is not in a Git repository.`, {
      hints: ['Run git init here first, or change to your repository.', ...ignored],
    });
  }
}

function discoveryError(cwd: string, stderr: string): PitrError {
  if (/not a git repository/.test(stderr)) return new NoRepository(cwd);
  if (/dubious ownership/.test(stderr)) {
    return new PitrError(
      'failed',
      `The repository at ${cwd} belongs to another user, so git does not read it.`,
      {
        hints: [
          'Run the command as its owner, or trust it: git config --global --add safe.directory <its folder>.',
          ...stderr.split('\n').filter((line) => line.includes('dubious')),
        ],
      },
    );
  }
  if (/refstorage|reftable/i.test(stderr)) {
    return new PitrError(
      'failed',
      `The repository at ${cwd} keeps its refs in the reftable format, which the git here cannot read.`,
      {
        hints: [
          'Install a git that knows reftable (2.45 or newer), or convert the repository: git refs migrate --ref-format=files.',
        ],
      },
    );
  }
  return new PitrError('failed', `git cannot read the repository at ${cwd}: ${stderr.trim()}`);
}
