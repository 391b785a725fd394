import type { CapturedDatabase } from '../databases/engine.ts';
import { objectStore } from '../git/objectStore.ts';
import { type BytePath, bytePath, unquotePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { emptyTree, resolveTree } from '../git/trees.ts';
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
  /** The tree of the index, '' when it was HEAD's. */
  staged: string;
  permissions: Map<BytePath, string>;
  emptyDirs: Set<BytePath>;
  gitlinks: Map<BytePath, string>;
  conflicts: string;
  /** Paths that were there and are not in it. */
  skipped: Set<BytePath>;
  databases: CapturedDatabase[];
}

/** Reads what a snapshot holds. */
export async function stateOf(repository: Repository, snapshot: Snapshot): Promise<RecordedState> {
  const { commit } = snapshot;
  const [files, staged, state, databases] = await Promise.all([
    resolveTree(repository, `${commit}:files`),
    resolveTree(repository, `${commit}:staged`),
    readStateFiles(repository, commit),
    copiesIn(repository, snapshot),
  ]);
  return {
    commit,
    head: snapshot.head.commit ?? headOf(state.get('refs') ?? ''),
    files,
    staged: staged === '' && state.get('staged') === 'empty\n' ? emptyTree(repository) : staged,
    ...parseState(state),
    conflicts: state.get('conflicts') ?? '',
    skipped: new Set(snapshot.skipped.map(({ path }) => unquotePath(bytePath(path)))),
    databases,
  };
}

/** Reads the text files of `state/` (latin1), as a capture makes them. */
async function readStateFiles(repository: Repository, commit: string): Promise<Map<string, string>> {
  const names = ['refs', 'permissions', 'empty-dirs', 'gitlinks', 'conflicts', 'staged'];
  const input = names.map((name) => `${commit}:state/${name}\n`).join('');
  const { stdout } = await git(['cat-file', '--batch'], {
    cwd: repository.worktree,
    env: objectStore(repository),
    input,
  });
  const files = new Map<string, string>();
  let rest = stdout.toString('latin1');
  for (const name of names) {
    const end = rest.indexOf('\n');
    const [, type, size] = rest.slice(0, end).split(' ');
    rest = rest.slice(end + 1);
    if (type !== 'blob') continue;
    files.set(name, rest.slice(0, Number(size)));
    rest = rest.slice(Number(size) + 1);
  }
  return files;
}

/** The commit that HEAD was at, from `state/refs`; '' when it does not say. */
function headOf(refs: string): string {
  const oids = new Map(
    refs.split('\n').map((line) => [line.split('\t')[1] ?? '', line.split('\t')[0] ?? ''] as const),
  );
  const head = oids.get('HEAD') ?? '';
  const oid = head.startsWith('ref: ') ? (oids.get(head.slice(5)) ?? '') : head;
  return /^[0-9a-f]{40,64}$/.test(oid) ? oid : '';
}

/** The parts of `state/` that a plan reads. Lines that are not of the format are passed over. */
export function parseState(
  state: ReadonlyMap<string, string>,
): Pick<RecordedState, 'permissions' | 'emptyDirs' | 'gitlinks'> {
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
  };
}
