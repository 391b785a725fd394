import { stageBesideFiles } from '../capture/others.ts';
import { createHash } from '../system/crypto.ts';
import { closeSync, mkdirSync, rmSync, statSync, symlinkSync, writeSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../errors.ts';
import { type ObjectInfo, objectReader } from '../git/objectReader.ts';
import { isPartialClone } from '../git/partialClone.ts';
import { type BytePath, displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import type { Config } from '../config/config.ts';
import { type NewFile, NewFiles } from './newFiles.ts';
import type { PlanEntry } from './plan.ts';
import type { Context } from './request.ts';
import { ensurePrivateDir } from '../system/files.ts';
import { ownedName } from '../system/owned.ts';
import { progressOf } from '../system/progress.ts';

/**
 * New content is written beside the files first, complete, and then renamed into place: a restore that is killed
 * never leaves half a file. The staging folder is on the file system of the files, so that a rename is possible.
 */
export interface Stage {
  dir: string;
  /** Where the new content of a path waits; each path has a file of its own. */
  pathOf(path: BytePath): string;
  remove(): void;
}

/**
 * Writes the content of entries, raw, into a staging folder for `root`. Names there are numbers, never names from the
 * snapshot. Each content is checked against its object id on the way, so that a damaged one is found before any file
 * is touched. Error: `integrity` for content that is missing or damaged.
 */
export async function stageFiles(
  { repository, config }: Context,
  root: string,
  entries: readonly PlanEntry[],
): Promise<Stage> {
  const dir = stagingDir(repository, root);
  mkdirSync(path.join(dir, 'files'), { recursive: true, mode: 0o700 });
  const wanted = entries.filter(({ action }) => action === 'create' || action === 'overwrite');
  const names = new Map(wanted.map((entry, index) => [entry.path, nameOf(index)]));
  const kinds = wanted.map((entry) => kindOf(config, entry));
  const missing: PlanEntry[] = [];
  const stage: Stage = {
    dir,
    pathOf: (file) => path.join(dir, 'files', names.get(file) ?? 'missing'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
  const filesAt = new Map<number, number>();
  const files: NewFile[] = [];
  for (const [at, entry] of wanted.entries()) {
    if (kinds[at] === 'link') continue;
    filesAt.set(at, files.length);
    files.push({ file: stage.pathOf(entry.path), mode: kinds[at] === 'executable' ? 0o777 : 0o666 });
  }
  const newFiles = new NewFiles(files);
  try {
    for (const folder of new Set(wanted.map((_, at) => folderOf(at))))
      mkdirSync(path.join(dir, 'files', folder));
    const progress = progressOf(repository);
    if (progress !== undefined)
      progress.begin('preparing', { files: wanted.length, bytes: await bytesOf(repository, wanted) });
    await objectReader(repository).stream(
      wanted.map(({ after }) => after?.oid ?? ''),
      async (at, object, content): Promise<void> => {
        const entry = wanted[at] as PlanEntry;
        if (object === undefined) {
          missing.push(entry);
          return;
        }
        const place = filesAt.get(at);
        const hash =
          place === undefined
            ? await writeLink(repository, stage.pathOf(entry.path), entry, object, content)
            : await writeContent(repository, await newFiles.take(place), object, content);
        progress?.advance({ files: 1 }, entry.path);
        if (object.type !== 'blob' || hash !== object.oid) throw damagedContent(entry);
      },
    );
    if (missing.length > 0) throw await missingContent(repository, missing);
    return stage;
  } catch (error) {
    await newFiles.dispose();
    stage.remove();
    throw error;
  }
}

/**
 * A flat folder of 100,000 names is slow on some file systems; and the kernel creates one file at a time in a folder, so
 * that neighbours are in different ones.
 */
const folderSize = 1000;
const lanes = 4;

function folderOf(index: number): string {
  return String(Math.floor(index / (folderSize * lanes)) * lanes + (index % lanes));
}

function nameOf(index: number): string {
  return `${folderOf(index)}/${index}`;
}

/** In the private folder; beside the files where that is another file system (a linked worktree elsewhere). */
function stagingDir(repository: Repository, root: string): string {
  ensurePrivateDir(repository.lineDir);
  const sameDevice = statSync(repository.lineDir).dev === statSync(root).dev;
  return sameDevice
    ? path.join(repository.lineDir, 'stage', ownedName())
    : path.join(root, `${stageBesideFiles}${ownedName()}`);
}

async function bytesOf(repository: Repository, entries: readonly PlanEntry[]): Promise<number> {
  const objects = await objectReader(repository).info(entries.map(({ after }) => after?.oid ?? ''));
  return objects.reduce((total, object) => total + (object?.size ?? 0), 0);
}

/** With core.symlinks=false git keeps links as files that hold their target, and so does a restore. */
function kindOf(config: Config, { after }: PlanEntry): 'link' | 'executable' | 'file' {
  if (after?.mode === '120000') return linksAreFiles(config) ? 'file' : 'link';
  return after?.mode === '100755' ? 'executable' : 'file';
}

export function linksAreFiles(config: Config): boolean {
  return /^(false|no|off|0)$/i.test(config.git.get('core.symlinks') ?? '');
}

/** Writes one file (fsync of all happens once, see apply.ts), closes it, and gives the object id of what it wrote. */
async function writeContent(
  repository: Repository,
  handle: number,
  { type, size }: ObjectInfo,
  content: AsyncIterable<Buffer>,
): Promise<string> {
  const progress = progressOf(repository);
  const hash = createHash(repository.objectFormat).update(`${type} ${size}\0`);
  try {
    for await (const part of content) {
      hash.update(part);
      progress?.advance({ bytes: part.length });
      for (let written = 0; written < part.length; ) written += writeSync(handle, part, written);
    }
  } finally {
    closeSync(handle);
  }
  return hash.digest('hex');
}

/** The same for a link. */
async function writeLink(
  repository: Repository,
  file: string,
  entry: PlanEntry,
  { type, size }: ObjectInfo,
  content: AsyncIterable<Buffer>,
): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of content) parts.push(part);
  const target = Buffer.concat(parts);
  if (target.length === 0 || target.length > maxLink || target.includes(0)) throw impossibleLink(entry);
  symlinkSync(target, file);
  return createHash(repository.objectFormat).update(`${type} ${size}\0`).update(target).digest('hex');
}

/** The most bytes of a link's target (Linux: PATH_MAX less its NUL). */
const maxLink = 4095;

function impossibleLink({ path: file }: PlanEntry): PitrError {
  return new PitrError(
    'refused',
    `${displayPath(file)} is recorded as a symbolic link to nothing, or to what no path can be. Nothing was changed.`,
    {
      hints: [
        'Such a snapshot was not made by git-pitr: do not trust where it comes from.',
        'Name the paths you want, and only they are restored.',
      ],
    },
  );
}

function damagedContent({ path: file }: PlanEntry): PitrError {
  return new PitrError(
    'integrity',
    `The recorded content of ${displayPath(file)} is damaged in the repository. Nothing was changed.`,
    {
      hints: [
        'git fsck tells what else is damaged.',
        'Another snapshot may hold it: git pitr list --path <path>',
      ],
    },
  );
}

/** Names the files whose content is not there: in a partial clone it may never have been fetched. */
async function missingContent(repository: Repository, missing: readonly PlanEntry[]): Promise<PitrError> {
  const names = missing.slice(0, 10).map((entry) => displayPath(entry.path));
  const shown =
    names.join(', ') + (missing.length > names.length ? ` and ${missing.length - names.length} more` : '');
  if (await isPartialClone(repository)) {
    return new PitrError(
      'failed',
      `${shown}: this partial clone never fetched the content, and git-pitr fetches nothing. Nothing was changed.`,
      {
        hints: [
          'Name the paths you want, and only they are restored.',
          `git cat-file -p ${missing[0]?.after?.oid ?? ''} fetches one, while the remote can be reached.`,
        ],
      },
    );
  }
  return new PitrError(
    'integrity',
    `${shown}: the content is not in the object store. Nothing was changed.`,
    { hints: ['git fsck tells what else is missing.'] },
  );
}
