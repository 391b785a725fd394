import type { Capture } from '../capture/capture.ts';
import type { Config } from '../config/config.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import type { BytePath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import type { Instant } from '../timeline/instant.ts';
import type { DatabasePlan, DatabaseScope } from './databases.ts';
import type { IndexChange } from './indexPlan.ts';
import type { FilePlan } from './plan.ts';
import type { RecordedState } from './target.ts';

/** What a person asks a restore for. */
export interface RestoreRequest {
  /** The snapshot to go to, or the instant. */
  target: { snapshot: Snapshot } | { instant: Instant; source: 'snapshots' | 'history' };
  files: boolean;
  pathspecs: readonly string[];
  /** The folder that pathspecs are relative to. */
  cwd: string;
  databases: DatabaseScope;
  staged: boolean;
  keepChanges: boolean;
  keepNew: boolean;
  /** Take back only what changed between the target and a base: `base`, or the snapshot after the target. */
  merge?: { base?: Snapshot } | undefined;
  /** The timeline, newest first, where it has been read already. */
  timeline?: readonly Snapshot[] | undefined;
}

/** A restore worked out and not yet done. It is what is shown, and what is then done. */
export interface PreparedRestore {
  kind: 'restore' | 'undo';
  instant?: Instant;
  /** The snapshot it goes to; for `--source history` a stand-in that names the commit. */
  snapshot: Snapshot;
  target: RecordedState;
  /** For `--merge`: the state right after what is taken back. */
  base?: Snapshot;
  plan: FilePlan;
  /** What was there when the plan was made. */
  capture: Capture;
  databases: DatabasePlan[];
  /** Databases in scope that are left alone, and why; `asked`: because the person asked for that. */
  databasesLeft: { name: string; reason: string; asked?: boolean }[];
  /** What it does to the index; nothing without `--staged`. */
  index: IndexChange[];
  /** Planned paths with uncommitted changes (for `undo`: those changed since the restore). */
  uncommitted: Set<BytePath>;
  /** For `undo`: databases that were written to since the restore. */
  changedDatabases: string[];
  /** Paths recorded on their own because the plan overwrites them. */
  also: BytePath[];
  /** Works the plan out again from what is there now; equal plans mean that nothing moved. */
  replan: (capture: Capture, databases: readonly CapturedDatabase[]) => Promise<Replanned>;
}

export type Replanned = Pick<PreparedRestore, 'plan' | 'index'>;

export interface Context {
  repository: Repository;
  config: Config;
}
