import { PitrError } from '../errors.ts';
import { objectReader } from '../git/objectReader.ts';
import { type BytePath, displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { parseTree, readTree } from '../git/treeEntries.ts';
import type { TreeEntry } from '../git/trees.ts';
import { createHash } from '../system/crypto.ts';
import { progressOf } from '../system/progress.ts';

/**
 * Reads every object of snapshots and hashes it: git itself looks at the checksum of what it unpacks and not at the name
 * of an object, and `rev-list --objects` opens no file at all. Each object is read once, however many snapshots hold it.
 */
export interface CheckedObjects {
  /** Oid -> what is wrong with it. */
  bad: Map<string, string>;
  /** Oid -> type, of all that are sound. */
  sound: Map<string, string>;
  /** Objects that a partial clone has not fetched, or has lost: nobody can tell. */
  absent: number;
  bytes: number;
}

const maxTreeBytes = 64 * 1024 ** 2;

/** @param roots commits @param isPartial objects may be absent */
export async function checkObjectsOf(
  repository: Repository,
  roots: readonly string[],
  isPartial: boolean,
): Promise<CheckedObjects> {
  const checked: CheckedObjects = { bad: new Map(), sound: new Map(), absent: 0, bytes: 0 };
  const seen = new Set<string>();
  const fresh = (oids: readonly string[]) =>
    oids.filter((oid) => {
      if (seen.has(oid)) return false;
      seen.add(oid);
      return true;
    });
  let level = fresh(roots);
  progressOf(repository)?.begin('reading objects');
  while (level.length > 0) {
    const found: string[] = [];
    await checkAll(repository, level, checked, isPartial, found);
    level = fresh(found);
  }
  return checked;
}

async function checkAll(
  repository: Repository,
  oids: readonly string[],
  checked: CheckedObjects,
  isPartial: boolean,
  found: string[],
): Promise<void> {
  let answered = 0;
  try {
    await objectReader(repository).stream(oids, async (at, object, content) => {
      const oid = oids[at] ?? '';
      if (object === undefined) {
        if (isPartial) checked.absent++;
        else checked.bad.set(oid, 'is missing');
      } else {
        const hash = createHash(repository.objectFormat).update(`${object.type} ${object.size}\0`);
        const parts: Buffer[] = [];
        for await (const part of content) {
          hash.update(part);
          if (object.type !== 'blob' && object.size <= maxTreeBytes) parts.push(part);
        }
        if (hash.digest('hex') === oid) {
          checked.sound.set(oid, object.type);
          found.push(...innerOf(repository, object.type, Buffer.concat(parts)));
        } else checked.bad.set(oid, 'has other content than its name says');
        checked.bytes += object.size;
        progressOf(repository)?.advance({ files: 1, bytes: object.size });
      }
      answered = at + 1;
    });
  } catch (error) {
    // git ends at an object that it cannot unpack, and what it had not sent on is lost with it.
    if (!(error instanceof PitrError) || /not found|ENOENT/.test(error.message)) throw error;
    const [first = '', ...rest] = oids.slice(answered);
    if (rest.length === 0) {
      checked.bad.set(first, 'cannot be unpacked');
      return;
    }
    const left = [first, ...rest];
    const half = Math.ceil(left.length / 2);
    await checkAll(repository, left.slice(0, half), checked, isPartial, found);
    await checkAll(repository, left.slice(half), checked, isPartial, found);
  }
}

/** What a snapshot commit or a tree leads to; not its parents, and not the commits of nested repositories. */
function innerOf(repository: Repository, type: string, content: Buffer): string[] {
  if (type === 'commit') {
    const tree = /^tree ([0-9a-f]{40,64})\n/.exec(content.toString('latin1', 0, 100))?.[1];
    return tree === undefined ? [] : [tree];
  }
  if (type !== 'tree') return [];
  return [...parseTree(repository, content).values()]
    .filter(({ mode }) => mode !== '160000')
    .map(({ oid }) => oid);
}

/** Where damaged objects are in snapshots. Looks into each folder once. */
export class DamageFinder {
  readonly #repository: Repository;
  readonly #bad: ReadonlyMap<string, string>;
  readonly #known = new Map<string, { path: BytePath; oid: string }[]>();

  constructor(repository: Repository, bad: ReadonlyMap<string, string>) {
    this.#repository = repository;
    this.#bad = bad;
  }

  /** Paths in a snapshot (`files/src/app.ts`) that are hurt, and why. */
  async pathsOf(commit: string): Promise<{ path: string; oid: string; problem: string }[]> {
    if (this.#bad.size === 0) return [];
    const own = this.#bad.get(commit);
    if (own !== undefined) return [{ path: '', oid: commit, problem: `its commit ${own}` }];
    const tree = (await objectReader(this.#repository).info([`${commit}^{tree}`]))[0]?.oid;
    const name = tree ?? (await this.#treeName(commit));
    return (await this.#below(name)).map(({ path, oid }) => ({
      path: displayPath(path),
      oid,
      problem: `the object ${oid} ${this.#bad.get(oid) ?? ''}`,
    }));
  }

  async #treeName(commit: string): Promise<string> {
    const [content] = await objectReader(this.#repository).read([commit]);
    return /^tree ([0-9a-f]{40,64})\n/.exec(content?.toString('latin1', 0, 100) ?? '')?.[1] ?? '';
  }

  async #below(tree: string): Promise<{ path: BytePath; oid: string }[]> {
    if (this.#bad.has(tree)) return [{ path: '', oid: tree }];
    const known = this.#known.get(tree);
    if (known !== undefined) return known;
    const found: { path: BytePath; oid: string }[] = [];
    const entries = (await readTree(this.#repository, tree)) ?? new Map<BytePath, TreeEntry>();
    for (const [name, { mode, oid }] of entries) {
      const inner =
        mode === '040000' ? await this.#below(oid) : this.#bad.has(oid) ? [{ path: '', oid }] : [];
      for (const { path, oid: hurt } of inner)
        found.push({ path: path === '' ? name : `${name}/${path}`, oid: hurt });
    }
    this.#known.set(tree, found);
    return found;
  }
}
