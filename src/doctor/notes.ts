import { objectReader } from '../git/objectReader.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { gitText } from '../git/run.ts';
import { diffTrees, resolveTree, totalOf } from '../git/trees.ts';
import { copiesWithoutNote } from '../databases/unnoted.ts';
import { updateRefs } from '../git/refs.ts';
import { recordedRefs } from '../refs/recorded.ts';
import { amendNotes } from '../timeline/amendNotes.ts';
import { type Catalog, readCatalog } from '../timeline/catalog.ts';
import { inspectNotes } from '../timeline/notes.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Mendable } from './finding.ts';
import { tipOf, unreachableCommits } from './timeline.ts';

/** Notes that are lost or damaged: from an older state of the notes if there is one, else from the snapshot itself. */
export async function checkNotes(repository: Repository, catalog: Catalog): Promise<Mendable[]> {
  const tip = await tipOf(repository, notesRef);
  const problems = new Map(catalog.problems.map(({ commit, problem }) => [commit, problem]));
  const hurt = catalog.snapshots.filter(({ fromTrailers }) => fromTrailers === true);
  if (hurt.length === 0) return [];
  const unreadable = tip !== '' && (await inspectNotes(repository)).kind === 'broken';
  const found: Mendable[] = [];
  if (tip === '' || unreadable) {
    const former = await formerNotes(repository, hurt);
    found.push({
      finding: {
        kind: 'notes',
        severity: 'damage',
        what: tip === '' ? `${notesRef} is gone` : `${notesRef} cannot be read`,
        reason: `The messages, pins, counts and hashes of ${hurt.length} snapshots were in it. Files and databases can be restored without.`,
        remedy:
          former === undefined
            ? 'git pitr doctor --repair makes notes anew from the commits: messages of more than a line, pins and what was left out are lost.'
            : `git update-ref ${notesRef} ${former}   # the notes as they were`,
      },
      mend: async () => {
        if (
          former !== undefined &&
          (await updateRefs(repository, [{ ref: notesRef, to: former, from: tip }]))
        )
          return 'the notes are back as they were';
        const count = await rebuild(repository, hurt, unreadable);
        return `${count} notes were made anew from the commits`;
      },
    });
    return found;
  }
  for (const snapshot of hurt)
    found.push({
      finding: {
        kind: 'notes',
        severity: 'damage',
        what: `snapshot ${snapshot.id}: ${problems.get(snapshot.commit) ?? 'its note cannot be read'}`,
        reason:
          'Its message, pin, counts and hashes were in it. Its files and databases can be restored without.',
        remedy:
          'git pitr doctor --repair takes an older state of the note, or makes it anew from the commit.',
      },
      mend: async () => {
        const older = await olderNote(repository, snapshot);
        if (older === undefined) {
          await rebuild(repository, [snapshot], false);
          return 'its note was made anew from the commit';
        }
        await amendNotes(
          repository,
          [snapshot.commit],
          () => older,
          `Note of snapshot ${snapshot.id} mended`,
        );
        return 'its note is back as it was';
      },
    });
  return found;
}

function notePaths(commit: string): string[] {
  return [
    commit,
    `${commit.slice(0, 2)}/${commit.slice(2)}`,
    `${commit.slice(0, 2)}/${commit.slice(2, 4)}/${commit.slice(4)}`,
  ];
}

type ParseNote = typeof import('../timeline/schema.ts').parseNote;

function isNoteOf(parseNote: ParseNote, text: string | undefined, { id }: Snapshot): boolean {
  const note = parseNote(text ?? '');
  return !('problem' in note) && note.id === id;
}

/** How far back in the history of the notes is looked. */
const maxHistory = 1000;

async function olderNote(repository: Repository, snapshot: Snapshot): Promise<string | undefined> {
  const { parseNote } = await import('../timeline/schema.ts');
  const history = await gitText(['rev-list', `--max-count=${maxHistory}`, notesRef, '--'], {
    cwd: repository.worktree,
    okCodes: [0, 128],
  });
  for (const state of history.split('\n').filter(Boolean)) {
    const names = notePaths(snapshot.commit).map((name) => `${state}:${name}`);
    for (const content of await objectReader(repository).read(names)) {
      const text = content?.toString('utf8');
      if (isNoteOf(parseNote, text, snapshot)) return text;
    }
  }
  return undefined;
}

/** A commit of notes that no ref leads to and that has the newest of these notes. */
async function formerNotes(
  repository: Repository,
  snapshots: readonly Snapshot[],
): Promise<string | undefined> {
  let best: { oid: string; score: number } | undefined;
  for (const oid of await unreachableCommits(repository)) {
    const names = snapshots.flatMap(({ commit }) => notePaths(commit).map((name) => `${oid}:${name}`));
    const contents = await objectReader(repository).info(names);
    const score = contents.filter((content) => content !== undefined).length;
    if (score > 0 && score > (best?.score ?? 0)) best = { oid, score };
    else if (best !== undefined && score === best.score && (await isAncestor(repository, best.oid, oid)))
      best = { oid, score };
  }
  return best?.oid;
}

async function isAncestor({ worktree }: Repository, older: string, newer: string): Promise<boolean> {
  const base = await gitText(['merge-base', older, newer], { cwd: worktree, okCodes: [0, 1, 128] });
  return base === older;
}

async function rebuild(
  repository: Repository,
  snapshots: readonly Snapshot[],
  anew: boolean,
): Promise<number> {
  const texts = new Map<string, string>();
  for (const snapshot of snapshots) {
    const note = await noteFrom(repository, snapshot);
    texts.set(snapshot.commit, `${JSON.stringify(note, null, 1)}\n`);
  }
  const all = anew
    ? (await readCatalog(repository)).snapshots.map(({ commit }) => commit)
    : [...texts.keys()];
  return amendNotes(
    repository,
    all,
    (_, commit) => texts.get(commit),
    'Notes made anew from the commits',
    anew,
  );
}

/** All of a note that the commit itself tells. */
async function noteFrom(repository: Repository, snapshot: Snapshot): Promise<Record<string, unknown>> {
  const { id, commit, message } = snapshot;
  const files = await resolveTree(repository, `${commit}:files`);
  const before = await resolveTree(repository, `${commit}^:files`);
  const total = files === '' ? { files: 0, bytes: 0 } : await totalOf(repository, files);
  const changes = { added: 0, modified: 0, deleted: 0 };
  try {
    for await (const change of diffTrees(repository, before, files)) {
      if (change.before === undefined) changes.added++;
      else if (change.after === undefined) changes.deleted++;
      else changes.modified++;
    }
  } catch {
    // one of the two is damaged: nobody can count
  }
  const refs = await recordedRefs(repository, snapshot).catch(() => undefined);
  const copies = await copiesWithoutNote(repository, commit).catch(() => []);
  return {
    schema: 1,
    id,
    message: /^\d+ added, \d+ modified, \d+ deleted$/.test(message) ? '' : message,
    pinned: false,
    head: {
      branch: refs?.branch?.replace(/^refs\/heads\//, '') ?? null,
      commit: refs?.head ?? null,
    },
    changes,
    files: total?.files ?? 0,
    bytes: total?.bytes ?? 0,
    databases: copies.map(({ name, engine, bytes, sha256 }) => ({ name, engine, bytes, sha256 })),
    skipped: [],
    failedDatabases: [],
    rebuilt: true,
  };
}
