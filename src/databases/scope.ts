import type { Config, DatabaseConfig } from '../config/config.ts';
import { requireDatabase } from './registry.ts';

/** A database, or one table of it: `NAME` or `NAME.TABLE`. */
export interface NamedPart {
  database: DatabaseConfig;
  table?: string;
}

/** What `--db` names. Names may have dots themselves: the longest that is registered counts. Error: `noMatch`. */
export function namedPart(config: Config, text: string): NamedPart {
  const registered = config.databases.filter(({ name }) => text === name || text.startsWith(`${name}.`));
  const [database] = registered.toSorted((a, b) => b.name.length - a.name.length);
  if (database === undefined) return { database: requireDatabase(config, text.split('.')[0] ?? text) };
  const table = text.slice(database.name.length + 1);
  return table === '' ? { database } : { database, table };
}

/** Databases with the tables named of each; no tables where the whole database is. */
export function namedParts(
  config: Config,
  texts: readonly string[],
): Map<string, readonly string[] | undefined> {
  const parts = new Map<string, readonly string[] | undefined>();
  for (const text of texts) {
    const { database, table } = namedPart(config, text);
    const known = parts.get(database.name);
    const isWhole = table === undefined || (parts.has(database.name) && known === undefined);
    parts.set(database.name, isWhole ? undefined : [...new Set([...(known ?? []), table])]);
  }
  return parts;
}
