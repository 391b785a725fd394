import { rmSync } from 'node:fs';
import { type BytePath, displayPath, isWithin, onDisk } from '../git/paths.ts';
import { GitFailure } from '../git/run.ts';
import { messageOf } from '../errors.ts';
import { createHash } from '../system/crypto.ts';
import { progressOf } from '../system/progress.ts';
import { together } from '../system/together.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { separateNested } from './becameNested.ts';
import { type CaptureContext, prepareShadow, shadowGit, shadowIndex } from './context.ts';
import {
  type CoverageSync,
  coverageFingerprint,
  includedByPath,
  syncCoverage,
  touchesIgnoreRules,
} from './coverage.ts';
import { type EarlyScan, scanKey } from './early.ts';
import { isNestedRepository, openNested } from './nested.ts';
import { isThere } from './sparse.ts';
import { changedModes, freshModes, unusualMode, untrackedOf } from './permissions.ts';
import { scanEmptyFolders } from './emptyFolders.ts';
import { coveragePatterns } from './others.ts';
import { type Scan, scan } from './scan.ts';
import { seedShadowIndex } from './seed.ts';
import { findSpecials, foldersOf } from './specials.ts';
import { isEmptyTree } from './staged.ts';
import { type CaptureState, readState, stampOf, writeState } from './state.ts';
import { type Skipped, updateIndex } from './update.ts';
import { userIndexKeys } from './userIndex.ts';

/** One working tree as git objects, with what a tree cannot say beside it. Paths are relative to the worktree. */
export interface CapturedTree {
  /** '' when there is no file. */
  tree: string;
  skipped: Skipped[];
  permissions: Map<BytePath, string>;
  emptyDirs: BytePath[];
  /** Nested repositories in it: where, the commit each stands on ('' before its first), its own capture's tree. */
  nested: { path: BytePath; head: string; tree: string }[];
}

export interface CaptureOptions {
  /** Paths to record although they are not covered (ignored files that a restore would overwrite). */
  also?: readonly BytePath[] | undefined;
  /** Look for sockets, pipes and devices in every folder. */
  thorough?: boolean;
  /** A look that has begun already. */
  early?: EarlyScan | undefined;
  /** Called when the look has found changes, and writing them is about to begin. */
  onChange?: (() => void) | undefined;
  /** Called with the worktree's own tree as soon as it is written. */
  onTree?: ((tree: string) => void) | undefined;
}

/** Records the working tree of `context` (nested repositories too) in the object store. Nothing refers to it yet. */
export async function captureTree(
  context: CaptureContext,
  { early, ...options }: CaptureOptions = {},
): Promise<CapturedTree> {
  try {
    return await captureOnce(context, { early, ...options });
  } catch (error) {
    // The shadow index names a blob that a gc has dropped since (recorded by a run that was killed before its
    // snapshot was complete), or is damaged. It is only a cache: once more from nothing.
    if (
      !(error instanceof GitFailure) ||
      !/invalid object|index file (corrupt|smaller)|bad (index|signature)|unable to read|error building trees/.test(
        error.stderr,
      )
    ) {
      throw error;
    }
    rmSync(shadowIndex(context), { force: true });
    return captureOnce(context, options);
  }
}

async function captureOnce(
  context: CaptureContext,
  { also = [], early, onChange, onTree, thorough = false }: CaptureOptions,
): Promise<CapturedTree> {
  const there = prepareShadow(context);
  const state = readState(context);
  const before = JSON.stringify(state);
  const progress = progressOf(context.repository);
  progress?.begin('looking for changes');
  const anew = !there || state.index !== stampOf(context);
  let seeded: BytePath[] | undefined;
  if (anew) {
    seeded = await seedShadowIndex(context);
    Object.assign(state, { coverage: '', tree: '' });
  }
  state.userIndex = userIndexKeys(context, state.userIndex);
  const coverage = coverageFingerprint(context, state.userIndex.paths);
  const patterns = coveragePatterns(context);
  const fits = early !== undefined && early.key === scanKey(context, patterns);
  const looks = await (fits ? early.scan : scan(context, patterns));
  state.patterns = patterns;
  await separateNested(context, state, looks);
  dropAlso(state, also);
  const extra = await coverageChanges(context, state, coverage, looks, seeded);
  const nested = nestedFolders(context, state, looks);
  const own = also.filter((path) => !nested.some((folder) => isWithin(path, folder)));
  const chmodded = changedModes(context.worktree, state.fresh);
  const back = state.absent.filter((path) => isThere(context, path));
  const paths = new Set([...looks.changed, ...extra.look, ...state.left, ...chmodded, ...back]);
  // Not what is ignored only since the last look, and changed too.
  for (const path of [...extra.carried, ...extra.dropped]) paths.delete(path);
  for (const path of own) paths.add(path);
  // Not before the first git process of the update has been started.
  if (paths.size > 0 && onChange !== undefined) setImmediate(onChange);
  const update = await updateIndex(context, paths);
  crashPoint('objects-written');
  const touched = paths.size > 0 || coverage !== state.coverage || state.tree === '';
  // A folder may have lost the last file that was recorded in it; the next look would see it, and find a change.
  const mayHaveEmptied =
    update.removed.length > 0 ||
    extra.dropped.size > 0 ||
    extra.released ||
    update.skipped.some(({ path }) => !state.left.includes(path));
  progress?.begin('looking at what is left');
  state.coverage = coverage;
  state.left = update.skipped.map(({ path }) => path);
  const hidden = new Set(state.hidden);
  state.absent = [...new Set([...state.absent, ...update.removed])].filter(
    (path) => hidden.has(path) && !update.recorded.has(path),
  );
  await notePermissions(context, state, update, extra.dropped);
  state.fresh = freshModes(update.recorded);
  const [tree, empty] = await together([
    touched ? writeTree(context) : state.tree,
    looks.newDirs.length > 0 || mayHaveEmptied
      ? scanEmptyFolders(context, patterns)
      : looks.emptyDirs.toSorted(),
  ]);
  onTree?.(tree);
  crashPoint('tree-written');
  // Where the look found nothing there may be a tracked and ignored file that was recorded only then.
  const filled = foldersOf(update.recorded.keys());
  const emptyDirs = empty.filter((folder) => !filled.has(folder));
  state.tree = tree;
  state.index = stampOf(context);
  const specials = await findSpecials(context, {
    known: state.specials,
    folders: foldersOf([...paths, ...[...looks.newDirs, ...emptyDirs].map((folder) => `${folder}/`)]),
    tree: anew || thorough ? tree : '',
    nested,
  });
  state.specials = specials.map(({ path }) => path);
  const captured: CapturedTree = {
    tree: isEmptyTree(tree) ? '' : tree,
    skipped: [
      ...update.skipped.filter(({ path }) => !looks.unreadable.some((folder) => isWithin(path, folder))),
      ...specials.filter(({ path }) => !paths.has(path)),
      ...looks.unreadable.map((path) => ({ path, reason: 'the folder cannot be read (permission denied)' })),
    ],
    permissions: new Map(Object.entries(state.permissions)),
    emptyDirs,
    nested: [],
  };
  writeState(context, before, state);
  for (const folder of nested) await captureNested(context, folder, { also, thorough }, captured);
  return captured;
}

