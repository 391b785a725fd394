import path from 'node:path';
import type { DatabaseEngine } from '../engine.ts';
import { captureSqlite } from './capture.ts';
import { writeTarget } from './image.ts';
import { restoreSqlite } from './restore.ts';
import { requireFree } from './free.ts';

/** SQLite databases in a file, as images (`../chunks.ts`). */
export const sqliteEngine: DatabaseEngine = {
  name: 'sqlite',
  capture: captureSqlite,
  requireFree,
  restore: restoreSqlite,
  materialize: async (context, source, into) => {
    const file = path.join(into, `${context.database.name}.db`);
    await writeTarget(context, source, file);
    return file;
  },
};
