import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { BytePath } from '../git/paths.ts';
import { git, splitNul, startGit } from '../git/run.ts';
import { type CaptureContext, copyIndex, shadowGit, shadowIndex } from './context.ts';
import { unusualEntries } from './listing.ts';
import { forget } from './update.ts';

/**
 * Makes the shadow index from the user's, so that a first snapshot need not read files that git knows already.
 *
 * Three kinds of entry must not be taken over as they are: those whose blob went through a filter (it is not what is
 * on disk), those the user told git not to look at (assume-unchanged), and gitlinks (nested repositories are recorded
 * as files).
 */
export async function seedShadowIndex(context: CaptureContext): Promise<void> {
  const index = shadowIndex(context);
  rmSync(index, { force: true });
  // A nested repository's blobs are in its own object store: nothing there to take over.
  if (context.mount !== '') return;
  if (usesSplitIndex(context) || !copyIndex(context.userIndex, index)) {
    await seedFromListing(context);
    return;
  }
  const { stdout } = await shadowGit(context, ['ls-files', '-z', '-v', '-s']);
  const drop: BytePath[] = [];
  const unhide: BytePath[] = [];
  let attributesInTree = false;
  for (const { tag, mode, stage, path } of unusualEntries(stdout)) {
    if (mode === '160000' || stage !== '0') drop.push(path);
    else if (/[a-z]/.test(tag)) unhide.push(path);
    if (path === '.gitattributes' || path.endsWith('/.gitattributes')) attributesInTree = true;
  }
  if (unhide.length > 0) {
    await shadowGit(context, ['update-index', '-z', '--no-assume-unchanged', '--stdin'], {
      input: nul(unhide),
    });
  }
  if (attributesInTree || mayConvert(context)) drop.push(...(await convertedPaths(context)));
  await forget(context, drop);
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
  const { stdout } = await shadowGit(context, ['ls-files', '-z', '-v', '-s']);
  const entries = unusualEntries(stdout);
  await forget(
    context,
    entries.filter(({ mode, stage }) => mode === '160000' || stage !== '0').map(({ path }) => path),
  );
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
