import { createHash } from '../../system/crypto.ts';
import type { BytePath } from '../../git/paths.ts';

/**
 * Where things are in a copy that is SQL text (docs/format.md). Path order is restore order:
 *
 *     sql/0-pre-data/FFFF/CCCC                     the schema before the data
 *     sql/1-data/NNNN-schema.table/FFFF/CCCC       the rows of a table
 *     sql/2-post-data/FFFF/CCCC                    indexes, constraints, triggers, values of sequences …
 *     about.json                                   which engine it is of, and what its script cannot say
 *
 * A *part* is a folder of chunk folders: `sql/0-pre-data`, `sql/1-data/0000-public.orders`.
 */

export const textRoot = 'sql';
export const dataFolder = `${textRoot}/1-data`;
export const preData = `${textRoot}/0-pre-data`;
export const postData = `${textRoot}/2-post-data`;
export const aboutFile = 'about.json';

/** Folders of chunks: on average 64, at most this many. */
export const maxChunksPerFolder = 256;

/** The names of chunks and of their folders: four digits, and past 9999 what sorts after these and never ends. */
export function numbered(index: number): string {
  return index < 10_000 ? String(index).padStart(4, '0') : `x${String(index).padStart(9, '0')}`;
}

/** True when a chunk is the last of its folder: its content says so, so that one more chunk moves only its neighbours. */
export function endsFolder(oid: string): boolean {
  return Number.parseInt(oid.slice(-2), 16) % 64 === 0;
}

const maxFolderName = 200;

/**
 * The part of a table's rows. Names that are too long are cut, and told apart by a hash: what a table is called is
 * in its SQL.
 * @param index in the order of restoring
 * @param names from the outside in: schema and table
 */
export function tablePart(index: number, ...names: readonly string[]): BytePath {
  return `${dataFolder}/${numbered(index)}-${tableName(...names)}`;
}

/** The name of a table's folder without its number. */
export function tableName(...names: readonly string[]): string {
  const name = names.map(encoded).join('.');
  const limit = maxFolderName - 11;
  if (name.length <= limit) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, limit - 17).replace(/%[0-9A-F]?$/, '')}~${hash}`;
}

/** As in URLs, and a dot too: it is what stands between the names. */
function encoded(name: string): string {
  return [...Buffer.from(name, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

const number = String.raw`(?:\d{4}|x\d{9,15})`;
const chunkPattern = new RegExp(
  `^(${textRoot}/(?:[0-9]-[a-z-]{1,40}|1-data/${number}-[A-Za-z0-9_.~%-]{1,${maxFolderName}}))/(${number})/(${number})$`,
);

/** The part that a chunk's path belongs to, and the numbers of its folder and of it; undefined for what is no chunk. */
export function parseChunkPath(
  path: BytePath,
): { part: BytePath; folder: number; chunk: number } | undefined {
  const match = chunkPattern.exec(path);
  if (match === null) return undefined;
  const [, part = '', folder = '', chunk = ''] = match;
  return { part, folder: Number(folder.replace('x', '')), chunk: Number(chunk.replace('x', '')) };
}

/** The name of a table's folder, without its number, from the path of its part; undefined for other parts. */
export function tableOfPart(part: BytePath): string | undefined {
  return part.startsWith(`${dataFolder}/`)
    ? part.slice(part.indexOf('-', dataFolder.length + 1) + 1)
    : undefined;
}
