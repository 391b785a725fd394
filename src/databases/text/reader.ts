import { open, rm } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import type { BytePath } from '../../git/paths.ts';
import type { Repository } from '../../git/repository.ts';
import { listTree } from '../../git/trees.ts';
import { createHash } from '../../system/crypto.ts';
import { progressOf } from '../../system/progress.ts';
import { type CapturedDatabase, type EngineContext } from '../engine.ts';
import { ObjectReader } from '../objects.ts';
import { maxChunkSize } from './cutter.ts';
import { aboutFile, dataFolder, parseChunkPath, textRoot } from './layout.ts';

/** Reading SQL text back. A tree may have been fetched: whatever does not have the shape is refused. */

export interface TextChunk {
  part: BytePath;
  content: Buffer;
}

/**
 * The script of a copy, chunk by chunk and in order.
 * Error: `integrity` for a tree that is not a script, or misses objects.
 * @param parts only these
 */
export async function* readText(
  repository: Repository,
  tree: string,
  parts: readonly BytePath[] = [],
): AsyncGenerator<TextChunk> {
  const expected: BytePath[] = [];
  async function* oids(): AsyncGenerator<string> {
    for await (const { part, oid } of listChunks(repository, tree, parts)) {
      expected.push(part);
      yield oid;
    }
  }
  const reader = new ObjectReader(repository, oids());
  for await (const { type, content, oid } of reader.objects(maxChunkSize)) {
    if (type !== 'blob') throw notText(tree, `object ${oid} is no chunk`);
    yield { part: expected.shift() as BytePath, content };
  }
}

export interface ListedChunk {
  part: BytePath;
  oid: string;
  /** Bytes. */
  size: number;
}

/** The chunks of a copy in order, without their contents. Error: `integrity` for a tree that is not a script. */
export async function* listChunks(
  repository: Repository,
  tree: string,
  parts: readonly BytePath[] = [],
): AsyncGenerator<ListedChunk> {
  const paths = parts.length === 0 ? [`${textRoot}/`] : parts.map((part) => `${part}/`);
  const next = { part: '', folder: 0, chunk: 0 };
  for await (const { path, mode, oid, size } of listTree(repository, tree, { recursive: true, paths })) {
    const at = parseChunkPath(path);
    if (at === undefined || mode !== '100644') throw notText(tree, `"${path}" is no chunk`);
    if (at.part !== next.part) Object.assign(next, { part: at.part, folder: 0, chunk: 0 });
    else if (at.folder === next.folder + 1) Object.assign(next, { folder: at.folder, chunk: 0 });
    if (at.folder !== next.folder || at.chunk !== next.chunk)
      throw notText(tree, `a chunk is missing before "${path}"`);
    next.chunk++;
    yield { part: at.part, oid, size };
  }
}

/** The parts of a copy's rows, in order: path and the tree of each. */
export async function listTableParts(
  repository: Repository,
  tree: string,
): Promise<{ part: BytePath; oid: string }[]> {
  const parts: { part: BytePath; oid: string }[] = [];
  if (tree === '') return parts;
  const options = { sizes: false, paths: [`${dataFolder}/`] };
  for await (const { path, type, oid } of listTree(repository, tree, options)) {
    if (type !== 'tree' || parseChunkPath(`${path}/0000/0000`) === undefined)
      throw notText(tree, `"${path}" is no table`);
    parts.push({ part: path, oid });
  }
  return parts;
}

/**
 * The script of a copy in order, checked against what was recorded: the error comes at its end, so nothing that was
 * done with it may count before. Error: `integrity`.
 */
export async function* readRecordedText(
  repository: Repository,
  source: CapturedDatabase,
): AsyncGenerator<TextChunk> {
  const progress = progressOf(repository);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of readText(repository, source.tree)) {
    hash.update(chunk.content);
    bytes += chunk.content.length;
    progress?.advance({ bytes: chunk.content.length });
    yield chunk;
  }
  if (bytes !== source.bytes || hash.digest('hex') !== source.sha256) {
    throw new PitrError(
      'integrity',
      `The recorded copy of the database "${source.name}" is not what was captured; nothing was changed.`,
      { hints: ['git fsck --full', 'git pitr verify looks for an intact snapshot.'] },
    );
  }
}

/** Writes the script of a copy to a new file. Nothing is left on failure. Error: `integrity`. */
export async function writeScript(
  { repository, signal }: Pick<EngineContext, 'repository' | 'signal'>,
  source: CapturedDatabase,
  file: string,
): Promise<void> {
  progressOf(repository)?.begin(`writing the database ${source.name}`, { bytes: source.bytes });
  // A database may hold what not everybody who can read the folder may see.
  const handle = await open(file, 'wx', 0o600);
  try {
    for await (const { content } of readRecordedText(repository, source)) {
      signal?.throwIfAborted();
      await handle.writeFile(content);
    }
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** What `about.json` of a copy says; empty when there is none. Error: `integrity` for one that is not JSON. */
export async function readAbout(repository: Repository, tree: string): Promise<Record<string, unknown>> {
  const oids: string[] = [];
  for await (const { oid } of listTree(repository, tree, { sizes: false, paths: [aboutFile] }))
    oids.push(oid);
  async function* list(): AsyncGenerator<string> {
    yield* oids;
  }
  for await (const { content } of new ObjectReader(repository, list()).objects(maxChunkSize)) {
    try {
      const about: unknown = JSON.parse(content.toString('utf8'));
      if (typeof about === 'object' && about !== null) return about as Record<string, unknown>;
    } catch {
      // said below
    }
    throw notText(tree, `${aboutFile} is not JSON`);
  }
  return {};
}

function notText(tree: string, reason: string): PitrError {
  return new PitrError('integrity', `The tree ${tree} is not a whole copy of a database: ${reason}.`, {
    hints: ['git fsck tells whether the repository lost objects.'],
  });
}
