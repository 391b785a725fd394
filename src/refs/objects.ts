import { hashObject } from '../git/hash.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { readTree } from '../git/treeEntries.ts';
import { objectStore } from '../git/objectStore.ts';
import { anchorMessage } from '../timeline/anchor.ts';

/** Tag objects that no ref leads to any more: an anchor has their text, as files named after them. */

/** Tag objects that the anchor of a snapshot holds: oid -> oid of the file with its text. */
export async function anchoredTags(repository: Repository, anchor: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const waiting = [anchor];
  const seen = new Set<string>(waiting);
  while (waiting.length > 0) {
    const commits = waiting.splice(0);
    const contents = await objectReader(repository).read(commits);
    for (const [at, content] of contents.entries()) {
      const text = content?.toString('latin1') ?? '';
      // The tips are commits of the user's; only an anchor's own are looked into.
      if (!text.endsWith(`\n\n${anchorMessage}`)) continue;
      const entries = await readTree(repository, `${commits[at] ?? ''}^{tree}`);
      for (const [name, { mode, oid }] of entries ?? []) if (mode === '100644') found.set(name, oid);
      for (const [, parent = ''] of text.matchAll(/^parent ([0-9a-f]{40,64})$/gm))
        if (!seen.has(parent)) {
          seen.add(parent);
          waiting.push(parent);
        }
    }
  }
  return found;
}

/** Makes sure that an object is there, out of the anchor where it must be. False when it is lost. */
export async function bringBack(repository: Repository, anchor: string, oid: string): Promise<boolean> {
  const reader = objectReader(repository);
  const [there] = await reader.info([oid]);
  if (there !== undefined) return true;
  const file = anchor === '' ? undefined : (await anchoredTags(repository, anchor)).get(oid);
  const [content] = file === undefined ? [] : await reader.read([file]);
  if (content === undefined || hashObject(repository, 'tag', content) !== oid) return false;
  const target = /^object ([0-9a-f]{40,64})\n/.exec(content.toString('latin1'))?.[1] ?? '';
  if (!(await bringBack(repository, anchor, target))) return false;
  await git(['hash-object', '-t', 'tag', '-w', '--stdin'], {
    cwd: repository.worktree,
    env: objectStore(repository),
    input: content,
  });
  return true;
}
