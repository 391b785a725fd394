import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  type BigIntStats,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { PitrError } from '../errors.ts';
import { type BytePath, displayPath, onDisk, parentOf, parentsOf } from '../git/paths.ts';
import type { FilePlan, PlanEntry } from './plan.ts';
import type { Stage } from './stage.ts';
import { crashPoint } from '../system/crashPoint.ts';
import type { Progress } from '../system/progress.ts';

/**
 * Carries out a plan, exactly: deletions, folders, new content, modes. Each file changes in one step (rename, link,
 * unlink), never through a symbolic link, and only if it still is what the plan saw.
 */
export interface Applier {
  root: string;
  stage: Stage;
  /** What `lstat` said of each planned path when the plan was checked; missing paths are not in it. */
  seen: ReadonlyMap<BytePath, BigIntStats>;
  progress?: Progress | undefined;
}

/** What `lstat` says of every path of a plan. */
export function lookAtPlan(root: string, plan: FilePlan): Map<BytePath, BigIntStats> {
  const seen = new Map<BytePath, BigIntStats>();
  const links = new Map<BytePath, boolean>();
  const isLink = (folder: BytePath) => {
    const known = links.get(folder) ?? statOf(root, folder)?.isSymbolicLink() === true;
    links.set(folder, known);
    return known;
  };
  for (const { path } of plan.entries) {
    // Behind a link that this very plan takes away there is nothing of ours.
    const stat = parentsOf(path).some(isLink) ? undefined : statOf(root, path);
    if (stat !== undefined) seen.set(path, stat);
  }
  return seen;
}

/** Applies the plan. Error: `refused` when a path changed since it was looked at; the journal knows what was done. */
export async function applyFiles(plan: FilePlan, applier: Applier): Promise<void> {
  const { root, progress } = applier;
  progress?.begin('restoring', { files: plan.entries.length });
  const folders = new Set<BytePath>();
  for (const entry of plan.entries) if (entry.action === 'delete') remove(applier, entry);
  crashPoint('files-deleted');
  for (const dir of plan.removeDirs.toReversed()) removeEmptyFolders(root, dir, plan);
  for (const entry of plan.entries)
    if (entry.action === 'delete') removeEmptyFolders(root, parentOf(entry.path), plan);
  crashPoint('folders-removed');
  for (const entry of plan.entries) {
    if (entry.action === 'create' || entry.action === 'overwrite') place(applier, entry, folders);
    else if (entry.action === 'mode') setMode(applier, entry);
    crashPoint('file-applied');
  }
  for (const dir of plan.createDirs) makeFolder(root, dir, folders);
  crashPoint('files-applied');
  progress?.begin('waiting for the disk');
  await syncFileSystem(root);
  crashPoint('files-synced');
}

function remove(applier: Applier, entry: PlanEntry): void {
  applier.progress?.advance({ files: 1 }, entry.path);
  requireUnchanged(applier, entry.path);
  requireRealParents(applier.root, entry.path, new Set(), false);
  try {
    unlinkSync(onDisk(applier.root, entry.path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw failedAt('remove', entry.path, error);
  }
  crashPoint('file-deleted');
}

/** Removes a folder and those above it while they are empty and not wanted. rmdir refuses one that holds anything. */
function removeEmptyFolders(root: string, dir: BytePath, plan: FilePlan): void {
  for (let at = dir; at !== ''; at = parentOf(at)) {
    if (plan.createDirs.includes(at)) return;
    try {
      rmdirSync(onDisk(root, at));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) continue;
      return;
    }
  }
}

function place(applier: Applier, entry: PlanEntry, folders: Set<BytePath>): void {
  const { root, stage } = applier;
  if (entry.after === undefined) return;
  applier.progress?.advance({ files: 1 }, entry.path);
  requireUnchanged(applier, entry.path);
  requireRealParents(root, entry.path, folders, true);
  const from = stage.pathOf(entry.path);
  const to = onDisk(root, entry.path);
  try {
    if (entry.permissionsAfter !== undefined && entry.after.mode !== '120000')
      chmodSync(from, Number.parseInt(entry.permissionsAfter, 8));
    if (entry.action === 'overwrite') renameSync(from, to);
    else createAt(from, to, entry);
  } catch (error) {
    throw error instanceof PitrError ? error : failedAt('write', entry.path, error);
  }
}

/** link(2) and symlink(2) never replace: whatever has appeared at the path since stays, and the restore stops. */
function createAt(from: string, to: Buffer, entry: PlanEntry): void {
  if (lstatIfThere(to)?.isDirectory() === true) rmdirSync(to);
  try {
    if (lstatSync(from).isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: 'buffer' }), to);
    else linkSync(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') throw movedError(entry.path);
    // File systems without hard links (exFAT, some mounts): a look and a rename have to do.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK') throw error;
    if (lstatIfThere(to) !== undefined) throw movedError(entry.path);
    renameSync(from, to);
  }
}

