import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { worktreeContext } from '../capture/capture.ts';
import { coveragePatterns } from '../capture/others.ts';
import { objectReader } from '../git/objectReader.ts';
import { type BytePath, isWithin, onDisk, parentOf, parentsOf } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import { readTree } from '../git/treeEntries.ts';
import { diffTrees, type TreeEntry } from '../git/trees.ts';
import { readFileIfThere } from '../system/files.ts';
import { entriesAt, indexTree } from './indexPlan.ts';
import { type FilePlan, leaveAlone } from './plan.ts';
import type { Context } from './request.ts';
import { inScratch, indexPaths } from './scratch.ts';
import type { RecordedState } from './target.ts';

/**
 * A snapshot says nothing of what was ignored when it was taken: that it has no such file does not mean that there was
 * none. So what is recorded now and was ignored then is not deleted (cline #14367: an older .gitignore comes back, and
 * files that only the newer one ignored go).
 *
 * The rules then are those of the snapshot's own .gitignore files, and of the index that it recorded; `info/exclude`,
 * the user's own excludes file and the patterns of git-pitr are taken as they are now.
 */
export async function leaveIgnoredThen(
  context: Context,
  plan: FilePlan,
  target: RecordedState,
): Promise<FilePlan> {
  const deleted = plan.entries.filter(({ action }) => action === 'delete').map((entry) => entry.path);
  const files = new Set(mayHaveBeen(plan, deleted));
  const folders = new Set(mayHaveBeen({ ...plan, createDirs: [] }, plan.removeDirs));
  if (files.size + folders.size === 0) return plan;
  const ignored = await ignoredBy(context, target, [...files, ...[...folders].map((path) => `${path}/`)]);
  for (const path of await trackedThen(context, target, ignored)) ignored.delete(path);
  const left = new Set([...files].filter((path) => ignored.has(path)));
  const within = leaveAlone(plan, left, 'it was ignored then: the snapshot says nothing of it');
  return { ...within, removeDirs: within.removeDirs.filter((path) => !ignored.has(`${path}/`)) };
}

/** Without the paths that were something else then: a folder, or below a file. */
function mayHaveBeen(plan: FilePlan, paths: readonly BytePath[]): BytePath[] {
  const made = plan.entries.filter(({ action }) => action === 'create').map((entry) => entry.path);
  const files = new Set(made);
  const folders = new Set([...made, ...plan.createDirs.map((dir) => `${dir}/`)].flatMap(parentsOf));
  return paths.filter((path) => !folders.has(path) && !parentsOf(path).some((parent) => files.has(parent)));
}

/** Of these paths, the ones that the index then had: they were covered all the same, and deleted. */
async function trackedThen(
  { repository }: Context,
  target: RecordedState,
  paths: ReadonlySet<BytePath>,
): Promise<BytePath[]> {
  if (paths.size === 0) return [];
  const isGone = target.staged === '' && !target.emptyIndex && target.head !== '';
  if (isGone && (await objectReader(repository).info([target.head]))[0] === undefined) return [];
  const entries = await entriesAt(repository, await indexTree(repository, target), paths);
  return [...paths].filter((path) => entries.has(path) || target.conflicts.has(path));
}

/** Of these paths (folders end in a slash), the ones that the rules of a state ignore. */
async function ignoredBy(
  context: Context,
  target: RecordedState,
  paths: readonly BytePath[],
): Promise<Set<BytePath>> {
  const rules = await ignoreFiles(context, target, paths);
  const found = new Set<BytePath>();
  // A nested repository goes by its own rules.
  const nested = [...target.gitlinks.keys()].toSorted((a, b) => b.length - a.length);
  const groups = new Map<BytePath, BytePath[]>();
  for (const file of paths) {
    const root = nested.find((folder) => file.startsWith(`${folder}/`) && file !== `${folder}/`) ?? '';
    groups.set(root, [...(groups.get(root) ?? []), file]);
  }
  for (const [root, members] of groups) {
    const prefix = root === '' ? '' : `${root}/`;
    const own = [...rules].flatMap(([folder, text]): [BytePath, Buffer][] =>
      isWithin(folder, root) ? [[folder.slice(prefix.length), text]] : [],
    );
    const inside = members.map((file) => file.slice(prefix.length));
    for (const file of await askGit(context, root, new Map(own), inside)) found.add(`${prefix}${file}`);
  }
  return found;
}

