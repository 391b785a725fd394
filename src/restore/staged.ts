import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyIndex } from '../capture/context.ts';
import { PitrError } from '../errors.ts';
import { readIndexFile } from '../git/indexFile.ts';
import { type BytePath, displayPath, onDisk } from '../git/paths.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { syncDir } from '../system/files.ts';
import { type IndexChange, type IndexSide, sameIndexSide } from './indexPlan.ts';
import type { Context } from './request.ts';

/**
 * `restore --staged`: the only place that writes the user's index, and only when asked. The new index is made beside
 * it, whole, and takes its place in one step, by git's own rules: through `index.lock`, which keeps the user's git out
 * for that moment and which a running git keeps us out with.
 */

/** Brings every changed path of the index to its `after`. Error: `busy` while another git holds the index. */
export async function applyIndex(context: Context, changes: readonly IndexChange[]): Promise<void> {
  if (changes.length === 0) return;
  const { repository } = context;
  for (let turn = 0; turn < 10; turn++) {
    const built = await buildIndex(context, changes);
    if (await replaceIndex(repository, built)) {
      crashPoint('index-written');
      requireIndex(repository, changes);
      return;
    }
  }
  throw new PitrError('busy', 'Another program keeps writing the index; it was not restored.', {
    hints: ['Stop it, and run the command again.'],
  });
}

/**
 * Waits until nobody holds the index. Error: `busy`, a second later; a lock that a killed git left never goes away.
 * Removes one that we left ourselves.
 */
export async function requireIndexFree(repository: Repository): Promise<void> {
  const { lock, fresh } = placesOf(repository);
  const stat = (file: string) => statSync(file, { bigint: true, throwIfNoEntry: false });
  for (let waited = 0; ; waited += 50) {
    const held = stat(lock);
    if (held === undefined) return;
    // Our lock is a second name of the new index, so that nobody can take another's for it. We hold the line's lock.
    if (stat(fresh)?.ino === held.ino && stat(fresh)?.dev === held.dev) rmSync(lock, { force: true });
    else if (waited >= 1000) throw heldError(lock);
    else await sleep(50);
  }
}

function heldError(lock: string): PitrError {
  return new PitrError(
    'busy',
    `The index is in use by another git (${lock} is there); nothing was changed.`,
    {
      hints: [
        'Wait for it and run the command again.',
        'If no git is running, it was killed: remove that file.',
        'Without --staged the index is left alone.',
      ],
    },
  );
}

function placesOf({ gitDir, lineDir }: Repository) {
  return {
    index: path.join(gitDir, 'index'),
    lock: path.join(gitDir, 'index.lock'),
    fresh: path.join(lineDir, 'index.new'),
  };
}

interface BuiltIndex {
  /** The user's index that it was made from. */
  from: string;
}

