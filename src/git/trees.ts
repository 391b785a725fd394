import { PitrError } from '../errors.ts';
import { ImportStream } from './fastImport.ts';
import { objectStore } from './objectStore.ts';
import type { BytePath } from './paths.ts';
import type { Repository } from './repository.ts';
import { type ObjectInfo, openReader } from './objectReader.ts';
import { prestart } from './prestart.ts';
import { git, gitText, nulRecords, startGit } from './run.ts';

/** Reading and making trees. */

export interface TreeEntry {
  mode: string;
  oid: string;
}

/** One difference between two trees. `before` or `after` is missing where the path is not there. */
export interface TreeChange {
  path: BytePath;
  before?: TreeEntry;
  after?: TreeEntry;
}

export interface DiffOptions {
  /** git pathspecs, relative to `cwd`. */
  pathspecs?: readonly string[];
  cwd?: string;
  /** Also the trees on the way. */
  trees?: boolean;
}

/** The oid of the empty tree in the repository's hash. */
export function emptyTree(repository: Pick<Repository, 'objectFormat'>): string {
  return repository.objectFormat === 'sha256'
    ? '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321'
    : '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
}

/** The differences between two trees, in path order; '' stands for the empty tree. Streams: nothing is held. */
export async function* diffTrees(
  repository: Repository,
  from: string,
  to: string,
  options: DiffOptions = {},
): AsyncGenerator<TreeChange> {
  const none = emptyTree(repository);
  if ((from || none) === (to || none)) return;
  // The answer begins with the question on a line of its own. Without it git could not read one of the trees, and
  // says so by saying nothing: that must never look like "no difference".
  const question = `${from || none} ${to || none}\n`;
  const running = startGit(diffCommand(options), {
    cwd: options.cwd ?? repository.worktree,
    env: objectStore(repository),
    input: question,
    okCodes: [0, 128],
  });
  let answered = false;
  let header = '';
  for await (let record of nulRecords(running.stdout)) {
    if (!answered && record.startsWith(question)) {
      answered = true;
      record = record.slice(question.length);
      if (record === '') continue;
    }
    if (record.startsWith(':') && header === '') {
      header = record;
      continue;
    }
    const [beforeMode = '', afterMode = '', beforeOid = '', afterOid = ''] = header.slice(1).split(' ');
    header = '';
    yield {
      path: record,
      ...(beforeMode === '000000' ? {} : { before: { mode: beforeMode, oid: beforeOid } }),
      ...(afterMode === '000000' ? {} : { after: { mode: afterMode, oid: afterOid } }),
    };
  }
  const { code, stderr } = await running.end();
  if (answered && code === 0) return;
  throw new PitrError(
    'integrity',
    `git cannot read the trees ${from || none} and ${to || none}. ${stderr.trim()} Nothing was changed.`,
    {
      hints: ['Run: git fsck'],
    },
  );
}

function diffCommand(options: DiffOptions): string[] {
  const trees = options.trees === true ? ['-t'] : [];
  const format = ['-z', '--raw', '--no-renames', '--no-abbrev', '--ignore-submodules=none'];
  return ['diff-tree', '--stdin', '-r', ...trees, ...format, '--', ...(options.pathspecs ?? [])];
}

/** Starts what a `diffTrees` with trees needs. */
export function prestartComparison(repository: Repository): void {
  prestart(diffCommand({ trees: true }), { cwd: repository.worktree, env: objectStore(repository) });
}

/** Starts what a `checkObjects` needs. */
export function prestartCheck(repository: Repository): void {
  if (openReader(repository) !== undefined) return;
  prestart(checkCommand, { cwd: repository.worktree, env: objectStore(repository) });
}

export interface ListedEntry extends TreeEntry {
  path: BytePath;
  type: string;
  /** Bytes; 0 for trees, and for objects a partial clone does not have. */
  size: number;
}

