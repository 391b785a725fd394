import { PitrError } from '../errors.ts';
import { type BytePath, displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { checkObjects, diffTrees, listTree, totalOf } from '../git/trees.ts';
import type { SnapshotRequest } from './record.ts';
import type { Snapshot } from './snapshot.ts';
import { readTotals } from './totals.ts';

type Measured = Pick<Snapshot, 'changes' | 'files' | 'bytes'>;

/**
 * Counts what a capture changes against the snapshot before it, and on the way checks that every object it adds is in
 * the object store: a snapshot with a hole is never recorded. The cost grows with the change, not with the tree.
 * Error: `integrity`, with the first path that has no object.
 */
export async function measure(
  repository: Repository,
  before: string,
  request: SnapshotRequest,
): Promise<Measured> {
  try {
    return await measureAgainst(repository, before, request);
  } catch (error) {
    // A damaged snapshot must not keep the next from being taken: that one is then counted, and checked, as a first.
    if (before === '' || (await totalOf(repository, before)) !== undefined) throw error;
    return measureAgainst(repository, '', request);
  }
}

async function measureAgainst(
  repository: Repository,
  before: string,
  request: SnapshotRequest,
): Promise<Measured> {
  const { files } = request.capture;
  const first = before === '' && files !== '' ? await countFirst(repository, request) : undefined;
  if (first !== undefined) {
    await requireObjects(repository, rootsOf(request));
    return { changes: { added: first.files, modified: 0, deleted: 0 }, ...first };
  }
  const known = before === '' ? { files: 0, bytes: 0 } : knownTotals(repository, before);
  const measured: Measured = {
    changes: { added: 0, modified: 0, deleted: 0 },
    files: known?.files ?? 0,
    bytes: known?.bytes ?? 0,
  };
  const added: { path: BytePath; oid: string; sign: 1 | -1 }[] = [];
  for await (const change of diffTrees(repository, before, files, { trees: true })) {
    const isTree = (change.after ?? change.before)?.mode === '040000';
    if (change.after !== undefined) added.push({ path: change.path, oid: change.after.oid, sign: 1 });
    if (isTree) continue;
    if (change.before !== undefined) added.push({ path: change.path, oid: change.before.oid, sign: -1 });
    const kind = change.before === undefined ? 'added' : change.after === undefined ? 'deleted' : 'modified';
    measured.changes[kind]++;
    measured.files += kind === 'added' ? 1 : kind === 'deleted' ? -1 : 0;
  }
  const objects = await checkObjects(repository, [...added.map(({ oid }) => oid), ...rootsOf(request)]);
  let absent: BytePath | undefined;
  for (const [index, { path: file, sign }] of added.entries()) {
    const object = objects[index];
    if (object === undefined && sign === 1) absent ??= file;
    if (object?.type === 'blob') measured.bytes += sign * object.size;
  }
  if (absent !== undefined) await requireExpectedAbsence(repository, absent);
  if (objects.slice(added.length).includes(undefined)) throw noTree();
  if (known === undefined && before !== '') Object.assign(measured, await countAll(repository, files));
  return measured;
}

/** What is in a tree, asked for as soon as it is there: a first snapshot needs it, and there is more to do meanwhile. */
export interface Counting {
  tree: string;
  total: ReturnType<typeof totalOf>;
}

export function startCounting(repository: Repository, tree: string): Counting {
  const total = totalOf(repository, tree);
  total.catch(() => {}); // reported by whoever uses it
  return { tree, total };
}

function countFirst(repository: Repository, { capture, counting }: SnapshotRequest): Counting['total'] {
  return counting?.tree === capture.files ? counting.total : totalOf(repository, capture.files);
}

function rootsOf({ capture, databases }: SnapshotRequest): string[] {
  return [capture.files, capture.staged, capture.conflicts, ...databases.map(({ tree }) => tree)].filter(
    (oid) => oid !== '',
  );
}

async function requireObjects(repository: Repository, oids: readonly string[]): Promise<void> {
  if ((await checkObjects(repository, oids)).includes(undefined)) throw noTree();
}

function noTree(): PitrError {
  return new PitrError(
    'integrity',
    'A tree of the snapshot is not in the object store; nothing was recorded.',
    { hints: ['Run: git fsck'] },
  );
}

/** In a partial clone an object may be absent because it was never fetched; anywhere else it is a hole. */
async function requireExpectedAbsence(repository: Repository, file: BytePath): Promise<void> {
  const { isPartialClone } = await import('../git/partialClone.ts');
  if (await isPartialClone(repository)) return;
  throw new PitrError(
    'integrity',
    `The content of ${displayPath(file)} is not in the object store; nothing was recorded.`,
    {
      hints: [
        'Run the command again: the file is then read anew.',
        'If it stays so: git fsck tells what else is missing.',
      ],
    },
  );
}

function knownTotals(repository: Repository, tree: string): { files: number; bytes: number } | undefined {
  const totals = readTotals(repository);
  return totals?.tree === tree ? totals : undefined;
}

async function countAll(repository: Repository, tree: string): Promise<{ files: number; bytes: number }> {
  const quickly = await totalOf(repository, tree);
  if (quickly !== undefined) return quickly;
  // A partial clone does not have every object.
  const total = { files: 0, bytes: 0 };
  for await (const entry of listTree(repository, tree, { recursive: true })) {
    total.files++;
    total.bytes += entry.size;
  }
  return total;
}
