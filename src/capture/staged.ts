import { rmSync } from 'node:fs';
import path from 'node:path';
import type { IndexEntry } from '../git/indexFile.ts';
import { objectReader } from '../git/objectReader.ts';
import { type BytePath, quoteIfNeeded } from '../git/paths.ts';
import { git } from '../git/run.ts';
import { emptyTree } from '../git/trees.ts';
import { together } from '../system/together.ts';
import { type CaptureContext, copyIndex, shadowGit } from './context.ts';
import { indexSummary } from './userIndex.ts';

/** The user's index beside HEAD. What each part looks like in a snapshot is in docs/format.md. */
export interface Staged {
  /** The index as a tree; '' when it is HEAD's tree, or when there is neither. */
  tree: string;
  /** Unmerged entries, one a line as `ls-files -u` prints them; '' without a conflict. */
  conflicts: string;
  /** Their contents as a tree, `<stage>/<path>`, so that no gc takes them; '' without a conflict. */
  conflictTree: string;
  /** Entries with bits, one a line: see `flagsOf`. */
  flags: string;
}

/** What `readStaged` depends on: equal keys give an equal answer. */
export function stagedKey(indexContent: string, headCommit: string): string {
  return `${headCommit} ${indexContent}`;
}

/** Works out the staged state without writing to the user's index. */
export async function readStaged(context: CaptureContext, headCommit: string): Promise<Staged> {
  const copy = path.join(context.shadowDir, 'staged-index');
  removeIndex(copy);
  try {
    const entries = await copyWhole(context, copy);
    const unmerged = entries.filter(({ stage }) => stage > 0);
    const [tree, conflictTree] = await together([
      writeIndexTree(context, copy, unmerged),
      writeConflictTree(context, unmerged),
    ]);
    const [head] =
      headCommit === '' ? [] : await objectReader(context.repository).info([`${headCommit}^{tree}`]);
    // Before the first commit an empty index is no staged state; with a HEAD it is "everything removed".
    const isHead = tree === head?.oid || (headCommit === '' && isEmptyTree(tree));
    return {
      tree: isHead ? '' : tree,
      conflicts: unmerged.map(conflictLine).join(''),
      conflictTree,
      flags: flagLines(context, entries),
    };
  } finally {
    rmSync(copy, { force: true });
  }
}

/** Removes an index of ours, and the lock of a git that was killed while it wrote it. */
function removeIndex(index: string): void {
  for (const file of [index, `${index}.lock`]) rmSync(file, { force: true });
}

/** Copies the user's index into one file that can be read anywhere, and gives its unusual entries. */
async function copyWhole(context: CaptureContext, copy: string): Promise<IndexEntry[]> {
  if (!copyIndex(context.userIndex, copy)) return [];
  const own = indexSummary(context, copy);
  if (own !== undefined) return own.unusual;
  // A split index is half of it: git joins the halves. It finds the other one only in the user's own git directory.
  await git(['update-index', '--no-split-index'], {
    cwd: context.worktree,
    env: { GIT_INDEX_FILE: copy },
    config: [['core.splitIndex', 'false']],
  });
  return indexSummary(context, copy)?.unusual ?? [];
}

function conflictLine({ mode, oid, stage, path: file }: IndexEntry): string {
  return `${mode} ${oid} ${stage}\t${quoteIfNeeded(file)}\n`;
}

/**
 * Entries that say more than a tree can: `N` for intent-to-add (there is no content yet), `h` for assume-unchanged,
 * `S` for skip-worktree, but not where a sparse checkout decides about that.
 */
function flagLines(context: CaptureContext, entries: readonly IndexEntry[]): string {
  const sparse = /^(true|yes|on|1)$/i.test(context.config.git.get('core.sparsecheckout') ?? '');
  const lines: string[] = [];
  for (const entry of entries) {
    const flags = [
      entry.intentToAdd ? 'N' : '',
      entry.assumeUnchanged ? 'h' : '',
      entry.skipWorktree && !sparse ? 'S' : '',
    ].join('');
    if (flags !== '') lines.push(`${flags} ${quoteIfNeeded(entry.path)}\n`);
  }
  return lines.join('');
}

/** Writes the tree of an index, without what is unmerged. */
async function writeIndexTree(
  context: CaptureContext,
  index: string,
  unmerged: readonly IndexEntry[],
): Promise<string> {
  const env = { GIT_INDEX_FILE: index };
  if (unmerged.length > 0) {
    const input = nul([...new Set(unmerged.map((entry) => entry.path))]);
    await shadowGit(context, ['update-index', '-z', '--force-remove', '--stdin'], { env, input });
  }
  // The user's index may name objects that a partial clone has not fetched, or that the user has lost.
  const { stdout } = await shadowGit(context, ['write-tree', '--missing-ok'], { env });
  return stdout.toString('latin1').trim() || emptyTree(context.repository);
}

async function writeConflictTree(context: CaptureContext, unmerged: readonly IndexEntry[]): Promise<string> {
  if (unmerged.length === 0) return '';
  const index = path.join(context.shadowDir, 'conflict-index');
  removeIndex(index);
  const env = { GIT_INDEX_FILE: index };
  try {
    const input = nul(
      unmerged.map(({ mode, oid, stage, path: file }) => `${mode} ${oid} 0\t${stage}/${file}`),
    );
    await shadowGit(context, ['update-index', '-z', '--index-info'], { env, input });
    const { stdout } = await shadowGit(context, ['write-tree', '--missing-ok'], { env });
    return stdout.toString('latin1').trim();
  } finally {
    rmSync(index, { force: true });
  }
}

function nul(records: readonly BytePath[]): Buffer {
  return Buffer.from(records.map((record) => `${record}\0`).join(''), 'latin1');
}

export function isEmptyTree(oid: string): boolean {
  return (
    oid === '4b825dc642cb6eb9a060e54bf8d69288fbee4904' ||
    oid === '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321'
  );
}
