import type { BytePath } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import { readFileIfThere } from '../system/files.ts';
import { type CaptureContext, shadowGit } from './context.ts';
import { coveragePatterns } from './others.ts';
import { parseTagged } from './listing.ts';
import { syncSparse } from './sparse.ts';
import { forget } from './update.ts';

/**
 * Which paths are covered is decided by the user's index (tracked files, also ignored ones), ignore files and
 * `pitr.include` / `pitr.exclude`. All of that changes rarely; its fingerprint tells when to work it out anew.
 * @param trackedPaths the key of the paths in the user's index (userIndex.ts)
 */
export function coverageFingerprint(context: CaptureContext, trackedPaths: string): string {
  const { config } = context;
  const home = process.env['HOME'] ?? '';
  const excludesFile =
    config.git.get('core.excludesfile') ?? `${process.env['XDG_CONFIG_HOME'] || '~/.config'}/git/ignore`;
  const files = [context.excludeFile, excludesFile.replace(/^~(?=\/)/, home)];
  const sparse = config.git.get('core.sparsecheckout') ?? '';
  const rules = files.map((file) => readFileIfThere(file) ?? '');
  return JSON.stringify([trackedPaths, rules, config.include, config.exclude, context.databaseFiles, sparse]);
}

/** True when one of these paths decides what is ignored. */
export function touchesIgnoreRules(paths: Iterable<BytePath>): boolean {
  for (const path of paths) if (path === '.gitignore' || path.endsWith('/.gitignore')) return true;
  return false;
}

/** What a scan that looks for changes and for untracked files does not say. */
export interface CoverageSync {
  /** Paths to look at: tracked and ignored ones that the shadow index does not hold yet, and those of `syncSparse`. */
  look: BytePath[];
  /** Paths that are not on disk and stand in the shadow index all the same. */
  carried: ReadonlySet<BytePath>;
  /** Submodules in ignored folders. */
  nested: BytePath[];
  /** True when paths came back from outside a sparse checkout: a folder may have lost the last file recorded in it. */
  released: boolean;
  /** Paths that are covered no more, and have left the shadow index. */
  dropped: ReadonlySet<BytePath>;
  /** Tracked and ignored paths: where one is not on disk, no scan will tell when it is there again. */
  hidden: BytePath[];
}

/**
 * Brings the shadow index's set of paths in line with what is covered now.
 * @param seeded what a shadow index lacks that was just made from the user's
 */
export async function syncCoverage(
  context: CaptureContext,
  seeded?: readonly BytePath[],
): Promise<CoverageSync> {
  const standard = ['ls-files', '-z', '--cached', '--ignored'];
  const excluded = [...context.config.exclude, ...context.databaseFiles].flatMap((pattern) => [
    '-x',
    pattern,
  ]);
  const listed = async (run: Promise<{ stdout: Buffer }>) => splitNul((await run).stdout);
  const [trackedIgnored, inShadow, shadowExcluded, trackedExcluded] = await Promise.all([
    listed(
      git([...standard, '-s', '-t', '--exclude-standard', ...coveragePatterns(context)], {
        cwd: context.worktree,
      }),
    ),
    seeded === undefined
      ? listed(shadowGit(context, [...standard, '--exclude-standard', ...coveragePatterns(context)]))
      : undefined,
    excluded.length === 0 ? [] : listed(shadowGit(context, [...standard, ...excluded])),
    excluded.length === 0 ? [] : listed(git([...standard, ...excluded], { cwd: context.worktree })),
  ]);
  const never = new Set(trackedExcluded);
  const entries = trackedIgnored.map(parseTagged).filter(({ path: file }) => !never.has(file));
  const pathsOf = (gitlinks: boolean) =>
    entries.filter(({ mode }) => (mode === '160000') === gitlinks).map(({ path: file }) => file);
  const tracked = new Set(pathsOf(false));
  const lacking = new Set(seeded);
  const shadowIgnored = inShadow ?? [...tracked].filter((file) => !lacking.has(file));
  const drop = new Set([...shadowIgnored.filter((file) => !tracked.has(file)), ...shadowExcluded]);
  await forget(context, [...drop]);
  const { carried, released } = await syncSparse(context);
  const known = new Set(shadowIgnored);
  return {
    look: [...[...tracked].filter((file) => !known.has(file)), ...released],
    carried,
    nested: pathsOf(true),
    dropped: drop,
    released: released.length > 0,
    hidden: [...tracked],
  };
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
