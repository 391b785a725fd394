import { existsSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseEngine } from '../engine.ts';
import { writeScript } from '../text/reader.ts';
import { capturePostgres } from './capture.ts';
import { diffPostgres } from './diff.ts';
import { rowOfPostgres } from './row.ts';
import { restoreTablesPostgres } from './tables.ts';
import { isTherePostgres, requireFreePostgres, restorePostgres } from './restore.ts';

/** PostgreSQL databases, as SQL text (`../text/layout.ts`). */
export const postgresEngine: DatabaseEngine = {
  name: 'postgres',
  capture: capturePostgres,
  requireFree: requireFreePostgres,
  isThere: isTherePostgres,
  restore: restorePostgres,
  diff: diffPostgres,
  row: rowOfPostgres,
  restoreTables: restoreTablesPostgres,
  materialize: async (context, source, into) => {
    const file = freeName(into, context.database.name);
    await writeScript(context, source, file);
    return file;
  },
};

/** `app.sql`; where the folder holds a file of that name already, `app-2.sql` and so on. */
function freeName(folder: string, name: string): string {
  const named = (number: number) => path.join(folder, `${name}${number === 1 ? '' : `-${number}`}.sql`);
  let number = 1;
  while (existsSync(named(number))) number++;
  return named(number);
}
