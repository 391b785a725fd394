import { objectReader } from './objectReader.ts';
import type { BytePath } from './paths.ts';
import type { Repository } from './repository.ts';
import type { TreeEntry } from './trees.ts';

/** The entries of a tree, by its oid or as `<commit>:<path>`; undefined when there is no such tree. */
export async function readTree(
  repository: Repository,
  name: string,
): Promise<Map<BytePath, TreeEntry> | undefined> {
  const reader = objectReader(repository);
  const [object] = await reader.info([name]);
  if (object?.type !== 'tree') return undefined;
  const [content] = await reader.read([object.oid], maxTreeBytes);
  return content === undefined ? undefined : parseTree(repository, content);
}

/** A folder of a million files; nothing that is read here comes near it. */
const maxTreeBytes = 64 * 1024 ** 2;

/**
 * The entries of one tree object (`<mode> <name>\0<oid in binary>`, one after the other; gitformat-pack(5) calls it a
 * tree, git-mktree(1) writes it). Names are as they are recorded: whoever uses them validates them.
 */
export function parseTree(
  { objectFormat }: Pick<Repository, 'objectFormat'>,
  content: Buffer,
): Map<BytePath, TreeEntry> {
  const entries = new Map<BytePath, TreeEntry>();
  const oidLength = objectFormat === 'sha256' ? 32 : 20;
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const end = content.indexOf(0, space);
    if (space === -1 || end === -1) break; // cut off: what was read stands
    const mode = content.toString('latin1', at, space).padStart(6, '0');
    const oid = content.toString('hex', end + 1, end + 1 + oidLength);
    entries.set(content.toString('latin1', space + 1, end), { mode, oid });
    at = end + 1 + oidLength;
  }
  return entries;
}
