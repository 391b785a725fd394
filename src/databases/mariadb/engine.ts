import { existsSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseEngine } from '../engine.ts';
import { writeScript } from '../text/reader.ts';
import { captureMariadb } from './capture.ts';
import { diffMariadb, rowOfMariadb } from './diff.ts';
import { restoreTablesMariadb } from './tableRestore.ts';
import { isThereMariadb, requireFreeMariadb, restoreMariadb } from './restore.ts';

/** MariaDB and MySQL databases, as SQL text (`../text/layout.ts`). */
export const mariadbEngine: DatabaseEngine = {
  name: 'mariadb',
  capture: captureMariadb,
  requireFree: requireFreeMariadb,
  isThere: isThereMariadb,
  restore: restoreMariadb,
  diff: diffMariadb,
  row: rowOfMariadb,
  restoreTables: restoreTablesMariadb,
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
