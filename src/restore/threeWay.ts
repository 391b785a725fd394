import type { TreeEntry } from '../git/trees.ts';

/**
 * What a three-way merge makes of one path, by the rules that need no content: `base` is how it was right after the
 * change that is to be taken back, `now` how it is, `then` how it is to be. Renames are not looked for.
 */
export type Decision =
  /** It stays as it is: the change did not touch it, or both sides agree. */
  | { kind: 'now' }
  /** It was not touched since: as it was then. */
  | { kind: 'then' }
  /** The mode changed on one side and the content on the other. */
  | { kind: 'both'; entry: TreeEntry }
  /** The content changed on both sides: line by line; without `base` both sides added it. */
  | { kind: 'lines'; mode: string; base?: string; now: string; then: string }
  /** It stays as it is, and the person must look. */
  | { kind: 'conflict'; reason: string };

type Side = TreeEntry | undefined;

export function decide(base: Side, now: Side, then: Side): Decision {
  if (same(now, then) || same(base, then)) return { kind: 'now' };
  if (same(base, now)) return { kind: 'then' };
  if (now === undefined) return conflict('it was deleted since, and the snapshot has another version of it');
  if (then === undefined) return conflict('it was changed since, and the snapshot does not have it');
  if (!isFile(now) || !isFile(then)) return conflict('it changed on both sides, and is not a file on both');
  return decideFile(base !== undefined && isFile(base) ? base : undefined, now, then);
}

function decideFile(base: Side, now: TreeEntry, then: TreeEntry): Decision {
  const mode = pick(base?.mode, now.mode, then.mode);
  const oid = pick(base?.oid, now.oid, then.oid);
  if (oid === undefined) {
    const oids = { now: now.oid, then: then.oid, ...(base === undefined ? {} : { base: base.oid }) };
    return { kind: 'lines', mode: mode ?? now.mode, ...oids };
  }
  if (mode === undefined) return conflict('both sides added it, as a program and as a plain file');
  const entry = { mode, oid };
  return same(entry, now) ? { kind: 'now' } : { kind: 'both', entry };
}

/** The one of two values that changed; undefined when both did, to something else. */
export function pick<Value>(base: Value | undefined, now: Value, then: Value): Value | undefined {
  if (now === then || base === then) return now;
  return base === now ? then : undefined;
}

function conflict(reason: string): Decision {
  return { kind: 'conflict', reason: `${reason}; left as it is now` };
}

function same(a: Side, b: Side): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}

function isFile(entry: TreeEntry): boolean {
  return entry.mode.startsWith('100');
}
