import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import type { BytePath } from '../git/paths.ts';
import { onDisk } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import { readFileIfThere } from '../system/files.ts';
import { type CaptureContext, shadowGit } from './context.ts';
import { coveragePatterns } from './scan.ts';
import { parseTagged } from './seed.ts';
import { forget } from './update.ts';

/**
 * Which paths are covered is decided by the user's index (tracked files, also ignored ones), ignore files and
 * `pitr.include` / `pitr.exclude`. All of that changes rarely; its fingerprint tells when to work it out anew.
 */
export function coverageFingerprint(context: CaptureContext): string {
  const { config } = context;
  const home = process.env['HOME'] ?? '';
  const excludesFile =
    config.git.get('core.excludesfile') ?? `${process.env['XDG_CONFIG_HOME'] || '~/.config'}/git/ignore`;
  const files = [context.excludeFile, excludesFile.replace(/^~(?=\/)/, home)];
  const sparse = config.git.get('core.sparsecheckout') ?? '';
  const rules = files.map((file) => readFileIfThere(file) ?? '');
  const index = indexFingerprint(context.userIndex);
  return JSON.stringify([index, rules, config.include, config.exclude, context.databaseFiles, sparse]);
}

/** An index file ends in its own checksum: equal checksums are equal entries, whatever the file's times say. */
export function indexFingerprint(index: string): string {
  if (!existsSync(index)) return 'none';
  const handle = openSync(index, 'r');
  try {
    const { size, mtimeMs } = fstatSync(handle);
    const end = Buffer.alloc(20);
    readSync(handle, end, 0, end.length, Math.max(0, size - end.length));
    const checksum = end.toString('hex');
    // `index.skipHash` writes zeros there; then size and time have to do.
    return /^0+$/.test(checksum) ? `${size} ${mtimeMs}` : checksum;
  } finally {
    closeSync(handle);
  }
}

/** True when one of these paths decides what is ignored. */
export function touchesIgnoreRules(paths: Iterable<BytePath>): boolean {
  for (const path of paths) if (path === '.gitignore' || path.endsWith('/.gitignore')) return true;
  return false;
}

/** Tracked paths that a scan for untracked files would miss, since they are ignored. */
export interface TrackedIgnored {
  /** Files that the shadow index does not hold yet. */
  files: BytePath[];
  /** Submodules. */
  nested: BytePath[];
}

/** Brings the shadow index's set of paths in line with what is covered now. */
export async function syncCoverage(context: CaptureContext): Promise<TrackedIgnored> {
  const standard = ['ls-files', '-z', '--cached', '--ignored'];
  const excluded = [...context.config.exclude, ...context.databaseFiles].flatMap((pattern) => [
    '-x',
    pattern,
  ]);
  const listed = async (run: Promise<{ stdout: Buffer }>) => splitNul((await run).stdout);
  const [trackedIgnored, shadowIgnored, shadowExcluded, trackedExcluded] = await Promise.all([
    listed(
      git([...standard, '-s', '-t', '--exclude-standard', ...coveragePatterns(context)], {
        cwd: context.worktree,
      }),
    ),
    listed(shadowGit(context, [...standard, '--exclude-standard', ...coveragePatterns(context)])),
    excluded.length === 0 ? [] : listed(shadowGit(context, [...standard, ...excluded])),
    excluded.length === 0 ? [] : listed(git([...standard, ...excluded], { cwd: context.worktree })),
  ]);
  const never = new Set(trackedExcluded);
  // What a sparse checkout left out is carried by syncSparse, ignored or not.
  const entries = trackedIgnored
    .map(parseTagged)
    .filter(
      ({ tag, path: file }) =>
        !never.has(file) && (tag !== 'S' || existsSync(onDisk(context.worktree, file))),
    );
  const pathsOf = (gitlinks: boolean) =>
    entries.filter(({ mode }) => (mode === '160000') === gitlinks).map(({ path: file }) => file);
  const tracked = new Set(pathsOf(false));
  const drop = new Set([...shadowIgnored.filter((file) => !tracked.has(file)), ...shadowExcluded]);
  await forget(context, [...drop]);
  await syncSparse(context);
  const known = new Set(shadowIgnored);
  return { files: [...tracked].filter((file) => !known.has(file)), nested: pathsOf(true) };
}

/**
 * Files that a sparse checkout left out are not deleted: the shadow carries them as the user's index has them
 * (ai-memory #714, t3code #12121). One that is on disk all the same is recorded like any other.
 */
async function syncSparse(context: CaptureContext): Promise<void> {
  if (context.mount !== '') return; // its blobs are in the nested repository's own object store
  const [user, shadow] = await Promise.all([
    skipped(git(['ls-files', '-z', '-t', '-s'], { cwd: context.worktree })),
    skipped(shadowGit(context, ['ls-files', '-z', '-t', '-s'])),
  ]);
  const absent = [...user].filter(([file]) => !existsSync(onDisk(context.worktree, file)));
  const wanted = new Map(absent);
  const carry = absent.filter(([file, entry]) => shadow.get(file) !== entry);
  const release = [...shadow.keys()].filter((file) => !wanted.has(file));
  if (carry.length > 0) {
    const entries = carry.map(([file, entry]) => `${entry}\t${file}\0`).join('');
    await shadowGit(context, ['update-index', '-z', '--index-info'], {
      input: Buffer.from(entries, 'latin1'),
    });
    await flag(
      context,
      '--skip-worktree',
      carry.map(([file]) => file),
    );
  }
  await flag(context, '--no-skip-worktree', release);
}

/** Entries with the skip-worktree bit: path -> `<mode> <oid> 0`. */
async function skipped(listing: Promise<{ stdout: Buffer }>): Promise<Map<BytePath, string>> {
  const found = new Map<BytePath, string>();
  for (const record of splitNul((await listing).stdout)) {
    if (!record.startsWith('S')) continue;
    const { mode, oid, stage, path } = parseTagged(record);
    found.set(path, `${mode} ${oid} ${stage}`);
  }
  return found;
}

async function flag(context: CaptureContext, name: string, paths: readonly BytePath[]): Promise<void> {
  if (paths.length === 0) return;
  const input = Buffer.from(paths.map((file) => `${file}\0`).join(''), 'latin1');
  await shadowGit(context, ['update-index', '-z', name, '--stdin'], { input });
}

/**
 * Ignored files that a pattern with a slash includes. A pattern without one works in the scan itself; one with a
 * slash may name something inside an ignored folder, which only an explicit look finds.
 */
export async function includedByPath(context: CaptureContext): Promise<BytePath[]> {
  const patterns = context.config.include.filter((pattern) => pattern.replace(/\/$/, '').includes('/'));
  if (patterns.length === 0 || context.mount !== '') return [];
  const pathspecs = patterns.map(
    (pattern) => `:(top,glob)${pattern.replace(/^\//, '').replace(/\/$/, '/**')}`,
  );
  const excluded = [...context.config.exclude, ...context.databaseFiles].flatMap((pattern) => [
    '-x',
    pattern,
  ]);
  const { stdout } = await shadowGit(context, [
    'ls-files',
    '-z',
    '--others',
    ...excluded,
    '--',
    ...pathspecs,
  ]);
  return splitNul(stdout).filter((file) => !file.endsWith('/'));
}