/** What the last capture was asked to take along, and this one is not, is in the shadow index all the same. */
function dropAlso(state: CaptureState, also: readonly BytePath[]): void {
  const key =
    also.length === 0 ? '' : createHash('sha1').update(also.toSorted().join('\0'), 'latin1').digest('hex');
  if (state.also !== '' && state.also !== key) state.coverage = '';
  state.also = key;
}

function nestedFolders(context: CaptureContext, state: CaptureState, looks: Scan): BytePath[] {
  const there = (folder: BytePath) => isNestedRepository(onDisk(context.worktree, folder));
  return [...new Set([...looks.nested, ...state.nested.filter(there)])].toSorted();
}

async function coverageChanges(
  context: CaptureContext,
  state: CaptureState,
  coverage: string,
  looks: Scan,
  seeded: readonly BytePath[] | undefined,
): Promise<Omit<CoverageSync, 'nested' | 'hidden'>> {
  const included = await includedByPath(context);
  if (coverage === state.coverage && !touchesIgnoreRules(looks.changed))
    return { look: included, carried: new Set(), dropped: new Set(), released: false };
  const { look, nested, hidden, ...rest } = await syncCoverage(context, seeded);
  Object.assign(state, { nested, hidden, absent: [] });
  return { ...rest, look: [...included, ...look] };
}

async function writeTree(context: CaptureContext): Promise<string> {
  const partial = [...context.config.git.keys()].some((key) =>
    /^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$/.test(key),
  );
  const { stdout } = await shadowGit(context, ['write-tree', ...(partial ? ['--missing-ok'] : [])]);
  return stdout.toString('latin1').trim();
}

async function notePermissions(
  context: CaptureContext,
  state: CaptureState,
  update: Awaited<ReturnType<typeof updateIndex>>,
  dropped: ReadonlySet<BytePath>,
): Promise<void> {
  const unusual = new Map(Object.entries(state.permissions));
  const fileMode = !/^(false|no|off|0)$/i.test(context.config.git.get('core.filemode') ?? '');
  for (const path of [...dropped, ...update.removed, ...update.skipped.map((entry) => entry.path)])
    unusual.delete(path);
  for (const [path, stat] of update.recorded) {
    const mode = unusualMode(stat, fileMode);
    if (mode === undefined) unusual.delete(path);
    else unusual.set(path, mode);
  }
  const untracked = await untrackedOf(context, [...unusual.keys()]);
  state.permissions = Object.fromEntries([...unusual].filter(([path]) => untracked.has(path)));
}

async function captureNested(
  context: CaptureContext,
  folder: BytePath,
  { also, thorough }: { also: readonly BytePath[]; thorough: boolean },
  captured: CapturedTree,
): Promise<void> {
  const inside = also.filter((path) => path.startsWith(`${folder}/`));
  const below = (path: BytePath) => (path === '' ? folder : `${folder}/${path}`);
  try {
    const nested = await openNested(context, folder);
    if (nested.line !== undefined) {
      const reason = `it is another worktree of this repository, with a timeline of its own (refs/pitr/${nested.line})`;
      captured.skipped.push({ path: folder, reason });
      return;
    }
    const inner = await captureTree(nested.context, {
      also: inside.map((path) => path.slice(folder.length + 1)),
      thorough,
    });
    captured.nested.push({ path: folder, head: nested.head, tree: inner.tree });
    captured.nested.push(...inner.nested.map((entry) => ({ ...entry, path: below(entry.path) })));
    captured.skipped.push(...inner.skipped.map((entry) => ({ ...entry, path: below(entry.path) })));
    for (const [path, mode] of inner.permissions) captured.permissions.set(below(path), mode);
    captured.emptyDirs.push(...(inner.tree === '' ? [folder] : []), ...inner.emptyDirs.map(below));
  } catch (error) {
    if (error instanceof GitFailure && /No space left|Read-only file system/.test(error.stderr)) throw error;
    captured.skipped.push({
      path: folder,
      reason: `the nested repository ${displayPath(folder)} cannot be read (${messageOf(error)})`,
    });
  }
}
