import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { git, gitText, splitNul } from '../git/run.ts';
import { ensurePrivateDir, randomId } from '../system/files.ts';
import { callsUs, hasCall, isShellScript, ownHook, shellQuote, withCall, withoutCall } from './hookText.ts';

/** git's hooks, each with a call of ours in it. What was there goes on working, and comes back byte for byte. */

export const hookNames = [
  'pre-commit',
  'pre-merge-commit',
  'pre-rebase',
  'pre-push',
  'pre-applypatch',
  'post-checkout',
  'post-merge',
  'post-rewrite',
  'post-commit',
  'pre-auto-gc',
] as const;

export type HookName = (typeof hookNames)[number];

export interface HookState {
  name: HookName;
  /** The file that git runs. */
  path: string;
  installed: boolean;
  /** Why it does not work although it looks installed; absent when it does, or is not installed. */
  problem?: string;
  /** What else the hook does: a script of somebody else's, another program, nothing. */
  beside: 'script' | 'program' | 'nothing';
}

/** What a hook starts. */
export interface HookProgram {
  node: string;
  script: string;
  /** `hooks/git-pitr-hook` of the package. */
  template: string;
}

/** Where hooks are, and the program that they call. */
interface Place {
  dir: string;
  /** Beside them: what was in the place of one of ours and is no script. */
  originals: string;
  dispatcher: string;
}

/**
 * Puts a call into each of these hooks. Again is an update. Errors: `refused` when the hooks are those of several
 * repositories, or files of the project.
 */
export async function installHooks(
  repository: Repository,
  config: Config,
  names: readonly HookName[],
  program: HookProgram,
): Promise<HookState[]> {
  const place = await placeOf(repository);
  await refuseForeign(repository, place);
  ensurePrivateDir(path.dirname(place.dispatcher));
  mkdirSync(place.dir, { recursive: true });
  writeProgram(place.dispatcher, dispatcherFor(repository, config, program));
  for (const name of names) install(place, name);
  return hookStates(repository);
}

/** Takes every call out again, and puts back what was there. */
export async function uninstallHooks(repository: Repository): Promise<HookState[]> {
  const place = await placeOf(repository);
  for (const name of hookNames) uninstall(place, name);
  rmSync(place.dispatcher, { force: true });
  rmSync(savedDir(place), { recursive: true, force: true });
  return hookStates(repository);
}

export async function hookStates(repository: Repository): Promise<HookState[]> {
  const place = await placeOf(repository);
  return hookNames.map((name) => stateOf(place, name));
}

/** `rev-parse --git-path hooks` would say where our own git processes look: nowhere, as they run without hooks. */
async function placeOf(repository: Repository): Promise<Place> {
  const { stdout } = await git(['config', '-z', '--type=path', '--get-all', 'core.hooksPath'], {
    cwd: repository.worktree,
    okCodes: [0, 1],
  });
  // The last one is what our processes are told (git/environment.ts).
  const set = splitNul(stdout).at(-2) ?? '';
  const given =
    set === '' ? path.join(repository.commonDir, 'hooks') : path.resolve(repository.worktree, set);
  const dir = existsSync(given) ? realpathSync(given) : given;
  return {
    dir,
    originals: path.join(dir, 'git-pitr-original'),
    dispatcher: path.join(repository.privateDir, 'hooks', 'git-pitr-hook'),
  };
}

/** Hooks are ours to change only where they are of this repository alone, and where no commit would take the change along. */
async function refuseForeign(repository: Repository, { dir }: Place): Promise<void> {
  if (isInside(dir, realpathSync(repository.commonDir))) return;
  const hints = ['Call it from your own hooks: git pitr snapshot --type safety --trigger hook:<name>'];
  if (!isInside(dir, repository.worktree))
    throw new PitrError(
      'refused',
      `core.hooksPath is ${dir}, outside of this repository: its hooks are those of others too. Nothing was changed.`,
      { hints: [...hints, 'Or give this repository its own: git config --local core.hooksPath .git/hooks'] },
    );
  const probe = path.join(dir, 'pre-commit');
  const ignored = await git(['check-ignore', '-q', '--no-index', '--', probe], {
    cwd: repository.worktree,
    okCodes: [0, 1],
  });
  const tracked = await gitText(['ls-files', '-z', '--', dir], { cwd: repository.worktree });
  if (ignored.code === 0 && tracked === '') return;
  throw new PitrError(
    'refused',
    `core.hooksPath is ${dir}, and its hooks are files of the project: every commit would take our changes along. Nothing was changed.`,
    { hints },
  );
}

function isInside(file: string, folder: string): boolean {
  return file === folder || file.startsWith(`${folder}${path.sep}`);
}

function dispatcherFor(repository: Repository, config: Config, program: HookProgram): Buffer {
  const { node, script, template } = program;
  const values: Record<string, string> = {
    '@node@': shellQuote(node),
    '@program@': shellQuote(script),
    '@log@': shellQuote(path.join(repository.privateDir, 'hooks', 'log')),
    '@limit@': String(Math.max(1, Math.round(config.hookTimeout / 1000))),
  };
  return Buffer.from(
    readFileSync(template, 'utf8').replace(/@(node|program|log|limit)@/g, (word) => values[word] ?? word),
  );
}

