import type { Config } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { ImportStream } from '../git/fastImport.ts';
import { gcStamp } from '../git/gc.ts';
import { objectReader } from '../git/objectReader.ts';
import { updateRefs } from '../git/refs.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { currentTime } from '../system/clock.ts';
import { crashPoint } from '../system/crashPoint.ts';
import { randomId } from '../system/files.ts';
import { findSnapshot } from './catalog.ts';
import { dropHolds, keepAfter, keepBefore, type NewObjects } from './keep.ts';
import { maxMessage } from './limits.ts';
import { listNotes } from './notes.ts';
import { readLineRefs } from './rewrite.ts';
import type { Snapshot } from './snapshot.ts';
import { lockLine } from './take.ts';

/** What a person may change of a snapshot afterwards. The commit stays as it is: both are in the note. */
export interface Annotation {
  pinned?: boolean;
  message?: string;
}

const races = 20;

/**
 * Pins, unpins or names a snapshot. Errors: `usage` for a message that is too long; `integrity` when its note is lost, for
 * a new one would say that it holds nothing; `busy`.
 */
export async function annotate(
  repository: Repository,
  config: Config,
  snapshot: Snapshot,
  annotation: Annotation,
): Promise<{ snapshot: Snapshot; changed: boolean }> {
  refuseLong(annotation.message ?? '');
  const lock = await lockLine(repository, config, 'annotate');
  try {
    // A prune that was at work meanwhile has given it another commit.
    const current = await findSnapshot(repository, snapshot);
    if (current === undefined || current.fromTrailers === true) throw noNote(snapshot);
    const { pinned, message } = { ...current, ...annotation };
    const changed = pinned !== current.pinned || message !== current.message;
    if (changed) await writeNote(repository, current, { pinned, message });
    return { snapshot: { ...current, pinned, message }, changed };
  } finally {
    lock.release();
  }
}

async function writeNote(repository: Repository, snapshot: Snapshot, annotation: Annotation): Promise<void> {
  for (let race = 0; race < races; race++) {
    const stamp = gcStamp(repository);
    const { notes: tip } = await readLineRefs(repository);
    const entry = (await listNotes(repository, tip)).find(({ commit }) => commit === snapshot.commit);
    const [text] = entry === undefined ? [] : await objectReader(repository).read([entry.oid]);
    if (text === undefined) throw noNote(snapshot);
    const note = { ...(JSON.parse(text.toString('utf8')) as Record<string, unknown>), ...annotation };
    const stream = new ImportStream();
    const mark = stream.commit({
      branch: `refs/pitr/incoming/${randomId()}`,
      epochMs: currentTime(),
      message: `Note of snapshot ${snapshot.id}\n`,
      from: tip,
    });
    stream.note(snapshot.commit, `${JSON.stringify(note, null, 1)}\n`);
    stream.text(`get-mark ${mark}`);
    const [fresh = ''] = await stream.run(repository);
    const objects: NewObjects = { tips: [fresh, fresh], before: [tip] };
    const held = await keepBefore(repository, objects, stamp);
    const moved = await updateRefs(repository, [{ ref: notesRef, to: fresh, from: tip }]);
    if (moved) crashPoint('annotated');
    if (held) await dropHolds(repository);
    else if (moved) await keepAfter(repository, objects);
    if (moved) return;
  }
  throw new PitrError('busy', 'Other programs keep recording in this repository; nothing was changed.', {
    hints: ['Run the command again.'],
  });
}

function refuseLong(message: string): void {
  if (message.length <= maxMessage) return;
  throw new PitrError(
    'usage',
    `The message has ${message.length} characters; ${maxMessage} are the most. Nothing was changed.`,
  );
}

function noNote({ id }: Snapshot): PitrError {
  return new PitrError('integrity', `The note of snapshot ${id} is lost; nothing was changed.`, {
    hints: [
      'Its files and databases can be restored all the same, and no prune drops it.',
      'Take a new snapshot of that state: git pitr restore, then git pitr snapshot --pin.',
    ],
  });
}
