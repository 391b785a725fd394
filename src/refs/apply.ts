import { PitrError } from '../errors.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { GitFailure, git, gitText } from '../git/run.ts';
import {
  beginOperation,
  finishOperation,
  forgetOperation,
  type Operation,
  refuseWhileInterrupted,
} from '../restore/journal.ts';
import type { Context } from '../restore/request.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { lockLine, takeSnapshotLocked } from '../timeline/take.ts';
import type { PreparedRefs, RefMove } from './plan.ts';
import { presentRefs, type StashEntry } from './recorded.ts';

/** Error: `refused`, when a person must agree first. */
export function refuseRefs({ kind, orphans, checkedOut, changed, snapshot }: PreparedRefs): void {
  const reasons = [
    ...changed.map((ref) => `${ref} was moved since`),
    ...checkedOut.map(
      ({ ref, places }) =>
        `${ref} is checked out in ${places.join(', ')}: it would move, its files and index would not`,
    ),
    ...orphans.map(
      ({ ref, count, commits }) =>
        `no ref would lead to ${count} commit${count === 1 ? '' : 's'} of ${ref} any more (${commits[0]?.commit.slice(0, 10) ?? ''} ${commits[0]?.subject ?? ''}${count > 1 ? ', …' : ''})`,
    ),
  ];
  if (reasons.length === 0) return;
  throw new PitrError('refused', `Nothing was changed: ${reasons.join('; ')}.`, {
    hints: [
      'With --force it is done all the same. The state before is recorded first; git pitr undo brings it back.',
      ...(kind === 'restore' && checkedOut.length > 0
        ? [`Files and index as they were then: git pitr restore --snapshot ${snapshot.id} --staged`]
        : []),
    ],
    details: { checkedOut, orphans, changed },
  });
}

/**
 * Carries it out: a safety snapshot, the journal, then each ref, if it still is what it was.
 * Errors: `refused` when a ref moved since the plan was made; `interruptedRestore`.
 */
export async function executeRefs(
  context: Context,
  prepared: PreparedRefs,
): Promise<{ safety: { id: string; commit: string } }> {
  const { repository, config } = context;
  const { kind, snapshot, moves, stash } = prepared;
  const lock = await lockLine(repository, config, 'restore');
  try {
    refuseWhileInterrupted(repository);
    const { id, commit, time } = await takeSnapshotLocked(repository, config, {
      type: 'safety',
      trigger: 'restore',
      message: kind === 'undo' ? 'before undo of refs' : `before restoring refs of ${snapshot.id}`,
    });
    crashPoint('safety-taken');
    const safety = { id, commit };
    if (moves.length + stash.add.length + stash.remove.length === 0) return { safety };
    const operation: Operation = {
      version: 1,
      kind,
      startedAt: new Date(currentTime()).toISOString(),
      target: { id: snapshot.id, commit: snapshot.commit, time: snapshot.time },
      before: { id, commit, time },
      files: [],
      createDirs: [],
      removeDirs: [],
      keepDirs: [],
      hadDirs: [],
      databases: [],
      databasesBefore: {},
      index: [],
      refs: { moves, stash },
    };
    beginOperation(repository, operation);
    crashPoint('journal-written');
    try {
      await driveRefs(context, operation, 'after');
    } catch (error) {
      await driveRefs(context, operation, 'before');
      forgetOperation(repository);
      throw error;
    }
    crashPoint('refs-restored');
    finishOperation(repository);
    return { safety };
  } finally {
    lock.release();
  }
}

/**
 * Brings the refs of an operation to one of its ends, from whatever a killed one has left.
 * Error: `refused` for a ref that is at neither end, unless `force`.
 */
export async function driveRefs(
  context: Context,
  { refs, target, kind }: Operation,
  end: 'before' | 'after',
  options: { force: boolean } = { force: false },
): Promise<void> {
  if (refs === undefined) return;
  const { repository } = context;
  const message = `pitr: ${kind} ${end === 'after' ? 'to' : 'taken back from'} snapshot ${target.id}`;
  const now = await presentRefs(repository);
  for (const move of refs.moves) {
    const is = now.refs.get(move.ref) ?? '';
    if (is === move[end]) continue;
    const other = move[end === 'after' ? 'before' : 'after'];
    if (is !== other && !options.force) throw movedMeanwhile(move.ref);
    await moveRef(context, { ref: move.ref, before: is, after: move[end] }, message);
    crashPoint('ref-restored');
  }
  const { add, remove } = refs.stash;
  await dropEntries(repository, end === 'after' ? remove : add);
  await addEntries(repository, end === 'after' ? add : remove);
}

function movedMeanwhile(ref: string): PitrError {
  return new PitrError('refused', `${ref} was moved by another program meanwhile; it was left as it is.`, {
    hints: ['Look at it, and run the command again.'],
  });
}

async function moveRef(
  { repository, config }: Context,
  { ref, before, after }: RefMove,
  message: string,
): Promise<void> {
  // The reflog names the person, as if git had been told to do it.
  const [name = '', email = ''] = ['user.name', 'user.email'].map((key) => config.git.get(key) ?? '');
  const env = name !== '' && email !== '' ? { GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email } : {};
  const none = nullOid(repository);
  const change = after === '' ? ['-d', ref, before || none] : [ref, after, before || none];
  try {
    await git(['update-ref', '--no-deref', '-m', message, ...change], { cwd: repository.worktree, env });
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    if (/but expected|reference already exists|unable to resolve/.test(error.stderr))
      throw movedMeanwhile(ref);
    const inTheWay = /'(refs\/[^']*)' exists; cannot create/.exec(error.stderr)?.[1];
    if (inTheWay === undefined) throw error;
    throw new PitrError('refused', `${ref} cannot be there beside ${inTheWay}; nothing was changed.`, {
      hints: [`Rename ${inTheWay} first: git branch -m.`],
      cause: error,
    });
  }
}

async function stashTip({ worktree }: Repository): Promise<string> {
  return gitText(['rev-parse', '-q', '--verify', 'refs/stash'], { cwd: worktree, okCodes: [0, 1] });
}

/** Puts entries on top, as `git stash store` does, with the name, the time and the message that they had. */
async function addEntries(repository: Repository, entries: readonly StashEntry[]): Promise<void> {
  const present = new Set((await presentRefs(repository)).stash.map(({ commit }) => commit));
  for (const { commit, message, name, email, date } of entries.filter(
    (entry) => !present.has(entry.commit),
  )) {
    const known = date === '' || name === '' ? {} : identity(name, email, date);
    const tip = (await stashTip(repository)) || nullOid(repository);
    const text = message === '' ? [] : ['-m', message];
    await git(['update-ref', '--create-reflog', ...text, 'refs/stash', commit, tip], {
      cwd: repository.worktree,
      env: known,
    });
    crashPoint('stash-restored');
  }
}

function identity(name: string, email: string, date: string): Record<string, string> {
  return { GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email, GIT_COMMITTER_DATE: `@${date}` };
}

/** As `git stash drop` does it. */
async function dropEntries(repository: Repository, entries: readonly StashEntry[]): Promise<void> {
  for (const { commit } of entries) {
    const { stash } = await presentRefs(repository);
    const at = stash.toReversed().findIndex((entry) => entry.commit === commit);
    if (at === -1) continue;
    const options = { cwd: repository.worktree };
    if (stash.length === 1) await git(['update-ref', '-d', 'refs/stash', commit], options);
    else await git(['reflog', 'delete', '--updateref', '--rewrite', `refs/stash@{${at}}`], options);
  }
}
