import type { TreeEntry } from '../git/trees.ts';

/**
 * What a three-way merge makes of one path, by the rules that need no content: `base` is how it was right after the
 * change that is to be taken back, `now` how it is, `target` how it is to be. Renames are not looked for.
 */
export type Decision =
  /** It stays as it is: the change did not touch it, or both sides agree. */
  | { kind: 'now' }
  /** It was not touched since: as it was then. */
  | { kind: 'target' }
  /** The mode changed on one side and the content on the other. */
  | { kind: 'both'; entry: TreeEntry }
  /** The content changed on both sides: line by line; without `base` both sides added it. */
  | { kind: 'lines'; mode: string; base?: string; now: string; target: string }
  /** It stays as it is, and the person must look. */
  | { kind: 'conflict'; reason: string };

type Side = TreeEntry | undefined;

export function decide(base: Side, now: Side, target: Side): Decision {
  if (same(now, target) || same(base, target)) return { kind: 'now' };
  if (same(base, now)) return { kind: 'target' };
  if (now === undefined) return conflict('it was deleted since, and the snapshot has another version of it');
  if (target === undefined) return conflict('it was changed since, and the snapshot does not have it');
  if (!isFile(now) || !isFile(target)) return conflict('it changed on both sides, and is not a file on both');
  return decideFile(base !== undefined && isFile(base) ? base : undefined, now, target);
}

function decideFile(base: Side, now: TreeEntry, target: TreeEntry): Decision {
  const mode = pick(base?.mode, now.mode, target.mode);
  const oid = pick(base?.oid, now.oid, target.oid);
  if (oid === undefined) {
    const oids = { now: now.oid, target: target.oid, ...(base === undefined ? {} : { base: base.oid }) };
    return { kind: 'lines', mode: mode ?? now.mode, ...oids };
  }
  if (mode === undefined) return conflict('both sides added it, as a program and as a plain file');
  const entry = { mode, oid };
  return same(entry, now) ? { kind: 'now' } : { kind: 'both', entry };
}

/** The one of two values that changed; undefined when both did, to something else. */
export function pick<Value>(base: Value | undefined, now: Value, target: Value): Value | undefined {
  if (now === target || base === target) return now;
  return base === now ? target : undefined;
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
