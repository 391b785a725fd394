import { randomBytes } from './crypto.ts';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

/** Creates a private folder (mode 0700), with its parents. */
export function ensurePrivateDir(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
}

/** Writes a whole file so that a reader, or a machine that stops, sees the old content or the new, never a part. */
export function writeFileAtomic(file: string, content: string | Buffer): void {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const handle = openSync(temporary, 'wx', 0o600);
  try {
    const bytes = Buffer.from(content as string);
    for (let written = 0; written < bytes.length; ) written += writeSync(handle, bytes, written);
    fsyncSync(handle);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
  renameSync(temporary, file);
  syncDir(path.dirname(file));
}

/** Writes a whole file or nothing, without waiting for the disk. */
export function writeFileWhole(file: string, content: string): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content, { mode: 0o600 });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Writes a file that is only a cache. A disk that is full keeps the old one: what was done is done all the same, and
 * who reads a cache sees by itself that it does not fit.
 */
export function writeCache(file: string, content: string): void {
  try {
    writeFileWhole(file, content);
  } catch (error) {
    if (!['ENOSPC', 'EDQUOT', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Removes a file and makes the removal last. */
export function removeFileDurably(file: string): void {
  rmSync(file, { force: true });
  syncDir(path.dirname(file));
}

export function syncDir(dir: string): void {
  syncFile(dir);
}

export function syncFile(file: string): void {
  const handle = openSync(file, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The text of a file, or undefined when it is not there. Other errors are thrown. */
export function readFileIfThere(file: string, encoding: 'utf8' | 'latin1' = 'utf8'): string | undefined {
  try {
    return readFileSync(file, encoding);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Where an absolute path leads through symbolic links, also when the file (or more) is not there (yet). */
export function followLinks(file: string): string {
  let target = file;
  const isLink = () => lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  for (let hops = 0; hops < 40 && isLink(); hops++)
    target = path.resolve(realOrSame(path.dirname(target)), readlinkSync(target));
  return path.join(realOrSame(path.dirname(target)), path.basename(target));
}

function realOrSame(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

/** A random id in hex; 12 digits make a clash among 10,000 snapshots a matter of 1 in 5 million. */
export function randomId(digits = 12): string {
  return randomBytes(digits / 2).toString('hex');
}
