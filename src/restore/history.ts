import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isEmptyTree } from '../capture/staged.ts';
import { PitrError } from '../errors.ts';
import { git, gitText } from '../git/run.ts';
import { ensurePrivateDir } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { formatInstant, type Instant } from '../timeline/instant.ts';
import type { Context } from './request.ts';
import { requireShadow } from './shadow.ts';
import type { RecordedState } from './target.ts';

/**
 * `--source history`: where no snapshot reaches back far enough, tracked files can still come from the commit that
 * was checked out then.
 */

interface PastCommit {
  commit: string;
  /** How it was found: HEAD's reflog says what was checked out; a commit's date only when it was made. */
  by: 'reflog' | 'commit date';
  time: string;
}

/** The commit that was checked out at an instant; undefined when the history does not reach back so far. */
async function commitAt({ repository }: Context, instant: Instant): Promise<PastCommit | undefined> {
  const cwd = repository.worktree;
  const seconds = Math.floor(instant.epochMs / 1000);
  const plain = ['--no-show-signature', '--no-color'];
  const reflog = await gitText(['log', '-g', ...plain, '--date=unix', '--format=%H %gd', 'HEAD', '--'], {
    cwd,
    okCodes: [0, 128],
  });
  for (const line of reflog.split('\n')) {
    const match = /^([0-9a-f]{40,64}) HEAD@\{(\d+)\}$/.exec(line);
    if (match?.[1] !== undefined && Number(match[2]) <= seconds)
      return { commit: match[1], by: 'reflog', time: isoOf(Number(match[2])) };
  }
  const found = await gitText(
    ['log', '-1', ...plain, '--first-parent', `--before=@${seconds}`, '--format=%H %ct', 'HEAD', '--'],
    { cwd, okCodes: [0, 128] },
  );
  const [commit, time] = found.split(' ');
  return commit === undefined || commit === ''
    ? undefined
    : { commit, by: 'commit date', time: isoOf(Number(time)) };
}

function described({ commit, by }: PastCommit): string {
  const short = `commit ${commit.slice(0, 10)}`;
  return by === 'reflog'
    ? `${short} was checked out then (by reflog)`
    : `${short} is the newest that was made by then (by commit date)`;
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** Adds to "no snapshot that early" what the branch's history can offer. */
export async function hintAtHistory(
  context: Context,
  instant: Instant,
  error: PitrError,
): Promise<PitrError> {
  const past = await commitAt(context, instant);
  if (past === undefined) return error;
  return new PitrError(
    'noMatch',
    `${error.message} The branch's history does reach back: ${described(past)}.`,
    {
      hints: [
        'Its tracked files can be restored: add --source history (untracked files and databases are left alone).',
        ...error.hints,
      ],
      details: { ...error.details, history: past },
    },
  );
}

/** The target that a commit of the branch's history is. Error: `noMatch` when there is none that early. */
export async function historyTarget(
  context: Context,
  instant: Instant,
): Promise<{ snapshot: Snapshot; target: RecordedState }> {
  const past = await commitAt(context, instant);
  if (past === undefined) {
    throw new PitrError(
      'noMatch',
      `The branch's history does not reach back to ${formatInstant(instant)} either; nothing was changed.`,
    );
  }
  const files = await rawTree(context, past.commit);
  const target: RecordedState = {
    commit: past.commit,
    files,
    staged: '',
    emptyIndex: false,
    head: past.commit,
    permissions: new Map(),
    emptyDirs: new Set(),
    gitlinks: new Map(),
    conflicts: new Map(),
    indexFlags: new Map(),
    skipped: new Set(),
    databases: [],
  };
  return { snapshot: standIn(past), target };
}

function standIn(past: PastCommit): Snapshot {
  return {
    id: past.commit.slice(0, 12),
    time: past.time,
    type: 'snapshot',
    trigger: 'manual',
    message: `commit ${past.commit.slice(0, 10)} (by ${past.by})`,
    pinned: false,
    commit: past.commit,
    head: { branch: null, commit: past.commit },
    changes: { added: 0, modified: 0, deleted: 0 },
    files: 0,
    bytes: 0,
    databases: [],
    skipped: [],
    failedDatabases: [],
    history: true,
  };
}

/**
 * A commit's files as a checkout makes them (line ends, filters, encodings), as a tree of raw bytes. They are checked
 * out into a scratch folder with the user's own settings and recorded from there.
 */
async function rawTree(context: Context, commit: string): Promise<string> {
  const { repository } = context;
  await requireShadow(context);
  const dir = path.join(repository.lineDir, 'scratch', ownedName());
  const files = path.join(dir, 'files');
  ensurePrivateDir(path.dirname(dir));
  mkdirSync(files, { recursive: true, mode: 0o700 });
  try {
    const checkout = {
      GIT_DIR: repository.gitDir,
      GIT_WORK_TREE: files,
      GIT_INDEX_FILE: path.join(dir, 'index'),
    };
    await git(['read-tree', '--end-of-options', commit], { cwd: files, env: checkout });
    await git(['checkout-index', '--all', '--force', '--quiet'], { cwd: files, env: checkout });
    const raw = {
      GIT_DIR: path.join(repository.lineDir, 'shadow'),
      GIT_OBJECT_DIRECTORY: repository.objectDir,
      GIT_WORK_TREE: files,
      GIT_INDEX_FILE: path.join(dir, 'raw-index'),
    };
    await git(['add', '--all', '--force', '.'], { cwd: files, env: raw });
    const tree = await gitText(['write-tree'], { cwd: files, env: raw });
    return isEmptyTree(tree) ? '' : tree;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
