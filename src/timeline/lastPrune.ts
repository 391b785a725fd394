import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Repository } from '../git/repository.ts';
import { lastOperation, type Operation } from '../restore/journal.ts';
import { readFileIfThere, writeFileAtomic } from '../system/files.ts';
import type { LineRefs } from './rewrite.ts';

/**
 * What is known of the last prune, beside the refs that lead back before it. It is written before the refs move, and
 * means something only while `refs/pitr/previous/<line>` is where it says: a prune that was killed before is none.
 */
export interface PruneRecord {
  /** An undo of a prune is one too: to undo it is to prune again. */
  kind: 'prune' | 'undo';
  /** RFC 3339. */
  time: string;
  /** It came by itself, after a snapshot. */
  automatic: boolean;
  /** The tip before: what the ref then leads to. */
  former: string;
  /** How many snapshots went, or came back. */
  count: number;
  /** The restore that was the last one at that time: see `operationMark`. */
  after: string;
}

function recordFile(repository: Repository): string {
  return path.join(repository.lineDir, 'last-prune.json');
}

function readRecords(repository: Repository): PruneRecord[] {
  try {
    const records: unknown = JSON.parse(readFileIfThere(recordFile(repository)) ?? '[]');
    return Array.isArray(records) ? (records as PruneRecord[]) : [];
  } catch {
    return []; // only what tells the order of things; the refs are what counts
  }
}

/** False where nothing was ever pruned: then the refs need not be asked. */
export function hasRecord(repository: Repository): boolean {
  return existsSync(recordFile(repository));
}

/** Before the refs move. The record before stays valid until they do. */
export function notePrune(repository: Repository, refs: LineRefs, record: Omit<PruneRecord, 'after'>): void {
  const valid = readRecords(repository).filter(({ former }) => former === refs.previous);
  const all: PruneRecord[] = [...valid, { ...record, after: operationMark(lastOperation(repository)) }];
  writeFileAtomic(recordFile(repository), JSON.stringify(all));
}

/** The last prune of the line that can be taken back. */
export function lastPrune(repository: Repository, refs: LineRefs): PruneRecord | undefined {
  if (refs.previous === '') return undefined;
  return readRecords(repository).findLast(({ former }) => former === refs.previous);
}

/**
 * True when taking back the last thing means the last prune. Not told by clocks: a prune knows which restore came before
 * it. One that came by itself is not what a person means who restored something before.
 */
export function isPruneLast(repository: Repository, record: PruneRecord): boolean {
  const operation = lastOperation(repository);
  if (record.automatic && operation !== undefined) return false;
  return record.after === operationMark(operation);
}

function operationMark(operation: Operation | undefined): string {
  return operation === undefined
    ? ''
    : `${operation.startedAt} ${operation.before.id} ${operation.target.id}`;
}
