import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { BytePath } from '../git/paths.ts';
import { git, splitNul, startGit } from '../git/run.ts';
import { type CaptureContext, copyIndex, shadowGit, shadowIndex } from './context.ts';
import { unusualEntries } from './listing.ts';
import { forget } from './update.ts';
import { indexSummary } from './userIndex.ts';

/**
 * Makes the shadow index from the user's, so that a first snapshot need not read files that git knows already.
 *
 * Three kinds of entry must not be taken over as they are: those whose blob went through a filter (it is not what is
 * on disk), those the user told git not to look at (assume-unchanged), and gitlinks (nested repositories are recorded
 * as files).
 *
 * Gives the paths that the user's index has and the new one does not; undefined when it took over nothing.
 */
export async function seedShadowIndex(context: CaptureContext): Promise<BytePath[] | undefined> {
  const index = shadowIndex(context);
  rmSync(index, { force: true });
  // A nested repository's blobs are in its own object store: nothing there to take over.
  if (context.mount !== '') return undefined;
  const isCopy = !usesSplitIndex(context) && copyIndex(context.userIndex, index);
  if (!isCopy) await seedFromListing(context);
  const entries = await unusualOf(context);
  const drop = entries.filter(({ isGitlink, stage }) => isGitlink || stage > 0).map(({ path }) => path);
  if (isCopy) {
    const hidden = entries.filter((entry) => entry.isHidden).map(({ path }) => path);
    if (hidden.length > 0)
      await shadowGit(context, ['update-index', '-z', '--no-assume-unchanged', '--stdin'], {
        input: nul(hidden),
      });
    const hasRules = entries.some(({ path }) => path === attributes || path.endsWith(`/${attributes}`));
    if (hasRules || mayConvert(context)) drop.push(...(await convertedPaths(context)));
  }
  await forget(context, drop);
  return drop;
}

const attributes = '.gitattributes';

interface Unusual {
  path: BytePath;
  stage: number;
  isGitlink: boolean;
  /** Assume-unchanged. */
  isHidden: boolean;
}

/** What is not ordinary in the new index, and its `.gitattributes` files. */
async function unusualOf(context: CaptureContext): Promise<Unusual[]> {
  const summary = indexSummary(context, shadowIndex(context));
  // A sparse index has folders in the place of entries.
  if (summary !== undefined && !summary.unusual.some(({ mode }) => mode === '040000'))
    return summary.unusual.map(({ path, stage, mode, assumeUnchanged }) => ({
      path,
      stage,
      isGitlink: mode === '160000',
      isHidden: assumeUnchanged,
    }));
  const { stdout } = await shadowGit(context, ['ls-files', '-z', '-v', '-s']);
  return unusualEntries(stdout).map(({ tag, mode, stage, path }) => ({
    path,
    stage: Number(stage),
    isGitlink: mode === '160000',
    isHidden: /[a-z]/.test(tag),
  }));
}

function usesSplitIndex(context: CaptureContext): boolean {
  return readdirSync(path.dirname(context.userIndex)).some((name) => name.startsWith('sharedindex.'));
}

/** A split index cannot be copied (its other half is found through the git directory): entries without stat data. */
async function seedFromListing(context: CaptureContext): Promise<void> {
  if (!existsSync(context.userIndex)) return;
  const listing = startGit(['ls-files', '-z', '-s'], { cwd: context.worktree });
  const update = shadowGit(context, ['update-index', '-z', '--index-info'], { input: listing.stdout });
  await Promise.all([listing.end(), update]);
}

function mayConvert(context: CaptureContext): boolean {
  const { git: config } = context.config;
  const autocrlf = (config.get('core.autocrlf') ?? 'false').toLowerCase();
  if (!['false', 'no', 'off', '0'].includes(autocrlf)) return true;
  return (
    config.get('core.attributesfile') !== undefined ||
    existsSync(path.join(context.repository.commonDir, 'info', 'attributes')) ||
    existsSync(`${process.env['XDG_CONFIG_HOME'] ?? `${process.env['HOME'] ?? ''}/.config`}/git/attributes`)
  );
}

/** Tracked paths whose blob may differ from the bytes on disk, by the attributes that the user's own git sees. */
async function convertedPaths(context: CaptureContext): Promise<BytePath[]> {
  const crlfByConfig = !['false', 'no', 'off', '0', undefined].includes(
    context.config.git.get('core.autocrlf')?.toLowerCase(),
  );
  const listing = startGit(['ls-files', '-z'], { cwd: context.worktree });
  const attributes = ['text', 'eol', 'filter', 'ident', 'working-tree-encoding', 'crlf'];
  const { stdout } = await git(['check-attr', '-z', '--stdin', ...attributes], {
    cwd: context.worktree,
    input: listing.stdout,
  });
  await listing.end();
  const found = new Set<BytePath>();
  const fields = splitNul(stdout);
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [file, attribute, value] = fields.slice(at, at + 3) as [string, string, string];
    const plain = value === 'unset' || (value === 'unspecified' && !(crlfByConfig && attribute === 'text'));
    if (!plain) found.add(file);
  }
  return [...found];
}

function nul(paths: readonly BytePath[]): Buffer {
  return Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
}