function install(place: Place, name: HookName): void {
  const file = path.join(place.dir, name);
  const { dispatcher } = place;
  const there = lstatSync(file, { throwIfNoEntry: false });
  if (there === undefined) return writeProgram(file, ownHook(dispatcher, name));
  const isPlain = there.isFile();
  const content = isPlain ? readFileSync(file) : Buffer.alloc(0);
  if (isPlain && callsUs(content, dispatcher, name)) return;
  // One of an earlier place of this repository, or of a copy of it.
  if (isPlain && hasCall(content)) {
    uninstall(place, name);
    return install(place, name);
  }
  const isActive = (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o111;
  if (isPlain && isActive !== 0 && isShellScript(content)) {
    save(place, name, content, there.mode);
    writeProgram(file, withCall(content, dispatcher, name), there.mode);
    return;
  }
  const original = setAside(place, name, there.isSymbolicLink());
  // git does not run a hook without the x bit: somebody switched it off, and it stays so.
  writeProgram(file, ownHook(dispatcher, name, isActive === 0 ? undefined : original));
}

/** Moves what is no shell script away; a link is kept as it is, with another beside it that leads to the same file. */
function setAside({ dir, originals }: Place, name: HookName, isLink: boolean): string {
  mkdirSync(originals, { recursive: true });
  const [file, original] = [path.join(dir, name), path.join(originals, name)];
  if (!isLink) {
    renameSync(file, original);
    return original;
  }
  const target = path.resolve(dir, readlinkSync(file));
  renameSync(file, `${original}.link`);
  rmSync(original, { force: true });
  symlinkSync(target, original);
  return original;
}

function uninstall(place: Place, name: HookName): void {
  const file = path.join(place.dir, name);
  const there = lstatSync(file, { throwIfNoEntry: false });
  if (there === undefined || !there.isFile()) return;
  const content = readFileSync(file);
  if (!hasCall(content)) return;
  const original = path.join(place.originals, name);
  const isLink = lstatSync(`${original}.link`, { throwIfNoEntry: false }) !== undefined;
  if (isLink || lstatSync(original, { throwIfNoEntry: false }) !== undefined) {
    renameSync(isLink ? `${original}.link` : original, file);
    if (isLink) rmSync(original, { force: true });
    removeIfEmpty(place.originals);
    return;
  }
  const saved = savedOf(place, name);
  const isAsWritten = saved !== undefined && content.equals(withCall(saved.content, place.dispatcher, name));
  const rest = isAsWritten ? saved.content : withoutCall(content);
  if (saved === undefined && rest.toString('latin1').trim() === '#!/bin/sh') rmSync(file);
  else writeProgram(file, rest, isAsWritten ? saved.mode : there.mode);
}

function stateOf(place: Place, name: HookName): HookState {
  const file = path.join(place.dir, name);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return { name, path: file, installed: false, beside: 'nothing' };
  const content = readFileSync(file);
  const rest = withoutCall(content).toString('latin1').trim();
  const hasProgram = lstatSync(path.join(place.originals, name), { throwIfNoEntry: false }) !== undefined;
  const state: HookState = {
    name,
    path: file,
    installed: hasCall(content),
    beside: hasProgram
      ? 'program'
      : rest === '#!/bin/sh'
        ? 'nothing'
        : isShellScript(content)
          ? 'script'
          : 'program',
  };
  const problem = state.installed ? problemOf(place, name, content, stat.mode) : undefined;
  return problem === undefined ? state : { ...state, problem };
}

function problemOf(place: Place, name: HookName, content: Buffer, mode: number): string | undefined {
  if ((mode & 0o111) === 0) return 'it is not executable: git does not run it';
  if (!callsUs(content, place.dispatcher, name)) return 'it calls git-pitr at another place';
  if (!existsSync(place.dispatcher)) return `${place.dispatcher} is gone`;
  const text = readFileSync(place.dispatcher, 'utf8');
  const [, node = '', program = ''] = /^node='(.*)'\nprogram='(.*)'$/m.exec(text) ?? [];
  const missing = [node, program].find((file) => !existsSync(file.replaceAll(`'\\''`, `'`)));
  return missing === undefined ? undefined : `${missing} is gone`;
}

/** What a script was before our line came into it. */
function savedDir({ dispatcher }: Place): string {
  return path.join(path.dirname(dispatcher), 'before');
}

function save(place: Place, name: HookName, content: Buffer, mode: number): void {
  ensurePrivateDir(savedDir(place));
  writeProgram(path.join(savedDir(place), name), content, mode);
}

function savedOf(place: Place, name: HookName): { content: Buffer; mode: number } | undefined {
  const file = path.join(savedDir(place), name);
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? undefined : { content: readFileSync(file), mode: stat.mode };
}

/** Whole or not at all: git may run the hook at this moment. */
function writeProgram(file: string, content: Buffer, mode = 0o755): void {
  const temporary = `${file}.${randomId()}.tmp`;
  writeFileSync(temporary, content, { flag: 'wx' });
  chmodSync(temporary, mode & 0o7777);
  renameSync(temporary, file);
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
