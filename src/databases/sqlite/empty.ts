import { normaliseHeader, rollbackVersions } from './header.ts';
import { openDatabase } from './open.ts';

/** Makes a database without content, of one page as large as those of `like`. Gives the file. */
export async function makeEmptyDatabase(file: string, like: string): Promise<string> {
  const model = await openDatabase(like, { readonly: true });
  const { default: Database } = await import('better-sqlite3');
  const connection = new Database(file);
  try {
    connection.pragma(`page_size = ${String(model.pragma('page_size', { simple: true }))}`);
    // Without a journal mode that lasts, VACUUM writes the one page a database has at least.
    connection.exec('VACUUM');
  } finally {
    connection.close();
    model.close();
  }
  normaliseHeader(file, rollbackVersions);
  return file;
}
