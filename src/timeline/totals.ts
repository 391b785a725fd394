import path from 'node:path';
import type { Repository } from '../git/repository.ts';
import { readFileIfThere, writeCache } from '../system/files.ts';
import type { Trailers } from './message.ts';

/** What is known of the newest snapshot, so that the next one need not ask or count. Only a cache. */
export interface Totals {
  /** The snapshot commit; '' while it is being written. */
  commit: string;
  trailers?: Trailers | undefined;
  /** What it holds, as `contentsKey` says it. */
  contents?: string | undefined;
  /** `tipsKey` of what its anchor keeps. */
  tips?: string | undefined;
  /** The commit's tree. */
  root: string;
  /** Its tree of files; '' when it holds none. */
  tree: string;
  files: number;
  bytes: number;
}

export function readTotals(repository: Repository): Totals | undefined {
  try {
    const totals = JSON.parse(readFileIfThere(totalsFile(repository)) ?? '{}') as Partial<Totals>;
    const texts = [totals.commit, totals.root, totals.tree].every((text) => typeof text === 'string');
    const numbers = [totals.files, totals.bytes].every((number) => typeof number === 'number');
    return texts && numbers ? (totals as Totals) : undefined;
  } catch {
    return undefined; // only a cache
  }
}

export function writeTotals(repository: Repository, totals: Totals): void {
  writeCache(totalsFile(repository), JSON.stringify(totals));
}

function totalsFile(repository: Repository): string {
  return path.join(repository.lineDir, 'totals.json');
}
