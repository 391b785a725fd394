import type { CapturedDatabase } from '../databases/engine.ts';
import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import { type BytePath, bytePath, unquotePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { readTree } from '../git/treeEntries.ts';
import type { TreeEntry } from '../git/trees.ts';
import type { StageEntry } from './indexPlan.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { copiesIn } from '../timeline/take.ts';

/** A recorded state to restore from, as much of it as a plan needs. */
export interface RecordedState {
  /** The commit that holds it. */
  commit: string;
  /** The commit that HEAD was at; '' before the first. */
  head: string;
  /** The tree of the files, '' when there is none. */
  files: string;
  /** The tree of the index, '' when it was HEAD's, or empty. */
  staged: string;
  /** True when the index held nothing though HEAD's tree did. */
  emptyIndex: boolean;
  permissions: Map<BytePath, string>;
  emptyDirs: Set<BytePath>;
  gitlinks: Map<BytePath, string>;
  /** Unmerged entries of the index. */
  conflicts: Map<BytePath, StageEntry[]>;
  /** Bits of index entries (docs/format.md, `state/index-flags`). */
  indexFlags: Map<BytePath, string>;
  /** Paths that were there and are not in it. */
  skipped: Set<BytePath>;
  databases: CapturedDatabase[];
}

const stateNames = ['refs', 'permissions', 'empty-dirs', 'gitlinks', 'conflicts', 'index-flags', 'staged'];

/**
 * Reads what a snapshot holds. What it does not have and what cannot be read are told apart: a tree of files that is
 * lost must never pass for "there were no files", which a restore would make true.
 * Error: `integrity` when a part of it is not in the object store.
 */
export async function stateOf(repository: Repository, snapshot: Snapshot): Promise<RecordedState> {
  const { commit } = snapshot;
  const root = await requireTree(repository, snapshot, `${commit}^{tree}`);
  const oidOf = (name: string) => root.get(name)?.oid ?? '';
  const [names, databases] = await Promise.all([
    root.has('state') ? requireTree(repository, snapshot, oidOf('state')) : new Map<string, TreeEntry>(),
    copiesIn(repository, snapshot),
  ]);
  await requireTrees(repository, snapshot, [oidOf('files'), oidOf('staged')]);
  const known = stateNames.filter((name) => names.has(name));
  const blobs = await objectReader(repository).read(known.map((name) => names.get(name)?.oid ?? ''));
  const state = new Map<string, string>();
  for (const [at, name] of known.entries()) {
    const blob = blobs[at];
    if (blob === undefined) throw unreadable(snapshot, `state/${name}`);
    state.set(name, blob.toString('latin1'));
  }
  return {
    commit,
    files: oidOf('files'),
    staged: oidOf('staged'),
    head: headOf(state.get('refs') ?? '') ?? snapshot.head.commit ?? '',
    ...parseState(state),
    skipped: new Set(snapshot.skipped.map(({ path }) => unquotePath(bytePath(path)))),
    databases,
  };
}

async function requireTree(
  repository: Repository,
  snapshot: Snapshot,
  name: string,
): Promise<Map<string, TreeEntry>> {
  const entries = await readTree(repository, name);
  if (entries === undefined) throw unreadable(snapshot, name);
  return entries;
}

async function requireTrees(
  repository: Repository,
  snapshot: Snapshot,
  oids: readonly string[],
): Promise<void> {
  const wanted = oids.filter((oid) => oid !== '');
  const objects = await objectReader(repository).info(wanted);
  for (const [at, oid] of wanted.entries())
    if (objects[at]?.type !== 'tree') throw unreadable(snapshot, `its tree ${oid}`);
}

function unreadable({ id }: Snapshot, what: string): PitrError {
  return new PitrError(
    'integrity',
    `Snapshot ${id} cannot be read: ${what} is not in the object store, or not what it should be. Nothing was changed.`,
    {
      hints: ['git fsck --full tells what is missing or damaged.', 'git pitr list shows other snapshots.'],
    },
  );
}

/** The parts of `state/` that a plan reads. Lines that are not of the format are passed over. */
export function parseState(
  state: ReadonlyMap<string, string>,
): Pick<RecordedState, 'permissions' | 'emptyDirs' | 'gitlinks' | 'conflicts' | 'indexFlags' | 'emptyIndex'> {
  const lines = (name: string) => (state.get(name) ?? '').split('\n').filter((line) => line !== '');
  const pairs = (name: string, pattern: RegExp) =>
    new Map(
      lines(name).flatMap((line) => {
        const match = pattern.exec(line);
        return match?.[1] === undefined || match[2] === undefined
          ? []
          : [[unquotePath(match[2]), match[1]] as const];
      }),
    );
  return {
    permissions: pairs('permissions', /^([0-7]{3,4}) (.+)$/),
    emptyDirs: new Set(lines('empty-dirs').map(unquotePath)),
    gitlinks: pairs('gitlinks', /^([0-9a-f]{40,64}) (.+)$/),
    conflicts: parseConflicts(lines('conflicts')),
    indexFlags: pairs('index-flags', /^([NhS]{1,3}) (.+)$/),
    emptyIndex: state.get('staged') === 'empty\n',
  };
}

function parseConflicts(lines: readonly string[]): RecordedState['conflicts'] {
  const conflicts: RecordedState['conflicts'] = new Map();
  for (const line of lines) {
    const match = /^(\d{6}) ([0-9a-f]{40,64}) ([123])\t(.+)$/.exec(line);
    if (match === null) continue;
    const [, mode = '', oid = '', stage = '', file = ''] = match;
    const path = unquotePath(file);
    conflicts.set(path, [...(conflicts.get(path) ?? []), { mode, oid, stage: Number(stage) }]);
  }
  return conflicts;
}

/** The commit that HEAD was at, by `state/refs`; '' on a branch without a commit, undefined when it does not say. */
function headOf(refs: string): string | undefined {
  const lines = refs.split('\n');
  const [head = ''] = lines[0]?.split('\tHEAD') ?? [];
  if (!head.startsWith('ref: ')) return /^[0-9a-f]{40,64}$/.test(head) ? head : undefined;
  const branch = head.slice('ref: '.length);
  const line = lines.find((candidate) => candidate.endsWith(`\t${branch}`));
  if (line !== undefined) return line.split('\t')[0];
  return branch.startsWith('refs/heads/') ? '' : undefined;
}
