import type { Head } from '../capture/refs.ts';

/** The words of the timeline. What each means is in docs/format.md. */

/** In the order of how long retention keeps them by default, shortest first. */
export const snapshotTypes = ['incremental', 'safety', 'snapshot', 'archive', 'migration'] as const;

export type SnapshotType = (typeof snapshotTypes)[number];

export function isSnapshotType(text: string): text is SnapshotType {
  return (snapshotTypes as readonly string[]).includes(text);
}

/** A type that retention keeps longer has a higher rank. */
export function typeRank(type: SnapshotType): number {
  return Math.min(snapshotTypes.indexOf(type), snapshotTypes.indexOf('archive'));
}

/** What caused a snapshot: `manual`, `hook:<name>`, `watch`, `schedule:<name>`, `guard`, `restore`, `agent`. */
export const triggerPattern = /^(manual|watch|guard|restore|agent|(hook|schedule):[A-Za-z0-9._-]{1,64})$/;

export interface SnapshotDatabase {
  name: string;
  engine: string;
  bytes: number;
  /** Hash of the content: of the image for a database in a file. */
  sha256: string;
  /** Version of the engine that made the copy. */
  version?: string;
  /** Rows a table, where the engine counts them. */
  tables?: Record<string, number>;
  /** Instant of the copy, RFC 3339. */
  time?: string;
  /** Its file, from the top of the worktree; absent for one that is elsewhere. */
  path?: string;
}

/** What retention folded into a snapshot: those between it and the one before it that is still there. */
export interface Squashed {
  count: number;
  /** The times of the earliest and the latest of them, RFC 3339. */
  from: string;
  to: string;
  /** How many of each type. */
  types: Record<string, number>;
}

/** One recorded state, as `--json` shows it. */
export interface Snapshot {
  id: string;
  /** RFC 3339, UTC, milliseconds. */
  time: string;
  type: SnapshotType;
  trigger: string;
  message: string;
  pinned: boolean;
  commit: string;
  head: Head;
  /** The commit that keeps what the refs pointed to; absent when there were none. */
  anchor?: string;
  /** The merge, rebase, cherry-pick, revert, am or bisect that was under way. */
  operation?: string;
  /** Against the snapshot before. */
  changes: { added: number; modified: number; deleted: number };
  files: number;
  bytes: number;
  databases: SnapshotDatabase[];
  skipped: { path: string; reason: string }[];
  /** Databases that could not be recorded; everything else was. */
  failedDatabases: { name: string; reason: string }[];
  /** The snapshots that retention folded into this one. */
  squashed?: Squashed;
  /** What `verify` found the last time. */
  verified?: { time: string; ok: boolean; deep: boolean };
  /** True when the note was lost or unreadable, and this is what the trailers alone say. */
  fromTrailers?: boolean;
  /** True for a commit of the branch's history that stands for a snapshot (`--source history`). */
  history?: boolean;
}
