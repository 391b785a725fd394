/** The main job on a repository of some kind: snapshot, changes, dry run, restore, undo, redo, with all that must hold. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { pitr, type PitrOptions } from '../../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../../support/environment.ts';
import { hashTree } from '../../support/hash-tree.ts';

export interface SnapshotShown {
  id: string;
  commit: string;
  head: { branch: string | null; commit: string | null };
  changes: { added: number; modified: number; deleted: number };
  files: number;
  skipped: { path: string; reason: string }[];
}

export interface PlanShown {
  create: { path: string }[];
  overwrite: { path: string }[];
  delete: { path: string }[];
  mode: { path: string }[];
  protected: { path: string; reason: string }[];
  directories: { create: string[]; remove: string[] };
}

export interface RestoreShown {
  plan: PlanShown;
  applied: boolean;
  safety: { id: string; commit: string } | null;
}

export interface RoundTripOptions {
  /** Git directories that must stay as they are, all but what git-pitr may write. Default: the one of `folder`. */
  gitDirs?: readonly string[];
  /** Git directories of others (submodules, nested repositories): not one byte in them may change. */
  foreign?: readonly string[];
  /** What the restore must lead to, where it is not the state at the snapshot. Called before the restore. */
  expected?: (then: string[], now: string[]) => string[];
  restore?: readonly string[];
  env?: PitrOptions['env'];
}

export interface RoundTrip {
  snapshot: SnapshotShown;
  plan: PlanShown;
}

/** Takes a snapshot; its JSON. */
export function snapshot(folder: string, args: readonly string[] = [], options: PitrOptions = {}) {
  return pitr(folder, ['snapshot', '--json', ...args], options).json<{
    created: boolean;
    snapshot: SnapshotShown;
  }>();
}

/** Restores the newest snapshot (or what `args` say) without being asked. */
export function restore(folder: string, args: readonly string[] = [], options: PitrOptions = {}) {
  const target = args.some((arg) => arg === '--snapshot' || arg === '--at') ? [] : ['--snapshot', 'latest'];
  return pitr(folder, ['restore', ...target, '--yes', '--json', ...args], options).json<RestoreShown>();
}

/**
 * Snapshot, `change`, dry run, restore, undo, redo. After each step the files must be what they have to be, byte for
 * byte; HEAD, refs, index, config and everything else in the git directories must not have moved; fsck must pass.
 */
export function roundTrip(folder: string, change: () => void, options: RoundTripOptions = {}): RoundTrip {
  const { env } = options;
  const gitDirs = options.gitDirs ?? [gitDirOf(folder)];
  const foreign = options.foreign ?? [];
  const untouched = () => [
    ...gitDirs.flatMap((dir) => frozen(dir, isOurs)),
    ...foreign.flatMap((dir) => frozen(dir, () => false)),
  ];
  const run = (args: readonly string[]) => pitr(folder, args, env === undefined ? {} : { env });

  const atFirst = untouched();
  const { snapshot: taken } = run(['snapshot', '--json', '-m', 'round trip']).json<{
    snapshot: SnapshotShown;
  }>();
  expect(untouched(), 'the snapshot touched the git directory').toEqual(atFirst);
  const then = hashTree(folder);

  change();
  const now = hashTree(folder);
  const before = untouched();
  const wanted = options.expected?.(then, now) ?? then;
  const selector = ['restore', '--snapshot', taken.id, '--json', ...(options.restore ?? [])];

  const dry = run([...selector, '--dry-run']).json<RestoreShown>();
  expect(hashTree(folder), 'the dry run changed files').toEqual(now);
  expect(untouched(), 'the dry run touched the git directory').toEqual(before);

  const done = run([...selector, '--yes']).json<RestoreShown>();
  expect(done.plan).toEqual(dry.plan);
  expect(hashTree(folder), 'the restore').toEqual(wanted);
  expect(untouched(), 'the restore touched the git directory').toEqual(before);

  run(['undo', '--yes']);
  expect(hashTree(folder), 'undo').toEqual(now);
  run(['undo', '--yes']);
  expect(hashTree(folder), 'undo of undo').toEqual(wanted);
  expect(untouched(), 'undo touched the git directory').toEqual(before);
  fsck(folder);
  return { snapshot: taken, plan: dry.plan };
}

/** Standard output of the user's own git. */
export function git(folder: string, ...args: readonly string[]): string {
  return execFileSync('git', args, {
    cwd: folder,
    env: cleanEnvironment(testIdentity),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 256 * 1024 * 1024,
  }).replace(/\n$/, '');
}

/** Every object that a snapshot names is there and sound. */
export function fsck(folder: string): void {
  git(folder, 'fsck', '--strict', '--no-dangling');
}

function gitDirOf(folder: string): string {
  return git(folder, 'rev-parse', '--path-format=absolute', '--git-common-dir');
}

/** What git-pitr may write in the git directory of the user (docs/format.md): its folder, objects, and its own refs. */
function isOurs(name: string): boolean {
  return /^(pitr|objects|refs\/pitr|refs\/notes)(\/|$)/.test(name);
}

/** One line for every file below a git directory, with its content and its times: even a rewrite of equal bytes shows. */
export function frozen(gitDir: string, skip: (name: string) => boolean = () => false): string[] {
  const below = (prefix: string): string[] =>
    readdirSync(path.join(gitDir, prefix)).flatMap((entry) => {
      const name = prefix === '' ? entry : `${prefix}/${entry}`;
      if (skip(name)) return [];
      const file = path.join(gitDir, name);
      const stat = lstatSync(file, { bigint: true });
      if (stat.isDirectory()) return [`${gitDir}/${name}/ ${stat.mode}`, ...below(name)];
      const content = stat.isSymbolicLink()
        ? readlinkSync(file)
        : createHash('sha256').update(readFileSync(file)).digest('hex');
      // git itself marks a shared index as in use whenever it reads it.
      const time = entry.startsWith('sharedindex.') ? '' : stat.mtimeNs;
      return [`${gitDir}/${name} ${stat.mode} ${time} ${content}`];
    });
  return existsSync(gitDir) ? below('').toSorted() : [`${gitDir} is not there`];
}

/** The files that a snapshot holds, path -> content, read with plain git. */
export function recordedFiles(folder: string, commit: string): Map<string, string> {
  const names = git(folder, 'ls-tree', '-r', '-z', '--name-only', '--full-tree', `${commit}:files`)
    .split('\0')
    .filter((name) => name !== '');
  return new Map(names.map((name) => [name, git(folder, 'cat-file', 'blob', `${commit}:files/${name}`)]));
}

/** A file of a snapshot's `state/` folder, '' when it holds none. */
export function recordedState(folder: string, commit: string, name: string): string {
  const there = git(folder, 'ls-tree', '-z', '--name-only', commit, `state/${name}`) !== '';
  return there ? git(folder, 'cat-file', 'blob', `${commit}:state/${name}`) : '';
}
