import path from 'node:path';
import type { Config } from '../config/config.ts';
import { type BytePath, bytePath, quoteIfNeeded } from '../git/paths.ts';
import { composeTree } from '../git/trees.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { type CaptureContext, shadowOf } from './context.ts';
import { type Head, readRefs, type RefState } from './refs.ts';
import { followLinks } from '../system/files.ts';
import { together } from '../system/together.ts';
import { type UnfinishedOperation, unfinishedOperation } from './operation.ts';
import { isEmptyTree, readStaged, type Staged, stagedKey } from './staged.ts';
import { readState, writeState } from './state.ts';
import { type CaptureOptions, captureTree, type CapturedTree } from './tree.ts';
import type { Skipped } from './update.ts';
import { userIndexKeys } from './userIndex.ts';

/** The state of a worktree at one instant, as git objects that nothing refers to yet. */
export interface Capture {
  /** `files/`: the working tree; '' when it holds no file. */
  files: string;
  /** `staged/`: the index; '' when it equals HEAD's tree, and when it is empty (then `state/staged` says so). */
  staged: string;
  /** `conflicts/`: the contents of unmerged entries; '' without any. */
  conflicts: string;
  /** `state/`: name -> content (latin1: one character a byte), the not-empty ones. */
  state: Map<string, string>;
  head: Head;
  /** The merge, rebase or the like that is under way. */
  operation?: string;
  skipped: Skipped[];
}

/** Captures the worktree. The caller holds the line's lock: the shadow index is one a worktree. */
export async function captureWorktree(
  repository: Repository,
  config: Config,
  { refs: reading, ...options }: CaptureOptions & { refs?: Promise<RefState> | undefined } = {},
): Promise<Capture> {
  const context = worktreeContext(repository, config);
  const index = (reading ?? readRefs(repository)).then((refs) => indexBeside(context, refs));
  const [{ refs, key, staged }, tree] = await together([index, captureTree(context, options)]);
  const state = readState(context);
  const before = JSON.stringify(state);
  const files = await composed(context, tree, state);
  Object.assign(state, { stagedKey: key, staged });
  writeState(context, before, state);
  const operation = unfinishedOperation(repository.gitDir);
  return {
    files,
    staged: isEmptyTree(staged.tree) ? '' : staged.tree,
    conflicts: staged.conflictTree,
    state: stateFiles(context, tree, refs, staged, operation),
    head: refs.head,
    ...(operation === undefined ? {} : { operation: operation.name }),
    skipped: tree.skipped,
  };
}

/** The staged state, beside the reading of the working tree: it needs the user's index and HEAD, not the shadow's. */
async function indexBeside(
  context: CaptureContext,
  refs: RefState,
): Promise<{ refs: RefState; key: string; staged: Staged }> {
  const head = refs.head.commit ?? '';
  const state = readState(context);
  const { content } = userIndexKeys(context, state.userIndex);
  const key = stagedKey(content, head);
  const staged = state.stagedKey === key ? state.staged : await readStaged(context, head);
  // The index may have been written anew meanwhile: then the answer is not kept under that key.
  const isStill = userIndexKeys(context, state.userIndex).content === content;
  return { refs, key: isStill ? key : '', staged };
}

export function worktreeContext(repository: Repository, config: Config): CaptureContext {
  return {
    ...shadowOf(repository),
    config,
    userIndex: path.join(repository.gitDir, 'index'),
    excludeFile: path.join(repository.commonDir, 'info', 'exclude'),
    mount: '',
    databaseFiles: databasePatterns(repository, config),
  };
}

/** A registered database's file and its companions, as anchored ignore patterns. */
function databasePatterns(repository: Repository, config: Config): string[] {
  const own = (file: BytePath) => {
    const text = Buffer.from(file, 'latin1').toString('utf8');
    return `/${text.replace(/[\\*?[\]! #]/g, '\\$&')}`;
  };
  const live = liveDatabases(repository, config);
  const beside = live.map((file) => path.join(path.dirname(file), besideDatabase(file)));
  return [...live.flatMap(withCompanions).map(own), ...beside.map((start) => `${own(start)}*`)];
}

/** How the name of a file begins that is to become a database, beside its place: no capture sees it. */
export function besideDatabase(live: string): string {
  return `.${path.basename(live)}.pitr-`;
}

/**
 * The files inside the worktree that belong to registered databases: captured by their engines, never as files. A
 * database may be registered through a symbolic link; SQLite keeps its `-wal` where that leads, and the link is a file.
 */
export function databasePaths(repository: Repository, config: Config): BytePath[] {
  return liveDatabases(repository, config).flatMap(withCompanions);
}

function liveDatabases(repository: Repository, config: Config): BytePath[] {
  const inside = `${repository.worktree}/`;
  return config.databases
    .flatMap(({ path: file }) => (file === undefined ? [] : [followLinks(file)]))
    .filter((file) => file.startsWith(inside))
    .map((file) => bytePath(file.slice(inside.length)));
}

/** A SQLite file and what SQLite keeps beside it. */
export function withCompanions(file: BytePath): BytePath[] {
  return [file, `${file}-wal`, `${file}-shm`, `${file}-journal`];
}

/** The tree with nested repositories put in their places. */
async function composed(
  context: CaptureContext,
  tree: CapturedTree,
  state: { composed: { key: string; tree: string } },
): Promise<string> {
  const mounts = tree.nested.filter((nested) => nested.tree !== '');
  if (mounts.length === 0) return tree.tree;
  const key = JSON.stringify([tree.tree, mounts]);
  if (state.composed.key !== key) {
    state.composed = { key, tree: await composeTree(context.repository, tree.tree, mounts) };
  }
  return state.composed.tree;
}

function stateFiles(
  context: CaptureContext,
  tree: CapturedTree,
  refs: RefState,
  staged: Staged,
  operation: UnfinishedOperation | undefined,
): Map<string, string> {
  const none = nullOid(context.repository);
  const lines = (entries: readonly string[]) => entries.map((entry) => `${entry}\n`).join('');
  const files = new Map<string, string>([
    ['refs', bytePath(refs.text)],
    ['stash', refs.stash],
    [
      'permissions',
      lines(
        [...tree.permissions]
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([file, mode]) => `${mode} ${quoteIfNeeded(file)}`),
      ),
    ],
    ['empty-dirs', lines([...new Set(tree.emptyDirs)].toSorted().map(quoteIfNeeded))],
    [
      'gitlinks',
      lines(tree.nested.map(({ path: file, head }) => `${head === '' ? none : head} ${quoteIfNeeded(file)}`)),
    ],
    ['conflicts', staged.conflicts],
    ['index-flags', staged.flags],
    // git keeps no empty folder in a tree, so an index with nothing in it has no `staged/`.
    ['staged', isEmptyTree(staged.tree) ? 'empty\n' : ''],
    ['operation', operation === undefined ? '' : bytePath(lines([operation.name, ...operation.facts]))],
  ]);
  for (const [name, content] of files) if (content === '') files.delete(name);
  return files;
}
