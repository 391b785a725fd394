import { PitrError } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import type { Operation } from '../restore/journal.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Instant } from '../timeline/instant.ts';
import { checkedOutBranches } from './checkedOut.ts';
import { bringBack } from './objects.ts';
import { presentRefs, recordedRefs, type Refs, type StashEntry } from './recorded.ts';

/** What is to be done to refs. One that is not there is ''. */
export interface RefMove {
  ref: string;
  before: string;
  after: string;
}

/** Entries of the stash that are there only before, or only after. The oldest first. */
export interface StashChange {
  add: StashEntry[];
  remove: StashEntry[];
}

/** What a person asks for: names of branches and tags without `refs/heads/`. */
export interface RefsRequest {
  branches: readonly string[];
  tags: readonly string[];
  stash: boolean;
}

export interface PreparedRefs {
  kind: 'restore' | 'undo';
  instant?: Instant | undefined;
  snapshot: Pick<Snapshot, 'id' | 'commit' | 'time'>;
  moves: RefMove[];
  stash: StashChange;
  /** Refs that are as they were then. */
  same: string[];
  /** Commits that no ref leads to afterwards, the newest first; of many only the newest. */
  orphans: { ref: string; commits: { commit: string; subject: string }[]; count: number }[];
  /** Branches that are checked out: they move without their files. */
  checkedOut: { ref: string; places: string[] }[];
  /** For `undo`: refs that are not as the restore left them. */
  changed: string[];
}

/**
 * Works out what brings refs back. Nothing of the user's is changed.
 * Errors: `noMatch` for what was not there then; `integrity` for what is lost.
 */
export async function prepareRefs(
  repository: Repository,
  snapshot: Snapshot,
  request: RefsRequest,
): Promise<PreparedRefs> {
  const then = await recordedRefs(repository, snapshot);
  const now = await presentRefs(repository);
  const names = [
    ...request.branches.map((name) => fullName('refs/heads/', name)),
    ...request.tags.map((name) => fullName('refs/tags/', name)),
  ];
  const wanted = [...new Set(names)].map((ref) => ({
    ref,
    before: now.refs.get(ref) ?? '',
    after: then.refs.get(ref) ?? notThere(ref, snapshot, then),
  }));
  const moves = wanted.filter(({ before, after }) => before !== after);
  const present = new Set(now.stash.map(({ commit }) => commit));
  const add = request.stash ? then.stash.filter(({ commit }) => !present.has(commit)) : [];
  if (request.stash && then.stash.length === 0)
    throw new PitrError('noMatch', `The stash was empty at snapshot ${snapshot.id}; nothing was changed.`);
  await requireThere(repository, snapshot, [
    ...moves.map(({ ref, after }) => [ref, after] as const),
    ...add.map(({ commit, message }) => [`the stash entry "${message}"`, commit] as const),
  ]);
  return {
    kind: 'restore',
    snapshot,
    moves,
    stash: { add, remove: [] },
    same: [
      ...wanted.filter(({ before, after }) => before === after).map(({ ref }) => ref),
      ...(request.stash && add.length === 0 ? ['refs/stash'] : []),
    ],
    ...(await consequences(repository, moves)),
    changed: [],
  };
}

function fullName(prefix: string, name: string): string {
  return name.startsWith(prefix) ? name : `${prefix}${name}`;
}

function notThere(ref: string, { id }: Snapshot, then: Refs): never {
  const [, what, prefix] = ref.startsWith('refs/heads/')
    ? [0, 'branch', 'refs/heads/']
    : [0, 'tag', 'refs/tags/'];
  const names = [...then.refs.keys()].filter((name) => name.startsWith(prefix));
  const shown = names.slice(0, 20).map((name) => name.slice(prefix.length));
  throw new PitrError(
    'noMatch',
    `There was no ${what} ${ref.slice(prefix.length)} at snapshot ${id}; nothing was changed.`,
    {
      hints: [
        names.length === 0
          ? 'There was none at all then.'
          : `There were: ${shown.join(', ')}${names.length > shown.length ? ', …' : ''}.`,
        `git pitr refs ${id} shows all of them.`,
      ],
    },
  );
}

