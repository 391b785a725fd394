/** What a snapshot covers and what a restore must lead to, worked out from nothing but the two states. */
import { type BytePath, isWithin, parentsOf } from '../../../src/git/paths.ts';
import type { Disk, Entry } from './disk.ts';
import { IgnoreRules } from './ignore.ts';

/** Patterns of `pitr.include` and `pitr.exclude`: the same in all cases. */
export const include = ['.env*'];
export const exclude = ['*.tmp'];

/** One repository in the worktree: the worktree's own ('') or a nested one. */
interface Place {
  root: BytePath;
  tracked: ReadonlySet<BytePath>;
  rules: IgnoreRules;
}

/** A working copy at one instant, and what is covered of it. */
export class State {
  readonly disk: Disk;
  /** Outermost first; nested ones that are inside ignored folders are none of ours. */
  readonly #places: readonly Place[];
  readonly #excluded = new IgnoreRules(new Map(), exclude);

  /** @param tracked of each repository in the worktree ('' and folders of nested ones): what its index tracks */
  constructor(disk: Disk, tracked: ReadonlyMap<BytePath, ReadonlySet<BytePath>>) {
    this.disk = disk;
    const roots = [...tracked.keys()].toSorted((a, b) => a.length - b.length);
    const places: Place[] = [];
    for (const root of roots) {
      const outer = places.findLast((place) => isWithin(root, place.root));
      if (outer !== undefined && this.#isIgnored(outer, root, true)) continue;
      places.push({ root, tracked: tracked.get(root) ?? new Set(), rules: rulesOf(disk, root, roots) });
    }
    this.#places = places;
  }

  /** The nested repositories that are covered. */
  get nested(): BytePath[] {
    return this.#places.flatMap(({ root }) => (root === '' ? [] : [root]));
  }

  /** The files and links that a snapshot holds. */
  covered(): Map<BytePath, Entry> {
    return new Map([...this.disk].filter(([path, { kind }]) => isFile(kind) && this.#covers(path)));
  }

  /** The folders that come back, with files in them or without. */
  folders(): BytePath[] {
    const paths = [...this.disk].filter(([, { kind }]) => kind === 'dir').map(([path]) => path);
    const recorded = new Set([...this.covered().keys()].flatMap(parentsOf));
    return paths.filter((path) => recorded.has(path) || !this.ignores(path, true));
  }

  /** What its rules say of a path, also of one that is not there. */
  ignores(path: BytePath, isFolder: boolean): boolean {
    return this.#isIgnored(this.#placeOf(path), path, isFolder);
  }

  tracks(path: BytePath): boolean {
    return this.#placeOf(path).tracked.has(path);
  }

  #covers(path: BytePath): boolean {
    const place = this.#placeOf(path);
    if (this.#excluded.isIgnored(path.slice(place.root === '' ? 0 : place.root.length + 1), false))
      return false;
    return place.tracked.has(path) || !this.#isIgnored(place, path, false);
  }

  #placeOf(path: BytePath): Place {
    // The folder of a nested repository itself is one of the outer one's.
    const inside = ({ root }: Place) => root === '' || (path !== root && isWithin(path, root));
    return this.#places.findLast(inside) as Place;
  }

  #isIgnored({ root, rules }: Place, path: BytePath, isFolder: boolean): boolean {
    return rules.isIgnored(root === '' ? path : path.slice(root.length + 1), isFolder);
  }
}

export function isFile(kind: Entry['kind'] | undefined): boolean {
  return kind === 'file' || kind === 'link';
}

function rulesOf(disk: Disk, root: BytePath, roots: readonly BytePath[]): IgnoreRules {
  const files = new Map<BytePath, string>();
  for (const [path, entry] of disk) {
    if (entry.kind !== 'file' || !/(^|\/)\.gitignore$/.test(path) || !isWithin(path, root)) continue;
    const nearest = roots.findLast((other) => isWithin(path, other));
    if (nearest !== root) continue;
    const relative = root === '' ? path : path.slice(root.length + 1);
    files.set(relative.slice(0, Math.max(0, relative.length - '/.gitignore'.length)), entry.content);
  }
  return new IgnoreRules(files, [...include.map((pattern) => `!${pattern}`), ...exclude]);
}

/** What must be there after a restore. */
export interface Expected {
  files: Map<BytePath, Entry>;
  /** Paths that keep what is there now although the target holds something else: what is in the way is recorded nowhere. */
  blocked: Set<BytePath>;
  folders: Set<BytePath>;
  /** Folders that must not be there. */
  gone: Set<BytePath>;
}

/** What a restore of everything from `now` to `then` must lead to. */
export function expectedAfter(then: State, now: State): Expected {
  const wanted = then.covered();
  const recorded = now.covered();
  const thenFolders = new Set(then.folders());
  const newer = now.nested.filter(
    (folder) =>
      !then.nested.includes(folder) && ![...wanted.keys()].some((path) => path.startsWith(`${folder}/`)),
  );
  const isNewer = (path: BytePath) => newer.some((folder) => isWithin(path, folder));
  const wasFolder = new Set(
    [...wanted.keys(), ...[...thenFolders].map((path) => `${path}/`)].flatMap(parentsOf),
  );
  /** True for what may have been there then, ignored, so that the snapshot says nothing of it. */
  const mayHaveBeen = (path: BytePath, isFolder: boolean) =>
    then.ignores(path, isFolder) &&
    !then.tracks(path) &&
    (isFolder || !wasFolder.has(path)) &&
    !parentsOf(path).some((parent) => wanted.has(parent));

  const stays = new Map(
    [...now.disk].filter(([path, { kind }]) => {
      if (kind === 'dir' || wanted.has(path)) return false;
      if (kind === 'git' || !recorded.has(path)) return true;
      return isNewer(path) || mayHaveBeen(path, false);
    }),
  );
  const sheltering = new Set([...stays.keys()].flatMap(parentsOf));
  const blocked = new Set([...wanted.keys()].filter((path) => sheltering.has(path)));
  const files = new Map(stays);
  for (const [path, entry] of wanted) if (!blocked.has(path)) files.set(path, entry);
  // A file in the place of a folder that comes back is recorded, and goes.
  for (const path of stays.keys()) if (wasFolder.has(path)) files.delete(path);

  const folders = new Set([...files.keys()].flatMap(parentsOf));
  for (const path of thenFolders) for (const folder of parentsOf(`${path}/`)) folders.add(folder);
  const maybe = new Set<BytePath>();
  for (const [path, { kind }] of now.disk) {
    if (kind !== 'dir' || files.has(path) || parentsOf(path).some((parent) => files.has(parent))) continue;
    const held = [...recorded.keys()].some((file) => file.startsWith(`${path}/`));
    const untouched = isNewer(path) || (now.ignores(path, true) && !held);
    const into = untouched ? folders : mayHaveBeen(path, true) || now.ignores(path, true) ? maybe : undefined;
    if (into !== undefined) for (const folder of parentsOf(`${path}/`)) into.add(folder);
  }
  for (const [path, { kind }] of then.disk) if (kind === 'dir') maybe.add(path);
  const there = [...now.disk].filter(([, { kind }]) => kind === 'dir').map(([path]) => path);
  const gone = new Set(there.filter((path) => !folders.has(path) && !maybe.has(path)));
  return { files, blocked, folders, gone };
}
