/** A working copy as bytes: reading it whole, and changing it in every way that a person or a program may. */
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type BytePath, isWithin, onDisk, parentOf, parentsOf } from '../../../src/git/paths.ts';

/** What is at one path. Contents and targets are byte strings (latin1), as paths are. */
export type Entry =
  | { kind: 'file'; mode: number; content: string }
  | { kind: 'link'; target: string }
  | { kind: 'dir' }
  /** The git directory of a nested repository, as one text with all its names, times and sizes. */
  | { kind: 'git'; content: string };

export type Disk = ReadonlyMap<BytePath, Entry>;

/** Everything in a worktree but its own `.git`. */
export function readDisk(root: string): Disk {
  const disk = new Map<BytePath, Entry>();
  const below = (folder: BytePath): void => {
    for (const name of namesIn(root, folder)) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (path === '.git') continue;
      const entry = entryAt(root, path, name);
      disk.set(path, entry);
      if (entry.kind === 'dir') below(path);
    }
  };
  below('');
  return disk;
}

function namesIn(root: string, folder: BytePath): string[] {
  return readdirSync(onDisk(root, folder), { encoding: 'latin1' }).toSorted();
}

function entryAt(root: string, path: BytePath, name: string): Entry {
  const file = onDisk(root, path);
  const stat = lstatSync(file);
  if (stat.isSymbolicLink())
    return { kind: 'link', target: readlinkSync(file, { encoding: 'buffer' }).toString('latin1') };
  if (name === '.git') return { kind: 'git', content: fingerprint(root, path) };
  if (stat.isDirectory()) return { kind: 'dir' };
  return { kind: 'file', mode: stat.mode & 0o7777, content: readFileSync(file, 'latin1') };
}

/** Names, sizes and times: even a rewrite of equal bytes shows. */
export function fingerprint(root: string, path: BytePath, skip: RegExp = /^$/): string {
  const stat = lstatSync(onDisk(root, path), { bigint: true });
  if (!stat.isDirectory()) return `${path} ${stat.size} ${stat.mtimeNs}`;
  return namesIn(root, path)
    .map((name) => `${path}/${name}`)
    .filter((inside) => !skip.test(inside))
    .map((inside) => fingerprint(root, inside, skip))
    .join('\n');
}

/** Changes to a working copy. Each makes room for itself, so that any list of them can be carried out. */
export class Worktree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  write(path: BytePath, content: string, mode: number): void {
    this.#makeRoom(path);
    writeFileSync(onDisk(this.root, path), Buffer.from(content, 'latin1'));
    chmodSync(onDisk(this.root, path), mode);
  }

  /** Writes into the file that is there, keeping its inode and mode. */
  edit(path: BytePath, content: string): void {
    if (this.#isFile(path)) writeFileSync(onDisk(this.root, path), Buffer.from(content, 'latin1'));
  }

  link(path: BytePath, target: string): void {
    this.#makeRoom(path);
    symlinkSync(Buffer.from(target, 'latin1'), onDisk(this.root, path));
  }

  makeFolder(path: BytePath): void {
    this.#makeRoom(`${path}/x`);
  }

  remove(path: BytePath): void {
    if (this.#behindLink(path)) return;
    rmSync(onDisk(this.root, path), { recursive: true, force: true });
  }

  changeMode(path: BytePath, mode: number): void {
    if (this.#isFile(path)) chmodSync(onDisk(this.root, path), mode);
  }

  move(from: BytePath, to: BytePath): void {
    if (this.#behindLink(from) || isWithin(to, from) || isWithin(from, to)) return;
    if (lstatSync(onDisk(this.root, from), { throwIfNoEntry: false }) === undefined) return;
    this.#makeRoom(to);
    // Making room may have taken away what was to be moved.
    if (lstatSync(onDisk(this.root, from), { throwIfNoEntry: false }) === undefined) return;
    renameSync(onDisk(this.root, from), onDisk(this.root, to));
  }

  /** Puts a copy of a folder there: a nested repository, ready made. */
  copy(from: string, path: BytePath): void {
    this.#makeRoom(`${path}/x`);
    rmSync(onDisk(this.root, `${path}/.git`), { recursive: true, force: true });
    cpSync(from, onDisk(this.root, path).toString('utf8'), { recursive: true, force: true });
  }

  #isFile(path: BytePath): boolean {
    if (this.#behindLink(path)) return false;
    return lstatSync(onDisk(this.root, path), { throwIfNoEntry: false })?.isFile() === true;
  }

  /** True when a folder above is none: a link, a file. */
  #behindLink(path: BytePath): boolean {
    return parentsOf(path).some(
      (parent) => lstatSync(onDisk(this.root, parent), { throwIfNoEntry: false })?.isDirectory() !== true,
    );
  }

  #makeRoom(path: BytePath): void {
    for (const parent of parentsOf(path)) {
      const stat = lstatSync(onDisk(this.root, parent), { throwIfNoEntry: false });
      if (stat?.isDirectory() === true) continue;
      if (stat !== undefined) rmSync(onDisk(this.root, parent));
      mkdirSync(onDisk(this.root, parent));
    }
    if (parentOf(path) !== path) rmSync(onDisk(this.root, path), { recursive: true, force: true });
  }
}
