/** The library: what the command line, the terminal UI and the MCP server call. It returns values and throws `PitrError`. */
export { type Config, type DatabaseConfig, readConfig } from './config/config.ts';
export { type ErrorKind, ExitCode, PitrError } from './errors.ts';
export { findRepository, type Repository } from './git/repository.ts';
export { displayPath } from './git/paths.ts';
export { accept as acceptProposals, propose, type Proposal } from './init/propose.ts';
export { executeRestore, type ExecuteOptions, type RestoreOutcome } from './restore/execute.ts';
export { type Materialized, restoreIntoFolder } from './restore/into.ts';
export { prepareRestore } from './restore/prepare.ts';
export type { Context, PreparedRestore, RestoreRequest } from './restore/request.ts';
export { prepareUndo, resumeRestore } from './restore/undo.ts';
export { type Catalog, readCatalog, readSnapshot } from './timeline/catalog.ts';
export { type Comparison, compareDatabases, compareFiles } from './timeline/compare.ts';
export { filterSnapshots, type SnapshotFilter } from './timeline/filter.ts';
export { selectSnapshot, snapshotAt } from './timeline/select.ts';
export type { Snapshot, SnapshotDatabase, SnapshotType } from './timeline/snapshot.ts';
export { takeSnapshot, type Taken, type TakeOptions } from './timeline/take.ts';
export { formatInstant, type Instant } from './timeline/instant.ts';
export { parseWhen } from './timeline/when.ts';