/** The entries of a tree: all files below it (`recursive`), all folders (`folders`), or the first level. */
export async function* listTree(
  repository: Repository,
  tree: string,
  options: { recursive?: boolean; folders?: boolean; paths?: readonly string[]; sizes?: boolean } = {},
): AsyncGenerator<ListedEntry> {
  if (tree === '') return;
  const sizes = options.sizes === false ? [] : ['-l'];
  const args = [
    'ls-tree',
    '-z',
    '--full-tree',
    ...sizes,
    ...(options.recursive === true ? ['-r'] : []),
    ...(options.folders === true ? ['-r', '-d'] : []),
    '--end-of-options',
    tree,
    ...(options.paths ?? []),
  ];
  const running = startGit(args, { cwd: repository.worktree, env: objectStore(repository) });
  for await (const record of nulRecords(running.stdout)) {
    const tab = record.indexOf('\t');
    const [mode = '', type = '', oid = '', size = '0'] = record.slice(0, tab).split(/ +/);
    yield { mode, type, oid, size: Number.parseInt(size, 10) || 0, path: record.slice(tab + 1) };
  }
  await running.end();
}

/**
 * How many files a tree holds and how many bytes they have; undefined when one of its objects is not there. Of 100,000
 * files in 100 ms: git prints a number a line, where names and oids would have to be parsed (400 ms).
 */
export async function totalOf(
  repository: Repository,
  tree: string,
): Promise<{ files: number; bytes: number } | undefined> {
  const total = { files: 0, bytes: 0 };
  const args = ['ls-tree', '-r', '--full-tree', '--format=%(objectsize)', '--end-of-options', tree];
  const options = { cwd: repository.worktree, env: objectStore(repository), okCodes: [0, 1, 128] };
  const running = startGit(args, options);
  let rest = '';
  for await (const chunk of running.stdout) {
    const lines = (rest + (chunk as Buffer).toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    total.files += lines.length;
    for (const line of lines) total.bytes += Number(line);
  }
  const { code } = await running.end();
  return code === 0 && Number.isSafeInteger(total.bytes) ? total : undefined;
}

/** The oid of `<oid>:<path>` or `<oid>^{tree}`, or '' when there is no such object. Names of refs mean nothing here. */
export async function resolveTree(repository: Repository, expression: string): Promise<string> {
  return gitText(['rev-parse', '-q', '--verify', '--end-of-options', expression], {
    cwd: repository.worktree,
    env: objectStore(repository),
    okCodes: [0, 1, 128],
  });
}

const checkCommand = ['cat-file', '--batch-check', '--buffer'];

/** Type and size of objects, in the order asked; `undefined` for one that is not there. */
export async function checkObjects(
  repository: Repository,
  oids: readonly string[],
): Promise<(ObjectInfo | undefined)[]> {
  const reader = openReader(repository);
  if (reader !== undefined || oids.length === 0) return reader?.info(oids) ?? [];
  const { stdout } = await git(checkCommand, {
    cwd: repository.worktree,
    env: objectStore(repository),
    input: oids.map((oid) => `${oid}\n`).join(''),
  });
  return stdout
    .toString('latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [oid = '', type = '', size = ''] = line.split(' ');
      return type === 'missing' || size === '' ? undefined : { oid, type, size: Number(size) };
    });
}

/** A tree made of `base` ('' is empty) with other trees at some of its paths, whatever was there. */
export async function composeTree(
  repository: Repository,
  base: string,
  mounts: readonly { path: BytePath; tree: string }[],
): Promise<string> {
  const stream = new ImportStream();
  stream.commit({ branch: 'refs/pitr/incoming/compose', epochMs: 0, message: 'compose', from: undefined });
  if (base !== '') stream.put('040000', base, 'files');
  // Outer repositories before the ones nested in them.
  for (const mount of mounts.toSorted((a, b) => a.path.length - b.path.length))
    stream.put('040000', mount.tree, `files/${mount.path}`);
  stream.text('ls "files"');
  const [answer = ''] = await stream.run(repository);
  return answer.split(/[ \t]/)[2] ?? '';
}
