import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { anchoredTags } from './objects.ts';
import type { Refs } from './recorded.ts';

/** How refs differ between a snapshot and now. */
export interface RefDifference {
  /** The full name: `refs/heads/main`. */
  name: string;
  /** What it pointed to then; null when it was not there. */
  before: string | null;
  now: string | null;
  status: 'same' | 'moved' | 'deleted' | 'new';
  /** What it pointed to then can be had. */
  available: boolean;
}

export interface StashDifference {
  /** n of `stash@{n}` then. */
  index: number;
  commit: string;
  message: string;
  /** It is still an entry of the stash. */
  present: boolean;
  available: boolean;
}

export interface RefsComparison {
  refs: RefDifference[];
  stash: StashDifference[];
  /** Entries of the stash that were made since. */
  newStash: { commit: string; message: string }[];
}

/** @param anchor of the snapshot; '' for none */
export async function compareRefs(
  repository: Repository,
  anchor: string,
  then: Refs,
  now: Refs,
): Promise<RefsComparison> {
  const names = [...new Set([...then.refs.keys(), ...now.refs.keys()])].toSorted();
  const wanted = [...new Set([...then.refs.values(), ...then.stash.map(({ commit }) => commit)])];
  const found = await objectReader(repository).info(wanted);
  const available = new Set(wanted.filter((_, at) => found[at] !== undefined));
  if (available.size < wanted.length && anchor !== '')
    for (const oid of (await anchoredTags(repository, anchor)).keys()) available.add(oid);
  const present = new Set(now.stash.map(({ commit }) => commit));
  const recorded = new Set(then.stash.map(({ commit }) => commit));
  return {
    refs: names.map((name) => {
      const [before = null, after = null] = [then.refs.get(name), now.refs.get(name)];
      return {
        name,
        before,
        now: after,
        status: statusOf(before, after),
        available: available.has(before ?? ''),
      };
    }),
    stash: then.stash.toReversed().map(({ commit, message }, index) => ({
      index,
      commit,
      message,
      present: present.has(commit),
      available: available.has(commit),
    })),
    newStash: now.stash
      .filter(({ commit }) => !recorded.has(commit))
      .toReversed()
      .map(({ commit, message }) => ({ commit, message })),
  };
}

function statusOf(then: string | null, now: string | null): RefDifference['status'] {
  if (then === null) return 'new';
  if (now === null) return 'deleted';
  return then === now ? 'same' : 'moved';
}
