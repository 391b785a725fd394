import { renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import type { BytePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { readFileIfThere, removeFileDurably, syncDir, writeFileAtomic } from '../system/files.ts';
import type { RefMove, StashChange } from '../refs/plan.ts';
import type { IndexChange } from './indexPlan.ts';
import type { PlanEntry } from './plan.ts';

/**
 * What a restore does, written down before it begins. While it runs this is the journal; when it is done the same file
 * becomes the record that `undo` takes back. Both are of one worktree.
 */
export interface Operation {
  version: 1;
  /** Which worktree it is of: see `worktreeMark`. Missing for the main one. */
  worktree?: string;
  kind: 'restore' | 'undo';
  startedAt: string;
  /** Where it leads. */
  target: { id: string; commit: string; time: string };
  /** The safety snapshot: the state before it. */
  before: { id: string; commit: string; time: string };
  files: PlanEntry[];
  createDirs: BytePath[];
  removeDirs: BytePath[];
  /** Folders that are there before and after: what it takes out of them, and what it makes in them, is all they hold. */
  keepDirs: BytePath[];
  hadDirs: BytePath[];
  /** Names of the databases it restores. */
  databases: string[];
  /** Of which only these tables: name -> tables. */
  tables?: Record<string, readonly string[]>;
  /** Where the state before of a database is, when it moved on after the safety snapshot: name -> commit. */
  databasesBefore: Record<string, string>;
  /** The ids of these snapshots: a prune gives a snapshot another commit. */
  databaseSnapshots?: Record<string, string>;
  /** What it does to the index. */
  index: IndexChange[];
  /** What it does to refs: then it does nothing else. */
  refs?: { moves: RefMove[]; stash: StashChange };
  /** Of a merge: the commit with new content that is in no snapshot, kept by `hold.ts` until the end. */
  holds?: string;
}

function journalFile(repository: Repository): string {
  return path.join(repository.lineDir, 'journal.json');
}

function lastFile(repository: Repository): string {
  return path.join(repository.lineDir, 'last-operation.json');
}

/** Writes the journal; from here on a killed restore is known to the next command. */
export function beginOperation(repository: Repository, operation: Operation): void {
  const worktree = worktreeMark(repository);
  const marked: Operation = { ...operation, ...(worktree === undefined ? {} : { worktree }) };
  writeFileAtomic(journalFile(repository), JSON.stringify(marked));
}

/** The operation is done: the journal becomes the record for `undo`, in one step. */
export function finishOperation(repository: Repository): void {
  renameSync(journalFile(repository), lastFile(repository));
  syncDir(repository.lineDir);
}

/** The operation was taken back whole: there is nothing to continue, and nothing new to undo. */
export function forgetOperation(repository: Repository): void {
  removeFileDurably(journalFile(repository));
}

export function interruptedOperation(repository: Repository): Operation | undefined {
  return ofThisWorktree(repository, read(journalFile(repository)));
}

/** The last restore (or undo) that was carried out: what `undo` takes back. */
export function lastOperation(repository: Repository): Operation | undefined {
  return ofThisWorktree(repository, read(lastFile(repository)));
}

/** A linked worktree that was removed and added again has the line of the old one; what was done there is not its own. */
function ofThisWorktree(repository: Repository, operation: Operation | undefined): Operation | undefined {
  return operation?.worktree === worktreeMark(repository) ? operation : undefined;
}

/** What tells a linked worktree from an earlier one of its name: the time of a file that git writes once, on adding it. */
function worktreeMark(repository: Repository): string | undefined {
  const file = path.join(repository.gitDir, 'commondir');
  return statSync(file, { bigint: true, throwIfNoEntry: false })?.mtimeNs.toString();
}

function read(file: string): Operation | undefined {
  const text = readFileIfThere(file);
  if (text === undefined) return undefined;
  try {
    type Later = 'index' | 'keepDirs' | 'hadDirs';
    return { index: [], keepDirs: [], hadDirs: [], ...(JSON.parse(text) as Omit<Operation, Later>) };
  } catch (cause) {
    throw new PitrError('failed', `The file ${file} is damaged; nothing was changed.`, {
      hints: [
        'The states before and after are both snapshots: git pitr list, git pitr restore --snapshot <id>.',
        `Then remove ${file}.`,
      ],
      cause,
    });
  }
}

/** Error: `interruptedRestore` while a restore waits to be finished or taken back. Every command that writes asks. */
export function refuseWhileInterrupted(repository: Repository): void {
  const operation = interruptedOperation(repository);
  if (operation === undefined) return;
  throw new PitrError(
    'interruptedRestore',
    `A restore to ${operation.target.id} (begun ${operation.startedAt}) was interrupted; nothing else is done until it is finished or taken back.`,
    {
      hints: [
        'git pitr restore --continue finishes it.',
        'git pitr restore --abort brings back the state before it.',
      ],
    },
  );
}
