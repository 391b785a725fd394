import { createHash } from '../system/crypto.ts';
import type { BytePath } from './paths.ts';
import type { Repository } from './repository.ts';

/** Object ids worked out in process, as git does it: hash of `<type> <size>\0<content>` (gitformat-pack(5), user manual). */
export function hashObject(
  repository: Pick<Repository, 'objectFormat'>,
  type: 'blob' | 'tree' | 'commit' | 'tag',
  content: Buffer,
): string {
  return createHash(repository.objectFormat)
    .update(`${type} ${content.length}\0`)
    .update(content)
    .digest('hex');
}

export interface HashedEntry {
  name: BytePath;
  mode: '40000' | '100644';
  oid: string;
}

/** The id of the tree with these entries. Git sorts a folder as if its name ended in a slash. */
export function hashTree(
  repository: Pick<Repository, 'objectFormat'>,
  entries: readonly HashedEntry[],
): string {
  const key = ({ name, mode }: HashedEntry) => (mode === '40000' ? `${name}/` : name);
  const sorted = entries.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  const parts = sorted.flatMap(({ name, mode, oid }) => [
    Buffer.from(`${mode} ${name}\0`, 'latin1'),
    Buffer.from(oid, 'hex'),
  ]);
  return hashObject(repository, 'tree', Buffer.concat(parts));
}
