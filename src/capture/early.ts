import { statSync } from 'node:fs';
import path from 'node:path';
import { readFileIfThere } from '../system/files.ts';
import { type ShadowPlace, shadowIndex } from './context.ts';
import { type Scan, scan } from './scan.ts';
import { readState } from './state.ts';

/**
 * A look at the working tree that begins before the configuration is known, with what decided coverage last time: it
 * takes as long as reading the configuration, and both run side by side. Used only when all of it still holds.
 */
export interface EarlyScan {
  key: string;
  scan: Promise<Scan>;
}

/** All that a scan's answer depends on beside the working tree itself. */
export function scanKey(place: ShadowPlace, patterns: readonly string[]): string {
  const index = statSync(shadowIndex(place), { bigint: true, throwIfNoEntry: false });
  const settings = ['HEAD', 'config', 'info/attributes', 'info/exclude'].map((name) =>
    readFileIfThere(path.join(place.shadowDir, name)),
  );
  return JSON.stringify([
    place.worktree,
    patterns,
    settings,
    `${index?.ino} ${index?.mtimeNs} ${index?.size}`,
  ]);
}

/** The caller holds the line's lock. Undefined when there is nothing to start from. */
export function startScan(place: ShadowPlace): EarlyScan | undefined {
  const state = readState(place);
  if (state.patterns === undefined || statSync(shadowIndex(place), { throwIfNoEntry: false }) === undefined)
    return undefined;
  const looking = scan(place, state.patterns);
  looking.catch(() => {}); // awaited only when it is used
  return { key: scanKey(place, state.patterns), scan: looking };
}
