import { PitrError } from '../errors.ts';
import { ImportStream } from '../git/fastImport.ts';
import { gcStamp } from '../git/gc.ts';
import { objectReader } from '../git/objectReader.ts';
import { updateRefs } from '../git/refs.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { git, gitText, splitNul } from '../git/run.ts';
import { currentTime } from '../system/clock.ts';
import { randomId } from '../system/files.ts';
import { dropHolds, keepAfter, keepBefore, type NewObjects } from './keep.ts';

const races = 20;

/**
 * Writes notes, all in one commit, by compare-and-swap; when somebody else wrote one meanwhile, with theirs. The caller
 * holds the line's lock.
 * @param amend the text of a note now ('' when there is none) -> the text it is to have; undefined leaves it as it is
 * @param anew forget what the notes ref leads to: it cannot be read
 * @returns how many were written
 * Error: `busy`.
 */
export async function amendNotes(
  repository: Repository,
  commits: readonly string[],
  amend: (text: string, commit: string) => string | undefined,
  message: string,
  anew = false,
): Promise<number> {
  for (let race = 0; race < races; race++) {
    const stamp = gcStamp(repository);
    const tip = await gitText(['rev-parse', '-q', '--verify', notesRef], {
      cwd: repository.worktree,
      okCodes: [0, 1],
    });
    const base = anew ? '' : tip;
    const blobs = base === '' ? new Map<string, string>() : await notesIn(repository, base);
    const texts = await objectReader(repository).read(commits.map((commit) => blobs.get(commit) ?? 'none'));
    const changed = commits.flatMap((commit, at) => {
      const text = amend(texts[at]?.toString('utf8') ?? '', commit);
      return text === undefined ? [] : [{ commit, text }];
    });
    if (changed.length === 0) return 0;
    const stream = new ImportStream();
    const mark = stream.commit({
      branch: `refs/pitr/incoming/${randomId()}`,
      epochMs: currentTime(),
      message: `${message}\n`,
      from: base || undefined,
    });
    for (const { commit, text } of changed) stream.note(commit, text);
    stream.text(`get-mark ${mark}`);
    const [fresh = ''] = await stream.run(repository);
    const objects: NewObjects = { tips: [fresh, fresh], before: [base] };
    const held = await keepBefore(repository, objects, stamp);
    const moved = await updateRefs(repository, [{ ref: notesRef, to: fresh, from: tip }]);
    if (held) await dropHolds(repository);
    else if (moved) await keepAfter(repository, objects);
    if (moved) return changed.length;
  }
  throw new PitrError('busy', `Other programs keep moving ${notesRef}; no note was changed.`, {
    hints: ['Run the command again.'],
  });
}

/** A note's path is the commit's id, with slashes in it once there are many (git-notes(1)). */
async function notesIn(repository: Repository, tip: string): Promise<Map<string, string>> {
  const { stdout } = await git(['ls-tree', '-rz', '--full-tree', '--end-of-options', tip], {
    cwd: repository.worktree,
  });
  return new Map(
    splitNul(stdout).map((record) => {
      const [, , oid = '', name = ''] = record.split(/[ \t]/);
      return [name.replaceAll('/', ''), oid];
    }),
  );
}
