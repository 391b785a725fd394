import { ImportStream } from '../git/fastImport.ts';
import { objectReader } from '../git/objectReader.ts';
import { updateRefs } from '../git/refs.ts';
import { notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';
import { randomId } from '../system/files.ts';
import { parseMessage, type Trailers } from '../timeline/message.ts';
import { readTotals } from '../timeline/totals.ts';
import type { Mendable } from './finding.ts';

/** The line's ref and the chain behind it, from the commits themselves: `git log` stops at the first hole. */

export interface ReadCommit {
  oid: string;
  tree: string;
  parent: string;
  message: Buffer;
  trailers: Trailers;
}

/** A snapshot commit; undefined for what is missing or none. */
async function readCommit(repository: Repository, oid: string): Promise<ReadCommit | undefined> {
  if (oid === '') return undefined;
  const [info] = await objectReader(repository).info([oid]);
  if (info?.type !== 'commit') return undefined;
  const [content] = await objectReader(repository).read([oid]);
  const end = content?.indexOf('\n\n') ?? -1;
  if (content === undefined || end === -1) return undefined;
  const head = content.toString('latin1', 0, end);
  const message = content.subarray(end + 2);
  const trailers = parseMessage(message.toString('utf8'));
  const tree = /^tree ([0-9a-f]{40,64})$/m.exec(head)?.[1] ?? '';
  const parent = /^parent ([0-9a-f]{40,64})$/m.exec(head)?.[1] ?? '';
  return trailers === undefined ? undefined : { oid, tree, parent, message, trailers };
}

/** A chain from its tip; `missing` is the parent at which it breaks off, '' when it is whole. */
async function readChain(
  repository: Repository,
  tip: string,
): Promise<{ commits: ReadCommit[]; missing: string }> {
  const commits: ReadCommit[] = [];
  for (let oid = tip; oid !== ''; ) {
    const commit = await readCommit(repository, oid);
    if (commit === undefined) return { commits, missing: oid };
    commits.push(commit);
    oid = commit.parent;
  }
  return { commits, missing: '' };
}

export async function tipOf(repository: Repository, ref: string): Promise<string> {
  return gitText(['for-each-ref', '--format=%(objectname)', ref], { cwd: repository.worktree });
}

/** The ref is there and leads to the newest snapshot that is known of. */
export async function checkTimeline(repository: Repository): Promise<Mendable | undefined> {
  const ref = timelineRef(repository);
  const tip = await tipOf(repository, ref);
  const known = readTotals(repository)?.commit ?? '';
  const { commits } = await readChain(repository, tip);
  if (tip === '' && known === '' && (await tipOf(repository, notesRef)) === '') return undefined;
  if (commits.length > 0 && (known === '' || commits.some(({ oid }) => oid === known))) return undefined;
  const found = await newestLost(repository, known);
  // Moved back by hand: only what goes on from here is better than what is there.
  const isBetter = found !== undefined && (commits.length === 0 || goesOn(found.commits, tip));
  if (commits.length > 0 && !isBetter) return undefined;
  if (tip === '' && found === undefined && known === '') return undefined; // notes of other worktrees
  const state =
    tip === '' ? 'is gone' : commits.length > 0 ? 'leads to an older snapshot' : 'leads to no snapshot';
  const newest = found?.commits[0];
  const number = found?.commits.length ?? 0;
  const count = `${number} snapshot${number === 1 ? '' : 's'}`;
  return {
    finding: {
      kind: 'timeline',
      severity: 'damage',
      what: `${ref} ${state}`,
      reason: 'Snapshots that no ref leads to are not listed, and git gc takes them.',
      remedy:
        newest === undefined
          ? 'No snapshot is left that it could lead to. Fetch the ref from a copy of the repository, if there is one.'
          : `git update-ref ${ref} ${newest.oid}   # ${count}, the newest ${newest.trailers.id} of ${newest.trailers.time}`,
    },
    ...(newest === undefined
      ? {}
      : {
          mend: async () =>
            (await updateRefs(repository, [{ ref, to: newest.oid, from: tip }]))
              ? `${ref} leads to snapshot ${newest.trailers.id} of ${newest.trailers.time} again (${count})`
              : undefined,
        }),
  };
}

function goesOn(commits: readonly ReadCommit[], tip: string): boolean {
  return commits.slice(1).some(({ oid }) => oid === tip);
}

/** The newest snapshot that no line leads to, with its chain: the one known as the last, or what git still has. */
async function newestLost(
  repository: Repository,
  known: string,
): Promise<{ commits: ReadCommit[] } | undefined> {
  const remembered = await readChain(repository, known);
  if (remembered.commits.length > 0) return remembered;
  const candidates = new Map<string, ReadCommit>();
  for (const oid of await unreachableCommits(repository)) {
    const commit = await readCommit(repository, oid);
    if (commit !== undefined) candidates.set(oid, commit);
  }
  const parents = new Set([...candidates.values()].map(({ parent }) => parent));
  let best: { commits: ReadCommit[] } | undefined;
  for (const { oid } of [...candidates.values()].filter((commit) => !parents.has(commit.oid))) {
    const chain = await readChain(repository, oid);
    const time = (one: { commits: ReadCommit[] } | undefined) => one?.commits[0]?.trailers.time ?? '';
    if (chain.missing === '' && time(chain) > time(best)) best = chain;
  }
  return best;
}

/** As `git fsck --lost-found` finds them; it writes nothing. */
export async function unreachableCommits(repository: Repository): Promise<string[]> {
  const { stdout } = await git(
    ['fsck', '--unreachable', '--no-reflogs', '--connectivity-only', '--no-progress'],
    { cwd: repository.worktree, okCodes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 128] },
  );
  return [...stdout.toString('latin1').matchAll(/^unreachable commit ([0-9a-f]{40,64})$/gm)].map(
    ([, oid = '']) => oid,
  );
}