async function requireThere(
  repository: Repository,
  snapshot: Snapshot,
  wanted: readonly (readonly [what: string, oid: string])[],
): Promise<void> {
  for (const [what, oid] of wanted)
    if (!(await bringBack(repository, snapshot.anchor ?? '', oid)))
      throw new PitrError(
        'integrity',
        `What ${what} pointed to (${oid}) is no longer in the repository; nothing was changed.`,
        {
          hints: [
            snapshot.anchor === undefined
              ? 'That snapshot is from before git-pitr kept what refs point to; git fsck --lost-found may still find it.'
              : 'git pitr verify tells what else is damaged.',
          ],
        },
      );
}

/** Works out what takes back what was done to refs. */
export async function prepareUndoRefs(
  repository: Repository,
  { refs, before: snapshot }: Operation,
): Promise<PreparedRefs> {
  const now = await presentRefs(repository);
  const done = refs ?? { moves: [], stash: { add: [], remove: [] } };
  const present = new Set(now.stash.map(({ commit }) => commit));
  const wanted = done.moves.map(({ ref, before, after }) => ({
    ref,
    is: now.refs.get(ref) ?? '',
    before,
    after,
  }));
  const moves = wanted
    .filter(({ is, before }) => is !== before)
    .map(({ ref, is, before }): RefMove => ({ ref, before: is, after: before }));
  const { orphans, checkedOut } = await consequences(repository, moves);
  const changed = wanted
    .filter(({ is, before, after }) => is !== after && is !== before)
    .map(({ ref }) => ref);
  // What the restore itself had brought goes again: only what came since is worth a question.
  const asked = (ref: string) => changed.includes(ref);
  const isDeleted = (ref: string) => moves.some((move) => move.ref === ref && move.after === '');
  return {
    kind: 'undo',
    snapshot,
    moves,
    stash: {
      add: done.stash.remove.filter(({ commit }) => !present.has(commit)),
      remove: done.stash.add.filter(({ commit }) => present.has(commit)),
    },
    same: wanted.filter(({ is, before }) => is === before).map(({ ref }) => ref),
    orphans: orphans.filter(({ ref }) => asked(ref)),
    checkedOut: checkedOut.filter(({ ref }) => asked(ref) || isDeleted(ref)),
    changed,
  };
}

/** Commits that are listed; of more only the number is told. */
const maxOrphans = 1000;

async function consequences(
  repository: Repository,
  moves: readonly RefMove[],
): Promise<Pick<PreparedRefs, 'orphans' | 'checkedOut'>> {
  const branches = checkedOutBranches(repository);
  const orphans: PreparedRefs['orphans'] = [];
  for (const { ref, before } of moves.filter((move) => move.before !== '')) {
    const { stdout } = await git(
      [
        'rev-list',
        `--max-count=${maxOrphans + 1}`,
        '--format=%H %s',
        before,
        '--not',
        ...moves.map(({ after }) => after).filter(Boolean),
        ...moves.map((move) => `--exclude=${move.ref}`),
        '--exclude=refs/pitr/*',
        '--exclude=refs/notes/*',
        '--glob=refs/*',
        '--',
      ],
      { cwd: repository.worktree, okCodes: [0, 128] },
    );
    const lines = stdout.toString('utf8').split('\n').slice(0, -1);
    const commits = lines
      .filter((line) => !line.startsWith('commit '))
      .map((line) => ({ commit: line.split(' ', 1)[0] ?? '', subject: line.slice(line.indexOf(' ') + 1) }));
    if (commits.length > 0)
      orphans.push({ ref, commits: commits.slice(0, maxOrphans), count: commits.length });
  }
  const checkedOut = moves.flatMap(({ ref }) => {
    const places = branches.get(ref);
    return places === undefined ? [] : [{ ref, places }];
  });
  return { orphans, checkedOut };
}
