import { constants, copyFileSync, existsSync, linkSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { objectStore } from '../git/objectStore.ts';
import type { Repository } from '../git/repository.ts';
import { git } from '../git/run.ts';
import { checkObjects, diffTrees, resolveTree } from '../git/trees.ts';
import type { Capture } from './capture.ts';

/**
 * Git LFS: what is on disk is recorded as it is, content or pointer. Where a snapshot holds a pointer (a file that was
 * never smudged, or the index), the content lies in `.git/lfs`, and `git lfs prune` drops it there when no commit of
 * the user's asks for it. So a hard link keeps it in git-pitr's own folder, under the same name.
 *
 * Pointer format: git-lfs, docs/spec.md; places: docs/man/git-lfs-config, `lfs.storage`.
 */
export async function keepLfsObjects(
  repository: Repository,
  config: Config,
  capture: Capture,
  filesBefore: string,
): Promise<void> {
  const storage = path.resolve(repository.commonDir, config.git.get('lfs.storage') || 'lfs', 'objects');
  if (!existsSync(storage)) return;
  const head =
    capture.staged === '' || capture.head.commit === null
      ? ''
      : await resolveTree(repository, `${capture.head.commit}^{tree}`);
  const blobs = new Set<string>();
  for (const [from, to] of [
    [filesBefore, capture.files],
    [head, capture.staged || head],
  ] as const)
    for await (const { after } of diffTrees(repository, from, to))
      if (after?.mode.startsWith('100') === true) blobs.add(after.oid);
  for (const oid of await pointers(repository, [...blobs])) keep(repository, storage, oid);
}

/** The content ids that those of the blobs name which are pointers. */
async function pointers(repository: Repository, blobs: readonly string[]): Promise<string[]> {
  const objects = await checkObjects(repository, blobs);
  const small = objects.filter((object) => object !== undefined && object.size > 100 && object.size < 1024);
  if (small.length === 0) return [];
  const { stdout } = await git(['cat-file', '--batch'], {
    cwd: repository.worktree,
    env: objectStore(repository),
    input: small.map((object) => `${object?.oid ?? ''}\n`).join(''),
  });
  const pattern =
    /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:[^\n]+\n)*?oid sha256:([0-9a-f]{64})\nsize \d+$/gm;
  return [...stdout.toString('latin1').matchAll(pattern)].map(([, oid]) => oid ?? '');
}

function keep(repository: Repository, storage: string, oid: string): void {
  const name = path.join(oid.slice(0, 2), oid.slice(2, 4), oid);
  const [from, to] = [path.join(storage, name), path.join(repository.privateDir, 'lfs', 'objects', name)];
  if (!existsSync(from) || existsSync(to)) return;
  mkdirSync(path.dirname(to), { recursive: true });
  try {
    linkSync(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST' || code === 'ENOENT') return; // another snapshot was faster, or the prune was
    // lfs.storage on another file system, or one without hard links.
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes(code)) throw error;
    copyFileSync(from, to, constants.COPYFILE_FICLONE);
  }
}
