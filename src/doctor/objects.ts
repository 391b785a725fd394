import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  lstatSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import { hashObject } from '../git/hash.ts';
import { bytePath, onDisk } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { isPartialClone } from '../git/partialClone.ts';
import { randomId } from '../system/files.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { checkObjectsOf, DamageFinder } from '../verify/objects.ts';
import type { Mendable } from './finding.ts';

/** Objects that are missing or damaged. A file that is still what was recorded mends its own. */
export async function checkObjects(
  repository: Repository,
  snapshots: readonly Snapshot[],
): Promise<Mendable[]> {
  const commits = snapshots.map(({ commit }) => commit);
  const { bad } = await checkObjectsOf(repository, commits, await isPartialClone(repository));
  const finder = new DamageFinder(repository, bad);
  const hurt = new Map<string, { id: string; path: string }[]>();
  for (const { id, commit } of bad.size === 0 ? [] : snapshots)
    for (const { oid, path: file } of await finder.pathsOf(commit))
      hurt.set(oid, [...(hurt.get(oid) ?? []), { id, path: file }]);
  return [...hurt].map(([oid, places]) => {
    const shown = places.slice(0, 10).map(({ id, path: file }) => `${id}:${file}`);
    const more = places.length > shown.length ? `, and ${places.length - shown.length} more` : '';
    const source = places.map(({ path: file }) => contentOnDisk(repository, file, oid)).find(Boolean);
    return {
      finding: {
        kind: 'object',
        severity: 'damage',
        what: `the object ${oid} ${bad.get(oid) ?? ''}: ${shown.join(', ')}${more}`,
        reason: 'These paths cannot be restored from these snapshots. Everything else in them can.',
        remedy:
          source === undefined
            ? 'It cannot be mended from here. Fetch it from a copy of the repository that has it (git fetch, or copy the object), or restore these paths from another snapshot.'
            : 'The file in the working tree is still the same: git pitr doctor --repair writes the object again.',
      },
      ...(source === undefined
        ? {}
        : {
            mend: async () => {
              writeLoose(repository, oid, source);
              return 'the object was written again, from the file in the working tree';
            },
          }),
    };
  });
}

/** Content of the file in the working tree, when it is what the object was. */
function contentOnDisk(repository: Repository, file: string, oid: string): Buffer | undefined {
  if (!file.startsWith('files/')) return undefined;
  try {
    const onDiskName = onDisk(repository.worktree, bytePath(file.slice('files/'.length)));
    const content = lstatSync(onDiskName).isSymbolicLink()
      ? readlinkSync(onDiskName, { encoding: 'buffer' })
      : readFileSync(onDiskName);
    return hashObject(repository, 'blob', content) === oid ? content : undefined;
  } catch {
    return undefined; // it is not there any more
  }
}

/** `git hash-object -w` writes nothing where a damaged object has the name already; git reads a sound loose one then. */
function writeLoose(repository: Repository, oid: string, content: Buffer): void {
  const folder = path.join(repository.objectDir, oid.slice(0, 2));
  const file = path.join(folder, oid.slice(2));
  if (!existsSync(folder)) mkdirSync(folder);
  const temporary = path.join(folder, `tmp_obj_${randomId()}`);
  const bytes = deflateSync(Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]));
  writeFileSync(temporary, bytes, { mode: 0o444, flush: true });
  renameSync(temporary, file);
}
