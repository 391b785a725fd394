import { accessSync, type BigIntStats, constants, lstatSync } from 'node:fs';
import { PitrError } from '../errors.ts';
import { type BytePath, displayPath, onDisk, parentsOf } from '../git/paths.ts';
import { GitFailure } from '../git/run.ts';
import { progressOf } from '../system/progress.ts';
import { type CaptureContext, shadowGit } from './context.ts';
import { kindOf } from './specials.ts';

/** A path that a snapshot does not hold although it was there, and why. Protected from any restore. */
export interface Skipped {
  path: BytePath;
  reason: string;
}

export interface UpdateResult {
  skipped: Skipped[];
  /** What `lstat` said of each path that was recorded now. */
  recorded: Map<BytePath, BigIntStats>;
  /** Paths that are no longer there. */
  removed: BytePath[];
}

const attempts = 3;

/**
 * Brings the shadow index, and the object store, up to date for `paths`. One bad file never fails the rest: it is left
 * out with its reason. A file that changes while it is read is read again, three times, and then left out.
 * Error: `refused` when more than `pitr.maxSnapshotSize` would be added.
 */
export async function updateIndex(context: CaptureContext, paths: Iterable<BytePath>): Promise<UpdateResult> {
  const result: UpdateResult = { skipped: [], recorded: new Map(), removed: [] };
  let toRecord = new Map<BytePath, BigIntStats>();
  const missing: BytePath[] = [];
  for (const path of paths) {
    const look = lookAt(context, path);
    if (look === 'missing') missing.push(path);
    else if (look === 'gone') result.removed.push(path);
    else if (typeof look === 'string') result.skipped.push({ path, reason: look });
    else toRecord.set(path, look);
  }
  refuseTooMuch(context, toRecord);
  // What is simply not there goes with what is recorded, in one process.
  const apart = toRecord.size > 0 ? [] : missing.splice(0);
  result.removed.push(...apart);
  await forget(context, [...result.removed, ...result.skipped.map(({ path }) => path)]);
  for (let attempt = 1; toRecord.size > 0; attempt++) {
    const failed = await recordAll(context, missing, toRecord);
    const moved = new Map<BytePath, BigIntStats>();
    const appeared = lookAgain(context, missing.splice(0), result, moved);
    for (const [path, before] of toRecord) {
      const reason = failed.get(path);
      const now = lookAt(context, path);
      if (reason !== undefined && typeof now === 'object') result.skipped.push({ path, reason });
      else if (typeof now === 'object' && sameFile(before, now)) result.recorded.set(path, now);
      else if (now === 'gone' || now === 'missing') result.removed.push(path);
      else if (typeof now === 'string') result.skipped.push({ path, reason: now });
      else if (attempt < attempts) moved.set(path, now);
      else result.skipped.push({ path, reason: 'it changed while it was read' });
    }
    const dropped = [...toRecord.keys()].filter((path) => !result.recorded.has(path) && !moved.has(path));
    await forget(context, [...appeared, ...dropped]);
    toRecord = moved;
  }
  return result;
}

/**
 * Sorts out what was missing when git was asked to drop it. One that came back at that very moment was read by git, and
 * nobody saw whether it was whole: it is read again (`moved`), or dropped (the paths given back).
 */
function lookAgain(
  context: CaptureContext,
  missing: readonly BytePath[],
  result: UpdateResult,
  moved: Map<BytePath, BigIntStats>,
): BytePath[] {
  const drop: BytePath[] = [];
  for (const path of missing) {
    const now = lookAt(context, path);
    if (typeof now === 'object') moved.set(path, now);
    else if (now === 'missing') result.removed.push(path);
    else {
      drop.push(path);
      if (now === 'gone') result.removed.push(path);
      else result.skipped.push({ path, reason: now });
    }
  }
  return drop;
}

/** What is at a path: 'missing', 'gone' (something else is there), the reason why it cannot be recorded, or its stat. */
function lookAt(context: CaptureContext, path: BytePath): string | BigIntStats {
  const absolute = onDisk(context.worktree, path);
  try {
    if (behindSymlink(context, path)) return 'gone';
    const stat = lstatSync(absolute, { bigint: true });
    if (stat.isSymbolicLink()) return stat;
    if (stat.isDirectory()) return 'gone'; // the path is a folder now; what it holds has paths of its own
    if (!stat.isFile()) return `it is ${kindOf(stat) ?? 'not a regular file'}`;
    const limit = context.config.maxFileSize;
    if (limit > 0 && stat.size > BigInt(limit))
      return `it is larger than pitr.maxFileSize (${stat.size} > ${limit} bytes)`;
    accessSync(absolute, constants.R_OK);
    return stat;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT') return 'missing';
    if (code === 'ENOTDIR') return 'gone';
    if (code === 'EACCES' || code === 'EPERM') return 'it cannot be read (permission denied)';
    return `it cannot be read (${code === '' ? String(error) : code})`;
  }
}

