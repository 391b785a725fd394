import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { hasPassword } from '../databases/secrets.ts';
import { readFileIfThere } from '../system/files.ts';

/**
 * Databases on servers that `.env` files name. Passwords in them are neither shown nor written anywhere. Files of SQLite
 * are found by what is in them (`../databases/sqlite/detect.ts`).
 */

export interface NamedDatabase {
  /** The variable that names it. */
  variable: string;
  /** The `.env` file, as it is called. */
  file: string;
  engine: 'postgres' | 'mysql' | 'mariadb';
  /** What to call it. */
  name: string;
  /** What to register: the url, or `env:` and the variable where the url holds a password. */
  value: string;
  /** The url holds a password, so it stays where it is. */
  secret: boolean;
}

const maxBytes = 1024 * 1024;

/** The databases in the `.env` files at the top of a worktree, but for those that are examples. */
export function databasesInEnvironmentFiles(worktree: string): NamedDatabase[] {
  const found: NamedDatabase[] = [];
  for (const file of readdirSync(worktree).toSorted()) {
    if (!/^\.env($|\.)/.test(file) || /\.(example|sample|template|dist|defaults?)$/.test(file)) continue;
    const whole = path.join(worktree, file);
    const stat = statSync(whole, { throwIfNoEntry: false });
    if (stat?.isFile() !== true || stat.size > maxBytes) continue;
    for (const [variable, value] of variablesIn(readFileIfThere(whole) ?? '')) {
      const database = databaseOf(variable, value, file);
      const known = found.some(
        (other) =>
          other.variable === variable ||
          (other.engine === database?.engine && other.value === database.value),
      );
      if (database !== undefined && !known) found.push(database);
    }
  }
  return found;
}

/** `NAME=value` lines, with or without `export` and quotes. */
function variablesIn(text: string): [name: string, value: string][] {
  return [...text.matchAll(/^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)$/gm)].map(
    ([, name = '', rest = '']) => {
      const quoted = /^(["'])(.*?)\1/.exec(rest);
      return [name, quoted?.[2] ?? rest.replace(/\s+#.*$/, '').trim()];
    },
  );
}

function databaseOf(variable: string, url: string, file: string): NamedDatabase | undefined {
  const scheme = /^(postgres(?:ql)?|mysql|mariadb):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) return undefined;
  const engine = scheme.startsWith('postgres') ? 'postgres' : (scheme as 'mysql' | 'mariadb');
  // A url made of other variables is only whole where these are set.
  const secret = hasPassword(url) || url.includes('$');
  const database = /^[a-z]+:\/\/[^/]*\/([^?#]*)/i.exec(url)?.[1] ?? '';
  return { variable, file, engine, name: nameOf(database), value: secret ? `env:${variable}` : url, secret };
}

/** A name for the configuration from a name that may be anything. */
function nameOf(text: string): string {
  const name = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return name === '' ? 'app' : name.slice(0, 60).replace(/[^A-Za-z0-9]+$/, '');
}