/** What tells one index file from the next. */
function stampOf(index: string): string {
  const stat = statSync(index, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
}

/** Makes the new index beside the old one: a copy of it (other entries keep their stat data) with the changes. */
async function buildIndex(context: Context, changes: readonly IndexChange[]): Promise<BuiltIndex> {
  const { repository, config } = context;
  const { index, fresh } = placesOf(repository);
  for (const left of [fresh, `${fresh}.lock`]) rmSync(left, { force: true });
  const from = stampOf(index);
  copyIndex(index, fresh);
  const run = (args: readonly string[], records: readonly string[], env: Record<string, string> = {}) =>
    git(args, {
      cwd: repository.worktree,
      env: { GIT_INDEX_FILE: fresh, ...env },
      input: Buffer.from(records.map((record) => `${record}\0`).join(''), 'latin1'),
    });
  await run(['update-index', '-z', '--index-info'], indexInfo(repository, changes));
  const sparse = /^(true|yes|on|1)$/i.test(config.git.get('core.sparsecheckout') ?? '');
  const bits = sparse ? ([['h', 'assume-unchanged']] as const) : allBits;
  for (const [letter, name] of bits) {
    const set = changes.filter(({ after }) => after.flags.includes(letter)).map(({ path: file }) => file);
    const clear = changes.filter((change) => losesOnly(change, letter)).map(({ path: file }) => file);
    if (set.length > 0) await run(['update-index', '-z', `--${name}`, '--stdin'], set);
    if (clear.length > 0) await run(['update-index', '-z', `--no-${name}`, '--stdin'], clear);
  }
  const intended = changes.filter(({ path: file, after }) => isIntended(after) && isOnDisk(repository, file));
  if (intended.length > 0) {
    const args = ['add', '--intent-to-add', '--force', '--pathspec-from-file=-', '--pathspec-file-nul'];
    const env = { GIT_LITERAL_PATHSPECS: '1' };
    await run(
      args,
      intended.map(({ path: file }) => file),
      env,
    );
  }
  if (sparse) await reapplySparse(repository, fresh);
  // Stat data for the new entries, as `git status` would get it. Done here, and not in the user's index afterwards: a
  // git that is killed there leaves an index.lock that nobody takes away.
  const okCodes = [0, 1, 128];
  await git(['update-index', '-q', '--refresh'], {
    cwd: repository.worktree,
    env: { GIT_INDEX_FILE: fresh },
    okCodes,
  });
  crashPoint('index-built');
  return { from };
}

const allBits = [
  ['h', 'assume-unchanged'],
  ['S', 'skip-worktree'],
] as const;

function isIntended({ flags }: IndexSide): boolean {
  return flags.includes('N');
}

/** A path whose entry stays and whose bit goes; a new entry has none to begin with. */
function losesOnly({ before, after }: IndexChange, letter: string): boolean {
  return (
    before.flags.includes(letter) &&
    !after.flags.includes(letter) &&
    sameIndexSide({ ...before, flags: '' }, { ...after, flags: '' }) &&
    after.entries.length > 0
  );
}

/** Lines for `update-index --index-info`: what goes first, so that `a` can follow `a/b`. */
function indexInfo(repository: Repository, changes: readonly IndexChange[]): string[] {
  const none = nullOid(repository);
  const entriesChange = changes.filter(
    ({ before, after }) =>
      isIntended(before) || !sameIndexSide({ ...before, flags: '' }, { ...after, flags: '' }),
  );
  return [
    ...entriesChange.map(({ path: file }) => `0 ${none}\t${file}`),
    ...entriesChange.flatMap(({ path: file, after }) =>
      after.entries.map(({ mode, oid, stage }) => `${mode} ${oid} ${stage}\t${file}`),
    ),
  ];
}

function isOnDisk({ worktree }: Repository, file: BytePath): boolean {
  try {
    return !lstatSync(onDisk(worktree, file)).isDirectory();
  } catch {
    return false;
  }
}

/**
 * Gives new entries outside a sparse checkout the bit that says so. git works it out; it is shown an empty folder as
 * the working tree, so that it has nothing to remove.
 */
async function reapplySparse(repository: Repository, index: string): Promise<void> {
  const { mkdirSync } = await import('node:fs');
  const empty = path.join(repository.lineDir, 'empty');
  rmSync(empty, { recursive: true, force: true });
  mkdirSync(empty, { mode: 0o700 });
  try {
    await git(['sparse-checkout', 'reapply'], {
      cwd: empty,
      env: { GIT_INDEX_FILE: index, GIT_DIR: repository.gitDir, GIT_WORK_TREE: empty },
    });
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
}

/** Puts the new index in the place of the old one. False when that has been written anew meanwhile. */
async function replaceIndex(repository: Repository, built: BuiltIndex): Promise<boolean> {
  const { index, lock, fresh } = placesOf(repository);
  for (;;) {
    await requireIndexFree(repository);
    if (takeIndexLock(fresh, lock)) break;
  }
  crashPoint('index-locked');
  const isStill = stampOf(index) === built.from;
  if (isStill) renameSync(lock, index);
  else rmSync(lock, { force: true });
  rmSync(fresh, { force: true });
  syncDir(path.dirname(index));
  return isStill;
}

/** The lock is the new index itself, under a second name: complete from its first moment, as git's own is at the end. */
function takeIndexLock(fresh: string, lock: string): boolean {
  try {
    linkSync(fresh, lock);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EMLINK', 'EXDEV'].includes(code)) throw error;
  }
  // A file system without hard links.
  try {
    copyFileSync(fresh, lock, constants.COPYFILE_EXCL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  const { atimeMs, mtimeMs } = statSync(fresh);
  utimesSync(lock, atimeMs / 1000, Math.floor(mtimeMs / 1000));
  return true;
}

/** Reads back what was written. Error: `integrity`. A split index only git can read: then its word has to do. */
function requireIndex(repository: Repository, changes: readonly IndexChange[]): void {
  const index = readIndexFile(placesOf(repository).index, repository);
  if (index === undefined) return;
  const found = new Map<BytePath, IndexSide>();
  for (const { path: file, intentToAdd, mode, oid, stage } of index.entries) {
    const side = found.get(file) ?? { entries: [], flags: '' };
    if (!intentToAdd) side.entries.push({ mode, oid, stage });
    found.set(file, side);
  }
  const isRight = ({ path: file, after }: IndexChange) =>
    sameIndexSide(found.get(file) ?? { entries: [], flags: '' }, { ...after, flags: '' });
  const wrong = changes.filter((change) => !isRight(change)).map(({ path: file }) => displayPath(file));
  if (wrong.length === 0) return;
  throw new PitrError(
    'integrity',
    `After the restore the index of ${wrong.length} paths is not what the snapshot holds: ${wrong.slice(0, 10).join(', ')}.`,
  );
}
