import { statSync } from 'node:fs';
import path from 'node:path';
import { readFileIfThere, writeCache } from '../system/files.ts';
import { type ShadowPlace, shadowIndex } from './context.ts';
import type { Staged } from './staged.ts';
import { noKeys, type UserIndexKeys } from './userIndex.ts';

/**
 * What a capture remembers for the next one, beside the shadow index. Only a cache: when it is lost or does not fit,
 * everything is worked out anew.
 */
export interface CaptureState {
  version: 2;
  /** The patterns of the last scan. */
  patterns?: string[];
  /** What the user's index said when it was last looked at. */
  userIndex: UserIndexKeys;
  /** What decides which files are covered: the user's index, ignore files, patterns. */
  coverage: string;
  /** Paths in the shadow index that need not be covered, as a hash; '' for none. */
  also: string;
  /** The tree of the shadow index, once written. */
  tree: string;
  /** The shadow index that all this goes with: see `stampOf`. */
  index: string;
  /** The tree with nested repositories put in, and what it was made of. */
  composed: { key: string; tree: string };
  /** The user's index and HEAD that `staged` was worked out from. */
  stagedKey: string;
  staged: Staged;
  /** Files that changed in the very second in which they were recorded: byte path -> permissions. */
  fresh: Record<string, number>;
  /** Permissions other than git's two: byte path -> octal. */
  permissions: Record<string, string>;
  /** Tracked and ignored paths, and those of them that were not on disk: a scan does not see them come back. */
  hidden: string[];
  absent: string[];
  /** Tracked paths that were left out (too large, unreadable): looked at again each time. */
  left: string[];
  emptyDirs: string[];
  /** Sockets, pipes and devices that were seen. */
  specials: string[];
  /** Submodules in ignored folders, where a scan does not look. */
  nested: string[];
}

const empty: CaptureState = {
  version: 2,
  userIndex: noKeys,
  coverage: '',
  also: '',
  tree: '',
  index: '',
  composed: { key: '', tree: '' },
  stagedKey: '',
  staged: { tree: '', conflicts: '', conflictTree: '', flags: '' },
  fresh: {},
  permissions: {},
  hidden: [],
  absent: [],
  left: [],
  emptyDirs: [],
  specials: [],
  nested: [],
};

export function stateFile(context: Pick<ShadowPlace, 'shadowDir'>): string {
  return path.join(context.shadowDir, 'capture.json');
}

/**
 * What tells one shadow index from the next. A run that was killed after it had changed the index has not written its
 * state: what the state says is then of another index, and a tree from it would hide what changed.
 */
export function stampOf(context: Pick<ShadowPlace, 'shadowDir'>): string {
  const stat = statSync(shadowIndex(context), { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
}

export function readState(context: Pick<ShadowPlace, 'shadowDir'>): CaptureState {
  const text = readFileIfThere(stateFile(context));
  if (text === undefined) return structuredClone(empty);
  try {
    const state = JSON.parse(text) as CaptureState;
    return state.version === 2 ? { ...structuredClone(empty), ...state } : structuredClone(empty);
  } catch {
    return structuredClone(empty); // only a cache
  }
}

export function writeState(
  context: Pick<ShadowPlace, 'shadowDir'>,
  before: string,
  state: CaptureState,
): void {
  const text = JSON.stringify(state);
  if (text !== before) writeCache(stateFile(context), text);
}
