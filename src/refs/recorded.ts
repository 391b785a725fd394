import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { readRefs } from '../capture/refs.ts';
import type { Snapshot } from '../timeline/snapshot.ts';

/** One entry of the stash, the oldest first in every list; the newest is `stash@{0}`. */
export interface StashEntry {
  commit: string;
  message: string;
  /** Who stashed it: name, and mail address without the angle brackets. */
  name: string;
  email: string;
  /** As git writes it: seconds since 1970 and the zone. */
  date: string;
}

/** HEAD, branches, tags and the stash at one time. */
export interface Refs {
  /** The branch's full name, or null when HEAD is detached. */
  branch: string | null;
  /** null before the first commit. */
  head: string | null;
  /** Branches and tags: full name -> oid. */
  refs: Map<string, string>;
  stash: StashEntry[];
}

const oid = '[0-9a-f]{40}|[0-9a-f]{64}';

/**
 * What a snapshot recorded of the refs. It may come from elsewhere: what is not of the format is passed over.
 * Error: `integrity` when it cannot be read.
 */
export async function recordedRefs(repository: Repository, { id, commit }: Snapshot): Promise<Refs> {
  const names = ['refs', 'stash'].map((name) => `${commit}:state/${name}`);
  const [text, stash] = await objectReader(repository).read(names);
  if (text === undefined) {
    throw new PitrError(
      'integrity',
      `What snapshot ${id} recorded of the refs cannot be read; nothing was changed.`,
      {
        hints: ['git fsck --full tells what is missing or damaged.', 'git pitr list shows other snapshots.'],
      },
    );
  }
  return parseRefs(text.toString('utf8'), stash?.toString('utf8') ?? '');
}

export async function presentRefs(repository: Repository): Promise<Refs> {
  const { text, stash } = await readRefs(repository);
  return parseRefs(text, Buffer.from(stash, 'latin1').toString('utf8'));
}

function parseRefs(text: string, stashText: string): Refs {
  const [, branch = null] = /^ref: (refs\/\S+)\tHEAD$/m.exec(text) ?? [];
  const refs = new Map<string, string>();
  let stashTip = '';
  for (const line of text.split('\n')) {
    const [, value = '', name = ''] = new RegExp(`^(${oid})\\t(refs/\\S+)$`).exec(line) ?? [];
    if (name === 'refs/stash') stashTip = value;
    else if (/^refs\/(heads|tags)\//.test(name)) refs.set(name, value);
  }
  const detached = new RegExp(`^(${oid})\\tHEAD$`, 'm').exec(text)?.[1];
  return {
    branch,
    head: branch === null ? (detached ?? null) : (refs.get(branch) ?? null),
    refs,
    stash: stashText === '' && stashTip !== '' ? [bareEntry(stashTip)] : parseStash(stashText),
  };
}

const stashLine = new RegExp(`^(?:${oid}) (${oid}) (.*) <(.*)> (\\d+ [+-]\\d{4})(?:\\t(.*))?$`);

function parseStash(text: string): StashEntry[] {
  return text.split('\n').flatMap((line) => {
    const [, commit, name = '', email = '', date = '', message = ''] = stashLine.exec(line) ?? [];
    return commit === undefined ? [] : [{ commit, name, email, date, message }];
  });
}

/** Of a snapshot from before all entries were recorded. */
function bareEntry(commit: string): StashEntry {
  return { commit, message: '', name: '', email: '', date: '' };
}
