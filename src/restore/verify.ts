import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { type Capture, captureWorktree, worktreeContext } from '../capture/capture.ts';
import { shadowIndex } from '../capture/context.ts';
import { PitrError } from '../errors.ts';
import { createHash } from '../system/crypto.ts';
import { progressOf } from '../system/progress.ts';
import { hashObject } from '../git/hash.ts';
import { type IndexEntry, type IndexFile, readIndexFile } from '../git/indexFile.ts';
import { type BytePath, displayPath, onDisk, parentsOf } from '../git/paths.ts';
import { diffTrees, type TreeEntry } from '../git/trees.ts';
import type { FilePlan, PlanEntry } from './plan.ts';
import type { Context } from './request.ts';
import { linksAreFiles } from './stage.ts';

/** Looking at the disk right before a plan is carried out, and right after. */

/**
 * The planned paths that are no longer what the plan found, as an edit made after the safety snapshot would make them:
 * such an edit is in no snapshot. Starts no process unless something looks different (a scan of 100,000 files: 130 ms).
 * @param seen what `lstat` says of the planned paths now
 */
export async function movedSince(
  context: Context,
  plan: FilePlan,
  then: Capture,
  also: readonly BytePath[],
  seen: ReadonlyMap<BytePath, BigIntStats>,
): Promise<BytePath[]> {
  const { repository, config } = context;
  const index = readIndexFile(shadowIndex(worktreeContext(repository, config)), repository);
  const known = new Map<BytePath, IndexEntry>();
  const planned = new Set(plan.entries.map(({ path }) => path));
  for (const entry of index?.entries ?? []) if (planned.has(entry.path)) known.set(entry.path, entry);
  const isStill = ({ path, before }: PlanEntry) => {
    const stat = seen.get(path);
    if (before === undefined) return stat === undefined || stat.isDirectory();
    return index !== undefined && stat !== undefined && isRecorded(before, stat, known.get(path), index);
  };
  if (plan.entries.every(isStill)) return [];
  const again = await captureWorktree(repository, config, { also });
  const moved: BytePath[] = [];
  for await (const { path } of diffTrees(repository, then.files, again.files))
    if (planned.has(path)) moved.push(path);
  return moved;
}

/** Two edits in one tick of the file system's clock have one time. */
const tickNs = 10_000_000n;

/** True when the shadow index recorded this content from this very file, and its times prove that it still is. */
function isRecorded(
  before: TreeEntry,
  stat: BigIntStats,
  entry: IndexEntry | undefined,
  index: IndexFile,
): boolean {
  if (entry?.oid !== before.oid || entry.mode !== before.mode) return false;
  const { ctimeNs, mtimeNs, ino, size } = entry.stat;
  const cut = (number: bigint) => Number(BigInt.asUintN(32, number));
  return (
    stat.mtimeNs === mtimeNs &&
    stat.ctimeNs === ctimeNs &&
    cut(stat.ino) === ino &&
    cut(stat.size) === size &&
    mtimeNs + tickNs < index.mtimeNs
  );
}

/**
 * Reads back what was written: a restore that did not bring what it promised must not say "done".
 * Error: `integrity`, naming the paths that are not what they should be.
 */
export function requireWritten(context: Context, plan: FilePlan): void {
  const progress = progressOf(context.repository);
  progress?.begin('verifying', { files: plan.entries.length });
  const wrong: string[] = [];
  for (const entry of plan.entries) {
    if (!isWritten(context, entry)) wrong.push(displayPath(entry.path));
    progress?.advance({ files: 1 }, entry.path);
  }
  if (wrong.length === 0) return;
  throw new PitrError(
    'integrity',
    `After the restore ${wrong.length} paths are not what the snapshot holds: ${wrong.slice(0, 10).join(', ')}.`,
  );
}

function isWritten({ repository, config }: Context, { path, after }: PlanEntry): boolean {
  const file = onDisk(repository.worktree, path);
  // What is behind a link is no path of this tree.
  const isBehindLink = parentsOf(path).some(
    (parent) => lstatIfThere(onDisk(repository.worktree, parent))?.isSymbolicLink() === true,
  );
  const stat = isBehindLink ? undefined : lstatIfThere(file);
  // A folder may have come in the place of a file.
  if (after === undefined) return stat === undefined || stat.isDirectory();
  if (stat === undefined) return false;
  if (after.mode === '120000' && !(linksAreFiles(config) && stat.isFile())) {
    const target = stat.isSymbolicLink() ? readlinkSync(file, { encoding: 'buffer' }) : undefined;
    return target !== undefined && hashObject(repository, 'blob', target) === after.oid;
  }
  const knowsModes = config.git.get('core.filemode') !== 'false';
  const isExecutable = (stat.mode & 0o100n) !== 0n;
  if (!stat.isFile() || (knowsModes && after.mode !== '120000' && isExecutable !== (after.mode === '100755')))
    return false;
  return hashFile(file, repository.objectFormat) === after.oid;
}

function lstatIfThere(file: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(file, { bigint: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const piece = Buffer.allocUnsafe(256 * 1024);

/** The object id of a file's content, read in pieces. */
function hashFile(file: Buffer, objectFormat: string): string {
  const handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = createHash(objectFormat).update(`blob ${fstatSync(handle).size}\0`);
    for (;;) {
      const bytes = readSync(handle, piece);
      if (bytes === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, bytes));
    }
  } finally {
    closeSync(handle);
  }
}
