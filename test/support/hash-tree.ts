/** What a folder holds, as text that can be compared and read in a failed assertion. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';

/**
 * One line for everything below `root` outside .git folders, sorted by path:
 *
 *     docs/ dir 755
 *     docs/a.txt file 644 <sha256>
 *     latest link 777 -> docs/a.txt
 *
 * Names are read as bytes, since git stores bytes: one that is not UTF-8 appears as `hex:<bytes>`.
 */
export function hashTree(root: string): string[] {
  return below(Buffer.from(root), Buffer.alloc(0)).toSorted();
}

function below(folder: Buffer, prefix: Buffer): string[] {
  return readdirSync(folder, { encoding: 'buffer' }).flatMap((name) => {
    if (name.equals(gitFolder)) return [];
    const file = Buffer.concat([folder, separator, name]);
    const relative = Buffer.concat([prefix, name]);
    const stats = lstatSync(file);
    const line = describe(file, readable(relative), stats);
    return stats.isDirectory() ? [line, ...below(file, Buffer.concat([relative, separator]))] : [line];
  });
}

function describe(file: Buffer, name: string, stats: Stats): string {
  const mode = (stats.mode & 0o7777).toString(8);
  if (stats.isDirectory()) return `${name}/ dir ${mode}`;
  if (stats.isSymbolicLink()) {
    return `${name} link ${mode} -> ${readable(readlinkSync(file, { encoding: 'buffer' }))}`;
  }
  // Reading a pipe would wait for ever.
  if (!stats.isFile()) return `${name} special ${mode}`;
  return `${name} file ${mode} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

function readable(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : `hex:${bytes.toString('hex')}`;
}

const gitFolder = Buffer.from('.git');
const separator = Buffer.from(path.sep);
