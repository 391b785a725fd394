import { existsSync } from 'node:fs';
import { captureWorktree } from '../../capture/capture.ts';
import { retryIfLost } from '../../capture/retry.ts';
import { ExitCode, PitrError } from '../../errors.ts';
import { requirePathspecs } from '../../git/pathspecs.ts';
import type { Repository } from '../../git/repository.ts';
import { gitOnTerminal } from '../../git/terminal.ts';
import { emptyTree, resolveTree } from '../../git/trees.ts';
import { currentTime } from '../../system/clock.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { compareDatabases, compareFiles } from '../../timeline/compare.ts';
import { selectSnapshot } from '../../timeline/select.ts';
import type { Snapshot, SnapshotDatabase } from '../../timeline/snapshot.ts';
import { lockLine } from '../../timeline/take.ts';
import type { Arguments } from '../commands.ts';
import { openHere } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { watched } from '../watch.ts';

interface Side {
  label: string;
  tree: string;
  databases: readonly SnapshotDatabase[];
}

export async function run({ operands, paths, options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const names = (options['db'] ?? []) as readonly string[];
  refuseBesideDatabases(names, paths, options);
  const { snapshots } = await readCatalog(repository, { trailersOnly: names.length > 0 });
  const now = new Date(currentTime());
  const select = (selector: string) =>
    selectSnapshot(snapshots, selector, now).catch((error: unknown) => {
      throw hintAtPath(error, selector);
    });
  const first = await select(operands[0] ?? 'latest');
  const second = operands[1] === undefined ? undefined : await select(operands[1]);
  if (names.length > 0) {
    const { diffDatabases } = await import('./diffDatabases.ts');
    return diffDatabases({ repository, config }, names, first, second, options, terminal);
  }
  await requirePathspecs(repository, paths, process.cwd());
  const from = await sideOf(repository, first);
  const cwd = process.cwd();
  const compare = async (to: Side) => ({
    to,
    files: await compareFiles(repository, from.tree, to.tree, paths, cwd),
  });
  const compareNow = () =>
    retryIfLost(repository, async () => compare(await presentSide(repository, config)));
  const { to, files } =
    second === undefined
      ? await watched(terminal, repository, compareNow)
      : await compare(await sideOf(repository, second));
  const databases = compareDatabases(from.databases, to.databases);
  if (paths.length > 0 && files.length === 0)
    await requirePaths(repository, paths, [from.tree, to.tree], cwd);
  terminal.result({ from: from.label, to: to.label, files, databases });
  if (!terminal.json && !terminal.quiet)
    await print(repository, from, to, files, databases, { paths, cwd, options, terminal });
  return ExitCode.done;
}

/** With --db nothing is said of files. Error: `usage` for what has no meaning then. */
function refuseBesideDatabases(
  names: readonly string[],
  paths: readonly string[],
  options: Arguments['options'],
): void {
  if (names.length === 0) return;
  if (paths.length > 0)
    throw new PitrError('usage', 'Give paths or --db, not both: --db compares rows, and no files.');
  if (options['name-only'] === true)
    throw new PitrError('usage', '--name-only is about files; with --db, --stat counts the rows.');
}

/** `git pitr diff src/app.ts`: a file's name in the place of a snapshot's. */
function hintAtPath(error: unknown, selector: string): unknown {
  if (!(error instanceof PitrError) || error.kind !== 'noMatch' || !existsSync(selector)) return error;
  return new PitrError('noMatch', error.message, {
    hints: [`A path comes after --: git pitr diff -- ${selector}`, ...error.hints],
    details: error.details,
    cause: error,
  });
}

async function sideOf(repository: Repository, snapshot: Snapshot): Promise<Side> {
  return {
    label: snapshot.id,
    tree: await resolveTree(repository, `${snapshot.commit}:files`),
    databases: snapshot.databases,
  };
}

/** The present state; the databases are compared as far as that is possible without copying them. */
async function presentSide(
  repository: Repository,
  config: Awaited<ReturnType<typeof openHere>>['config'],
): Promise<Side> {
  const lock = await lockLine(repository, config, 'diff');
  try {
    const capture = await captureWorktree(repository, config);
    const { captureNow } = await import('../../databases/present.ts');
    const { captured } = await captureNow(repository, config);
    return { label: 'now', tree: capture.files, databases: captured };
  } finally {
    lock.release();
  }
}

async function requirePaths(
  repository: Repository,
  paths: readonly string[],
  trees: readonly string[],
  cwd: string,
): Promise<void> {
  for (const tree of trees) if ((await compareFiles(repository, '', tree, paths, cwd)).length > 0) return;
  throw new PitrError(
    'noMatch',
    `${paths.map((path) => `"${path}"`).join(', ')} matches no file in either state.`,
    { hints: ['Paths are relative to the current folder.'] },
  );
}

interface Shown {
  paths: readonly string[];
  cwd: string;
  options: Arguments['options'];
  terminal: Terminal;
}

async function print(
  repository: Repository,
  from: Side,
  to: Side,
  files: readonly { path: string; status: string }[],
  databases: readonly { name: string; status: string }[],
  shown: Shown,
): Promise<void> {
  const { terminal, options, paths, cwd } = shown;
  // Names are for other programs to read: nothing but names on standard output.
  const tell = (text: string) =>
    options['name-only'] === true ? terminal.remark(text) : terminal.print(text);
  for (const { name, status } of databases) if (status !== 'unchanged') tell(`database ${name}: ${status}`);
  if (files.length === 0) {
    if (databases.every(({ status }) => status === 'unchanged'))
      terminal.print(`Nothing differs between ${from.label} and ${to.label}.`);
    return;
  }
  if (options['name-only'] === true) {
    for (const { path } of files) terminal.print(path);
    return;
  }
  const none = emptyTree(repository);
  const format = options['stat'] === true ? '--stat' : '--patch';
  const colour = terminal.colours ? [] : ['--no-color'];
  await gitOnTerminal(
    [
      'diff',
      '--no-ext-diff',
      '--no-textconv',
      '--find-renames',
      format,
      ...colour,
      '--end-of-options',
      from.tree || none,
      to.tree || none,
      '--',
      ...paths,
    ],
    cwd,
  );
}