/** A parent that is missing hides everything before it. */
export async function checkChain(repository: Repository): Promise<Mendable | undefined> {
  const ref = timelineRef(repository);
  const tip = await tipOf(repository, ref);
  const { commits, missing } = await readChain(repository, tip);
  const last = commits.at(-1);
  if (missing === '' || last === undefined) return undefined;
  const older = await olderSnapshots(repository, new Set(commits.map(({ oid }) => oid)), last.trailers.time);
  const rest = older === undefined ? [] : older.commits;
  return {
    finding: {
      kind: 'chain',
      severity: 'damage',
      what: `the snapshot before ${last.trailers.id} (commit ${missing}) is missing or damaged`,
      reason: 'The snapshots before it are not listed, and git gc stops with an error.',
      remedy: `git pitr doctor --repair leaves it out: ${commits.length} snapshots after it stay, and ${rest.length} before it are found again. Only that snapshot is lost.`,
    },
    mend: async () => {
      const fresh = await writeAgain(repository, commits, rest[0]?.oid ?? '');
      if (fresh === undefined) return undefined;
      return `the chain goes on past the missing snapshot: ${commits.length} snapshots after it, ${rest.length} before it`;
    },
  };
}

/** The chain before a hole: notes still name its commits. */
async function olderSnapshots(
  repository: Repository,
  newer: ReadonlySet<string>,
  before: string,
): Promise<{ commits: ReadCommit[] } | undefined> {
  const { stdout } = await git(['ls-tree', '-r', '--name-only', '--full-tree', notesRef], {
    cwd: repository.worktree,
    okCodes: [0, 1, 128],
  });
  const named = stdout
    .toString('latin1')
    .split('\n')
    .map((name) => name.replaceAll('/', ''))
    .filter((name) => /^[0-9a-f]{40,64}$/.test(name) && !newer.has(name));
  const { stdout: others } = await git(['for-each-ref', '--format=%(objectname)', 'refs/pitr'], {
    cwd: repository.worktree,
  });
  const foreign = new Set<string>();
  for (const oid of others
    .toString('latin1')
    .split('\n')
    .filter((one) => one !== '' && !newer.has(one)))
    for (const commit of (await readChain(repository, oid)).commits) foreign.add(commit.oid);
  let best: { commits: ReadCommit[] } | undefined;
  for (const oid of named.filter((name) => !foreign.has(name))) {
    const chain = await readChain(repository, oid);
    const time = chain.commits[0]?.trailers.time ?? '';
    if (chain.missing !== '' || time === '' || time > before) continue;
    const [length, longest] = [chain.commits.length, best?.commits.length ?? 0];
    if (length > longest) best = chain;
  }
  return best;
}

/** Writes commits again on another parent, with their notes. Undefined when a ref moved meanwhile. */
async function writeAgain(
  repository: Repository,
  commits: readonly ReadCommit[],
  base: string,
): Promise<string | undefined> {
  const oldNotes = await tipOf(repository, notesRef);
  const oldest = commits.toReversed();
  const texts: (Buffer | undefined)[] = [];
  for (const { oid } of oldest) {
    const shown = await git(['notes', `--ref=${notesRef}`, 'show', oid], {
      cwd: repository.worktree,
      okCodes: [0, 1, 128],
    });
    texts.push(shown.code === 0 ? shown.stdout : undefined);
  }
  const stream = new ImportStream();
  const scratch = `refs/pitr/incoming/${randomId()}`;
  const marks = oldest.map(({ message, tree, trailers }, at) => {
    const mark = stream.commit({
      branch: scratch,
      epochMs: Date.parse(trailers.time),
      message: message.toString('utf8'),
      from: at === 0 && base !== '' ? base : undefined,
      clear: true,
    });
    stream.put('040000', tree, '');
    return mark;
  });
  const notesMark = stream.commit({
    branch: `${scratch}-notes`,
    epochMs: Date.parse(commits[0]?.trailers.time ?? ''),
    message: 'A missing snapshot left out\n',
    from: oldNotes || undefined,
  });
  for (const [at, mark] of marks.entries()) {
    const text = texts[at];
    if (text !== undefined) stream.note(mark, text.toString('utf8'));
  }
  stream.text(`get-mark ${marks.at(-1) ?? ''}`);
  stream.text(`get-mark ${notesMark}`);
  const [tip = '', notes = ''] = await stream.run(repository);
  const moved = await updateRefs(repository, [
    { ref: notesRef, to: notes, from: oldNotes },
    { ref: timelineRef(repository), to: tip, from: commits[0]?.oid ?? '' },
  ]);
  return moved ? tip : undefined;
}