function setMode(applier: Applier, entry: PlanEntry): void {
  applier.progress?.advance({ files: 1 }, entry.path);
  requireUnchanged(applier, entry.path);
  requireRealParents(applier.root, entry.path, new Set(), false);
  chmodSync(onDisk(applier.root, entry.path), modeAfter(entry));
}

/** The recorded permissions, or git's mode as a checkout makes it under the umask. */
function modeAfter(entry: PlanEntry): number {
  if (entry.permissionsAfter !== undefined) return Number.parseInt(entry.permissionsAfter, 8);
  return (entry.after?.mode === '100755' ? 0o777 : 0o666) & ~process.umask();
}

function requireUnchanged(applier: Applier, path: BytePath): void {
  const then = applier.seen.get(path);
  const now = statOf(applier.root, path);
  // A folder in the place of a file to create is emptied, or removed, by this very plan.
  const wasFolder = then === undefined || then.isDirectory();
  if (wasFolder ? now === undefined || now.isDirectory() : now !== undefined && sameStat(then, now)) return;
  throw movedError(path);
}

function sameStat(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.mode === b.mode;
}

function movedError(path: BytePath): PitrError {
  return new PitrError('refused', `${displayPath(path)} changed while the restore was at work.`, {
    details: { moved: [displayPath(path)] },
  });
}

function failedAt(what: string, path: BytePath, error: unknown): PitrError {
  // "EACCES: permission denied, rename '<our own staging>' -> …": only its beginning means something to a person.
  const why = (error instanceof Error ? error.message : '').split(', ')[0] ?? '';
  return new PitrError('failed', `Could not ${what} ${displayPath(path)}${why === '' ? '' : ` (${why})`}.`, {
    cause: error,
  });
}

/** Every folder above a path must be a real folder: nothing is written through a symbolic link (dulwich #2268). */
function requireRealParents(root: string, path: BytePath, known: Set<BytePath>, make: boolean): void {
  for (const parent of parentsOf(path)) {
    if (known.has(parent)) continue;
    const stat = statOf(root, parent);
    if (stat === undefined && make) {
      mkdirSync(onDisk(root, parent));
      crashPoint('folder-made');
    } else if (stat === undefined) return;
    else if (!stat.isDirectory()) {
      throw new PitrError(
        'refused',
        `${displayPath(parent)} is ${stat.isSymbolicLink() ? 'a symbolic link' : 'not a folder'}: nothing is written below it.`,
      );
    }
    known.add(parent);
  }
}

function makeFolder(root: string, dir: BytePath, folders: Set<BytePath>): void {
  requireRealParents(root, `${dir}/x`, folders, true);
}

function statOf(root: string, path: BytePath): BigIntStats | undefined {
  return lstatIfThere(onDisk(root, path));
}

function lstatIfThere(path: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/**
 * One flush of the file system instead of an fsync a file (10,000 files: 60 ms instead of seconds). Where there is no
 * `sync -f` the kernel's own time has to do: the journal stays until this is over.
 */
async function syncFileSystem(root: string): Promise<void> {
  const child = spawn('sync', ['-f', root], { stdio: 'ignore' });
  await once(child, 'close').catch(() => {});
}
