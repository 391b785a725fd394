import { createHash } from '../system/crypto.ts';

/** What the refs of a state point to, from `state/refs` and `state/stash`. */
export interface Tips {
  /** Commits: of HEAD, the branches and the stash. In order, each once. */
  commits: string[];
  /** What tags point to and no branch does: commits, tag objects, now and then a file or a folder. */
  tagged: string[];
}

const refLine = /^([0-9a-f]{40}|[0-9a-f]{64})\t(.+)$/;
const stashLine = /^[0-9a-f]+ ([0-9a-f]{40}|[0-9a-f]{64}) /;

/** Of one state they are asked several times; of 10,000 tags they take 10 ms. */
const known = new WeakMap<ReadonlyMap<string, string>, Tips>();

/** Lines that are not of the format are passed over. */
export function tipsOf(state: ReadonlyMap<string, string>): Tips {
  const tips = known.get(state) ?? readTips(state);
  known.set(state, tips);
  return tips;
}

function readTips(state: ReadonlyMap<string, string>): Tips {
  const commits = new Set<string>();
  const tagged = new Set<string>();
  for (const line of (state.get('refs') ?? '').split('\n')) {
    const [, oid = '', name = ''] = refLine.exec(line) ?? [];
    if (oid !== '') (name.startsWith('refs/tags/') ? tagged : commits).add(oid);
  }
  for (const line of (state.get('stash') ?? '').split('\n')) {
    const oid = stashLine.exec(line)?.[1];
    if (oid !== undefined) commits.add(oid);
  }
  return {
    commits: [...commits].toSorted(),
    tagged: [...tagged].filter((oid) => !commits.has(oid)).toSorted(),
  };
}

/** Equal keys are equal tips; '' for none. Which branch is checked out, and what refs are called, means nothing here. */
export function tipsKey({ commits, tagged }: Tips): string {
  if (commits.length + tagged.length === 0) return '';
  return createHash('sha256').update(commits.join()).update(';').update(tagged.join()).digest('hex');
}
