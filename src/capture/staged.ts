import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { quoteIfNeeded } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import { type CaptureContext, copyIndex, shadowGit } from './context.ts';
import { indexFingerprint } from './coverage.ts';

/** The user's index beside HEAD. */
export interface Staged {
  /** The index as a tree; '' when it is HEAD's tree. */
  tree: string;
  /** Unmerged entries, one a line as `ls-files -u` prints them; '' without a conflict. */
  conflicts: string;
}

/** What `readStaged` depends on: equal keys give an equal answer. */
export function stagedKey(context: CaptureContext, headCommit: string): string {
  return `${headCommit} ${indexFingerprint(context.userIndex)}`;
}

/** Works out the staged state without writing to the user's index. */
export async function readStaged(context: CaptureContext, headCommit: string): Promise<Staged> {
  const unmerged = splitNul((await git(['ls-files', '-u', '-z'], { cwd: context.worktree })).stdout);
  const conflicts = unmerged.map(conflictLine).join('');
  if (unmerged.length === 0 && headCommit !== '') {
    const { code } = await git(
      ['diff-index', '--cached', '--quiet', '--ignore-submodules=none', headCommit, '--'],
      {
        cwd: context.worktree,
        okCodes: [0, 1],
      },
    );
    if (code === 0) return { tree: '', conflicts };
  }
  const tree = await writeIndexTree(
    context,
    new Set(unmerged.map((record) => record.slice(record.indexOf('\t') + 1))),
  );
  // Before the first commit an empty index is no staged state; with a HEAD it is "everything removed".
  return { tree: headCommit === '' && isEmptyTree(tree) ? '' : tree, conflicts };
}

function conflictLine(record: string): string {
  const tab = record.indexOf('\t');
  return `${record.slice(0, tab)}\t${quoteIfNeeded(record.slice(tab + 1))}\n`;
}

async function writeIndexTree(context: CaptureContext, unmerged: ReadonlySet<string>): Promise<string> {
  const copy = path.join(context.shadowDir, 'staged-index');
  const env = { GIT_INDEX_FILE: copy };
  rmSync(copy, { force: true });
  const split = readdirSync(path.dirname(context.userIndex)).some((name) => name.startsWith('sharedindex.'));
  if (split) {
    const { stdout } = await git(['ls-files', '-s', '-z'], { cwd: context.worktree });
    await shadowGit(context, ['update-index', '-z', '--index-info'], { env, input: stdout });
  } else if (!copyIndex(context.userIndex, copy)) {
    return '';
  }
  try {
    if (unmerged.size > 0) {
      const input = Buffer.from([...unmerged].map((file) => `${file}\0`).join(''), 'latin1');
      await shadowGit(context, ['update-index', '-z', '--force-remove', '--stdin'], { env, input });
    }
    // The user's index may name objects that a partial clone has not fetched, or that the user has lost.
    const { stdout } = await shadowGit(context, ['write-tree', '--missing-ok'], { env });
    return stdout.toString('latin1').trim();
  } finally {
    rmSync(copy, { force: true });
  }
}

export function isEmptyTree(oid: string): boolean {
  return (
    oid === '4b825dc642cb6eb9a060e54bf8d69288fbee4904' ||
    oid === '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321'
  );
}
