import { createHash } from '../system/crypto.ts';
import type { Repository } from '../git/repository.ts';
import { listTree, resolveTree } from '../git/trees.ts';
import { readImage } from './chunks.ts';
import type { CapturedDatabase } from './engine.ts';
import { isEngine } from './registry.ts';
import { preData, textRoot } from './text/layout.ts';
import { readAbout, readText, type TextChunk } from './text/reader.ts';

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
    if (type !== 'tree') continue;
    const content = await contentOf(repository, oid);
    if (content === undefined) continue;
    copies.push({ name: Buffer.from(path, 'latin1').toString('utf8'), ...content, tree: oid });
  }
  return copies;
}

/** Size and hash of a copy, from all of its content; undefined for a tree that is none. Error: `integrity`. */
export async function contentOf(
  repository: Repository,
  tree: string,
): Promise<Pick<CapturedDatabase, 'engine' | 'bytes' | 'sha256'> | undefined> {
  const form = await formOf(repository, tree);
  if (form === undefined) return undefined;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of form.content) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { engine: form.engine, bytes, sha256: hash.digest('hex') };
}

/** What size and hash are of: the image where there is one, else the script. */
async function formOf(
  repository: Repository,
  tree: string,
): Promise<{ engine: string; content: AsyncIterable<Buffer> } | undefined> {
  const folders = new Set<string>();
  for await (const { path, type } of listTree(repository, tree, { sizes: false }))
    if (type === 'tree') folders.add(path);
  // Only engines that keep a database in one file record images (docs/format.md): there is one.
  if (folders.has('image')) return { engine: 'sqlite', content: readImage(repository, tree) };
  if (!folders.has(textRoot)) return undefined;
  const engine = (await engineNamed(repository, tree)) ?? (await engineOfScript(repository, tree));
  return engine === undefined ? undefined : { engine, content: contents(readText(repository, tree)) };
}

/** What `about.json` says; undefined where it is lost, damaged, or names what there is not. */
async function engineNamed(repository: Repository, tree: string): Promise<string | undefined> {
  try {
    const { engine } = await readAbout(repository, tree);
    return typeof engine === 'string' && isEngine(engine) ? engine : undefined;
  } catch {
    return undefined;
  }
}

/** How the scripts of each engine begin. */
const heads: readonly [RegExp, string][] = [
  [/^PRAGMA page_size = /, 'sqlite'],
  [/^SET NAMES utf8mb4;\n/, 'mariadb'],
  [/^(--\n-- PostgreSQL database dump|SET statement_timeout = )/, 'postgres'],
];

async function engineOfScript(repository: Repository, tree: string): Promise<string | undefined> {
  for await (const { content } of readText(repository, tree, [preData])) {
    const head = content.subarray(0, 200).toString('latin1');
    return heads.find(([pattern]) => pattern.test(head))?.[1];
  }
  return undefined;
}

async function* contents(chunks: AsyncIterable<TextChunk>): AsyncGenerator<Buffer> {
  for await (const { content } of chunks) yield content;
}
