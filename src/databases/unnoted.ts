import { createHash } from '../system/crypto.ts';
import type { Repository } from '../git/repository.ts';
import { listTree, resolveTree } from '../git/trees.ts';
import { readImage } from './chunks.ts';
import type { CapturedDatabase } from './engine.ts';

/**
 * The copies in a snapshot whose note is lost, described from what they are: a note keeps nothing alive, others may
 * prune it, and the rows must come back all the same. Reads each copy once.
 */
export async function copiesWithoutNote(repository: Repository, commit: string): Promise<CapturedDatabase[]> {
  const copies: CapturedDatabase[] = [];
  const entries = [];
  const databases = await resolveTree(repository, `${commit}:databases`);
  for await (const entry of listTree(repository, databases, { sizes: false })) entries.push(entry);
  for (const { type, path, oid } of entries) {
    // Only engines that keep a database in one file record images (docs/format.md): there is one.
    if (type !== 'tree' || !(await holdsImage(repository, oid))) continue;
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of readImage(repository, oid)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    const name = Buffer.from(path, 'latin1').toString('utf8');
    copies.push({ name, engine: 'sqlite', bytes, sha256: hash.digest('hex'), tree: oid });
  }
  return copies;
}

async function holdsImage(repository: Repository, tree: string): Promise<boolean> {
  for await (const { path, type } of listTree(repository, tree, { sizes: false }))
    if (path === 'image' && type === 'tree') return true;
  return false;
}
