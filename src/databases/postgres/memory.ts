import path from 'node:path';
import { ensurePrivateDir, readFileIfThere, writeCache } from '../../system/files.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';

/**
 * What is worth knowing from one command to the next. It is a cache: without it everything is read again.
 */
interface Memory {
  /** The database was provably in this state when `tree` was recorded. */
  tree: string;
  sha256: string;
  signature: string;
  aliases: Alias[];
}

/**
 * Two ways of writing the same down. Once it has been restored, PostgreSQL may put a definition in other words
 * (`CHECK (state IN ('a', 'b'))` on a varchar gains casts), and rows without a key in another order (what does not fit
 * into one page may go into an earlier one). A database that was just restored would look changed; but after a restore
 * both texts are known to be of one content.
 */
export interface Alias {
  /** Hash of the schema as pg_dump writes it after the restore. */
  schema: string;
  /** The copy of the database after the restore. */
  restored: string;
  /** The copy that was restored, in whose words it is to be recorded. */
  recorded: { tree: string; bytes: number; sha256: string };
}

const maxAliases = 16;

/** True when the database is provably still what `previous` is a copy of. */
export function isUnchanged(context: EngineContext, previous: CapturedDatabase, signature: string): boolean {
  const memory = read(context);
  return memory.tree === previous.tree && memory.sha256 === previous.sha256 && memory.signature === signature;
}

/** Remembers that the state of this signature is recorded as `captured`. */
export function rememberState(context: EngineContext, captured: CapturedDatabase, signature: string): void {
  write(context, { ...read(context), tree: captured.tree, sha256: captured.sha256, signature });
}

export function aliasesOf(context: EngineContext): readonly Alias[] {
  return read(context).aliases;
}

export function rememberAlias(context: EngineContext, alias: Alias): void {
  const memory = read(context);
  const others = memory.aliases.filter(
    ({ schema, restored }) => schema !== alias.schema || restored !== alias.restored,
  );
  write(context, { ...memory, aliases: [alias, ...others].slice(0, maxAliases) });
}

function file({ repository, database }: EngineContext): string {
  return path.join(repository.lineDir, `postgres-${database.name}.json`);
}

function read(context: EngineContext): Memory {
  const nothing: Memory = { tree: '', sha256: '', signature: '', aliases: [] };
  try {
    return { ...nothing, ...(JSON.parse(readFileIfThere(file(context)) ?? '{}') as Partial<Memory>) };
  } catch {
    return nothing;
  }
}

function write(context: EngineContext, memory: Memory): void {
  ensurePrivateDir(context.repository.lineDir);
  writeCache(file(context), `${JSON.stringify(memory)}\n`);
}
