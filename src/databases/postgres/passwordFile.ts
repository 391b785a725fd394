import { homedir } from 'node:os';
import path from 'node:path';
import { statSync } from 'node:fs';
import { readFileIfThere } from '../../system/files.ts';
import type { Address } from './address.ts';

/**
 * The password for an address from PGPASSFILE or ~/.pgpass, as libpq reads it: lines `host:port:database:user:password`,
 * `*` for any, a backslash before colons and backslashes; the first that fits counts. A file that others may read is not
 * used (https://www.postgresql.org/docs/15/libpq-pgpass.html).
 */
export function passwordFromFile({ host, port, database, user }: Address): string | undefined {
  const file = process.env['PGPASSFILE'] ?? path.join(homedir(), '.pgpass');
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  if (mode === undefined || (mode & 0o077) !== 0) return undefined;
  // A socket's folder counts as localhost.
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user];
  for (const line of (readFileIfThere(file) ?? '').split('\n')) {
    if (line.startsWith('#')) continue;
    const fields = (line.match(/(?:^|:)((?:[^:\\]|\\.)*)/g) ?? []).map((field, index) =>
      (index === 0 ? field : field.slice(1)).replace(/\\(.)/g, '$1'),
    );
    if (fields.length < 5) continue;
    if (wanted.every((value, index) => fields[index] === '*' || fields[index] === value)) return fields[4];
  }
  return undefined;
}
