import { existsSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseEngine } from '../engine.ts';
import { captureSqlite } from './capture.ts';
import { writeTarget } from './image.ts';
import { restoreSqlite } from './restore.ts';
import { findDamage } from './check.ts';
import { requireFree } from './free.ts';
import { livePath } from './open.ts';
import { diffSqlite } from './rows/diff.ts';
import { findRow } from './rows/find.ts';
import { restoreSqliteTables } from './tables/restore.ts';

/** `app.db`; where the folder holds a file of that name already, `app-2.db` and so on. */
function freeName(folder: string, name: string): string {
  const named = (suffix: string) => path.join(folder, `${name}${suffix}.db`);
  if (!existsSync(named(''))) return named('');
  let number = 2;
  while (existsSync(named(`-${number}`))) number++;
  return named(`-${number}`);
}

/** SQLite databases in a file, as images (`../chunks.ts`). */
export const sqliteEngine: DatabaseEngine = {
  name: 'sqlite',
  capture: captureSqlite,
  requireFree,
  isThere: async (context) => existsSync(livePath(context)),
  restore: restoreSqlite,
  materialize: async (context, source, into) => {
    const file = freeName(into, context.database.name);
    await writeTarget(context, source, file);
    return file;
  },
  check: async (context, source) => {
    const file = path.join(context.scratchDir, 'check.db');
    await writeTarget(context, source, file);
    return findDamage(file);
  },
  diff: diffSqlite,
  row: findRow,
  restoreTables: restoreSqliteTables,
};
