import { lstatSync } from 'node:fs';
import { type BytePath, onDisk } from '../git/paths.ts';
import { git } from '../git/run.ts';
import { type CaptureContext, shadowGit, shadowIndex } from './context.ts';
import { skippedEntries } from './listing.ts';
import { indexSummary } from './userIndex.ts';

export interface SparseSync {
  /** Paths outside the sparse checkout and not on disk: the shadow holds them as the user's index does. */
  carried: Set<BytePath>;
  /** Paths that were carried and no longer are: what is on disk is to be recorded. */
  released: BytePath[];
}

/**
 * Files that a sparse checkout left out are not deleted: the shadow index carries them as the user's index has them,
 * with the same flag, skip-worktree (ai-memory #714, t3code #12121). One that is on disk all the same is a file like any
 * other: git takes the flag from it as it reads the index, since the shadow's config has core.sparseCheckout.
 *
 * The flag without a sparse checkout (`update-index --skip-worktree`, to hide local edits) means nothing here.
 */
export async function syncSparse(context: CaptureContext): Promise<SparseSync> {
  // A nested repository's blobs are in its own object store: what it left out cannot be carried.
  const sparse = context.mount === '' && isSparse(context);
  const [user, shadow] = await Promise.all([
    sparse
      ? flagged(git(['ls-files', '-z', '-t', '-s'], { cwd: context.worktree }))
      : new Map<BytePath, string>(),
    sparse ? flagged(shadowGit(context, ['ls-files', '-z', '-t', '-s'])) : flaggedOf(context),
  ]);
  const absent = [...user].filter(([path]) => !isThere(context, path));
  const carried = new Map(absent);
  const carry = absent.filter(([path, entry]) => shadow.get(path) !== entry);
  const released = [...shadow.keys()].filter((path) => !carried.has(path));
  if (carry.length > 0) {
    await shadowGit(context, ['update-index', '-z', '--index-info'], {
      input: nul(carry.map(([path, entry]) => `${entry}\t${path}`)),
    });
    await setFlag(
      context,
      '--skip-worktree',
      carry.map(([path]) => path),
    );
  }
  await setFlag(context, '--no-skip-worktree', released);
  return { carried: new Set(carried.keys()), released };
}

export function isSparse(context: Pick<CaptureContext, 'config'>): boolean {
  return /^(true|yes|on|1)$/i.test(context.config.git.get('core.sparsecheckout') ?? '');
}

/** Entries with the skip-worktree flag: path -> `<mode> <oid> 0`. */
async function flagged(listing: Promise<{ stdout: Buffer }>): Promise<Map<BytePath, string>> {
  const found = new Map<BytePath, string>();
  for (const { mode, oid, stage, path } of skippedEntries((await listing).stdout))
    found.set(path, `${mode} ${oid} ${stage}`);
  return found;
}

/** The same of the shadow index, read in process: without a sparse checkout there is nearly always none. */
async function flaggedOf(context: CaptureContext): Promise<Map<BytePath, string>> {
  const summary = indexSummary(context, shadowIndex(context));
  const isReadable = summary !== undefined && !summary.unusual.some(({ mode }) => mode === '040000');
  if (!isReadable) return flagged(shadowGit(context, ['ls-files', '-z', '-t', '-s']));
  const skipped = summary.unusual.filter((entry) => entry.skipWorktree);
  return new Map(skipped.map(({ path, mode, oid, stage }) => [path, `${mode} ${oid} ${stage}`]));
}

async function setFlag(context: CaptureContext, name: string, paths: readonly BytePath[]): Promise<void> {
  if (paths.length > 0)
    await shadowGit(context, ['update-index', '-z', name, '--stdin'], { input: nul(paths) });
}

function nul(records: readonly string[]): Buffer {
  return Buffer.from(records.map((record) => `${record}\0`).join(''), 'latin1');
}

/** A dangling link is there. */
export function isThere(context: CaptureContext, path: BytePath): boolean {
  try {
    return lstatSync(onDisk(context.worktree, path), { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw error;
  }
}