/** The state's .gitignore files that have a say over these paths: folder -> content. */
async function ignoreFiles(
  { repository }: Context,
  target: RecordedState,
  paths: readonly BytePath[],
): Promise<Map<BytePath, Buffer>> {
  const folders = new Set(['', ...paths.flatMap(parentsOf)]);
  const found: { folder: BytePath; oid: string }[] = [];
  const isRule = (entry: TreeEntry | undefined): entry is TreeEntry => entry?.mode.startsWith('100') === true;
  if (folders.size <= fewFolders && [...folders].every((folder) => /^[\x20-\x7e]*$/.test(folder))) {
    for (const folder of folders) {
      const entry = (await readTree(repository, `${target.files}:${folder}`))?.get('.gitignore');
      if (isRule(entry)) found.push({ folder, oid: entry.oid });
    }
  } else {
    const pathspecs = [':(top,glob)**/.gitignore'];
    for await (const { path: file, after } of diffTrees(repository, '', target.files, { pathspecs }))
      if (isRule(after) && folders.has(parentOf(file)))
        found.push({ folder: parentOf(file), oid: after.oid });
  }
  const texts = await objectReader(repository).read(found.map(({ oid }) => oid));
  return new Map(found.map(({ folder }, at) => [folder, texts[at] ?? Buffer.alloc(0)]));
}

/** So many are read through the process that is at work anyway; more are found by one that walks the tree. */
const fewFolders = 50;

/** git itself answers, in a working tree that holds nothing but the ignore files. */
async function askGit(
  { repository, config }: Context,
  root: BytePath,
  rules: ReadonlyMap<BytePath, Buffer>,
  paths: readonly BytePath[],
): Promise<BytePath[]> {
  const capture = worktreeContext(repository, config);
  const exclude =
    root === ''
      ? capture.excludeFile
      : onDisk(repository.worktree, `${root}/.git/info/exclude`).toString('utf8');
  const excludesFile = config.git.get('core.excludesfile');
  return inScratch(repository, async ({ gitDir, cwd, options }) => {
    for (const [folder, text] of rules) {
      mkdirSync(onDisk(cwd, folder), { recursive: true });
      writeFileSync(onDisk(cwd, folder === '' ? '.gitignore' : `${folder}/.gitignore`), text);
    }
    if (existsSync(exclude))
      writeFileSync(path.join(gitDir, 'info', 'exclude'), readFileIfThere(exclude) ?? '');
    const settings: [string, string][] =
      excludesFile === undefined ? [] : [['core.excludesFile', excludesFile]];
    // An index holds no folders: something in one stands for it.
    const asked = new Map(paths.map((file) => [file.endsWith('/') ? `${file}${standIn}` : file, file]));
    const patterns = coveragePatterns(capture);
    if (patterns.length === 0) {
      // One process instead of two, but it knows nothing of patterns that are stronger than ignore files. Without the
      // dot it would take a path that begins with a colon for more than a path.
      const input = Buffer.from([...asked.keys()].map((file) => `./${file}\0`).join(''), 'latin1');
      const check = ['check-ignore', '-z', '--stdin', '--no-index'];
      const { stdout } = await git(check, { ...options, config: settings, input, okCodes: [0, 1] });
      return splitNul(stdout).flatMap((file) => asked.get(file.slice('./'.length)) ?? []);
    }
    await indexPaths(options, asked.keys());
    const { stdout } = await git(
      ['ls-files', '-z', '--cached', '--ignored', '--exclude-standard', ...patterns],
      { ...options, config: settings },
    );
    return splitNul(stdout).flatMap((file) => asked.get(file) ?? []);
  });
}

const standIn = 'anything';