/** A path below a symbolic link is not a path of the tree: what is there belongs to the link's target. */
function behindSymlink(context: CaptureContext, path: BytePath): boolean {
  return parentsOf(path).some((parent) => lstatSync(onDisk(context.worktree, parent)).isSymbolicLink());
}

function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return (
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.ino === b.ino &&
    a.mode === b.mode
  );
}

function refuseTooMuch(context: CaptureContext, paths: ReadonlyMap<BytePath, BigIntStats>): void {
  const limit = context.config.maxSnapshotSize;
  if (limit === 0) return;
  let total = 0n;
  for (const stat of paths.values()) total += stat.size;
  if (total <= BigInt(limit)) return;
  const largest = [...paths].toSorted(([, a], [, b]) => Number(b.size - a.size)).slice(0, 5);
  throw new PitrError(
    'refused',
    `The snapshot would add ${total} bytes in ${paths.size} ${paths.size === 1 ? 'file' : 'files'}, more than pitr.maxSnapshotSize (${limit}); nothing was recorded.`,
    {
      hints: [
        `Largest: ${largest.map(([path, stat]) => `${displayPath(path)} (${stat.size} bytes)`).join(', ')}.`,
        'Ignore what need not be recorded, in .gitignore or with: git config --add pitr.exclude <pattern>',
        'Or raise the limit: git config pitr.maxSnapshotSize 5g',
      ],
      details: {
        largest: largest.map(([path, stat]) => ({ path: displayPath(path), bytes: Number(stat.size) })),
      },
    },
  );
}

/** Removes paths from the index, whatever is on disk. */
export async function forget(context: CaptureContext, paths: readonly BytePath[]): Promise<void> {
  if (paths.length === 0) return;
  await shadowGit(context, ['update-index', '-z', '--force-remove', '--stdin'], { input: nulList(paths) });
}

/** Where somebody watches, git is told in parts what to record, so that there is something to see. */
const part = { files: 2000, bytes: 32 * 1024 ** 2 };

async function recordAll(
  context: CaptureContext,
  missing: readonly BytePath[],
  present: ReadonlyMap<BytePath, BigIntStats>,
): Promise<Map<BytePath, string>> {
  const progress = progressOf(context.repository);
  if (progress === undefined) return record(context, [...missing, ...present.keys()]);
  const sizes = [...present].map(([path, { size }]) => ({ path, bytes: Number(size) }));
  const sum = (some: typeof sizes) => some.reduce((total, { bytes }) => total + bytes, 0);
  progress.begin('recording', { files: sizes.length, bytes: sum(sizes) });
  const failed = new Map<BytePath, string>();
  for (let at = 0; at < sizes.length; ) {
    let end = at;
    for (let bytes = 0; end < sizes.length && end - at < part.files && bytes < part.bytes; end++)
      bytes += sizes[end]?.bytes ?? 0;
    const some = sizes.slice(at, end);
    const paths = [...(at === 0 ? missing : []), ...some.map(({ path }) => path)];
    for (const [path, reason] of await record(context, paths)) failed.set(path, reason);
    progress.advance({ files: some.length, bytes: sum(some) }, paths.at(-1));
    at = end;
  }
  return failed;
}

/** The object store could not be written, or a gc took away what was being written: that is no fault of a file. */
const notTheFiles =
  /No space left|quota exceeded|Read-only file system|index\.lock|insufficient permission for adding|unable to (write|create temporary|deflate|set permission|rename)/i;

/**
 * Records paths; gives back those that git could not take, with the reason. git stops at the first bad one, so a
 * batch that fails is halved until the bad ones stand alone.
 */
async function record(context: CaptureContext, paths: readonly BytePath[]): Promise<Map<BytePath, string>> {
  const failed = new Map<BytePath, string>();
  try {
    await shadowGit(context, ['update-index', '-z', '--add', '--remove', '--replace', '--stdin'], {
      input: nulList(paths),
    });
  } catch (error) {
    if (!(error instanceof GitFailure) || notTheFiles.test(error.stderr)) throw error;
    const [only] = paths;
    if (paths.length === 1 && only !== undefined) {
      return failed.set(
        only,
        `git cannot record it (${error.stderr.trim().split('\n')[0] ?? 'no reason given'})`,
      );
    }
    const middle = Math.ceil(paths.length / 2);
    for (const half of [paths.slice(0, middle), paths.slice(middle)]) {
      for (const [path, reason] of await record(context, half)) failed.set(path, reason);
    }
  }
  return failed;
}

function* nulList(paths: readonly BytePath[]): Generator<Buffer> {
  for (let at = 0; at < paths.length; at += 1000) {
    yield Buffer.from(
      paths
        .slice(at, at + 1000)
        .map((path) => `${path}\0`)
        .join(''),
      'latin1',
    );
  }
}
