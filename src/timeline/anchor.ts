import path from 'node:path';
import type { ImportStream } from '../git/fastImport.ts';
import { type HashedEntry, hashObject, hashTree } from '../git/hash.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { emptyTree } from '../git/trees.ts';
import { createHash } from '../system/crypto.ts';
import { readFileIfThere, writeCache } from '../system/files.ts';
import { type Tips, tipsKey } from './tips.ts';

/**
 * Anchors: what keeps alive what the refs of a snapshot pointed to (docs/decisions/0006).
 *
 * An anchor is a commit whose parents are the tips; what cannot be a parent (tag objects, tagged files and folders) is
 * in its tree. Each snapshot names its anchor in a trailer, so that a commit written anew still names it, and
 * `refs/pitr/anchor/<line>` leads to all of them. While no tip changes the anchor stays the same.
 *
 * Of many tips it is a tree of such commits, by the digits of the tips' ids: a branch that moves among 10,000 tags
 * writes three commits of at most 64 parents, and not one of 10,000.
 */
export interface Anchor {
  oid: string;
  key: string;
  /** Writes it into an import; nothing where it is there already. Gives the mark of the anchor. */
  write(stream: ImportStream, branch: string): string;
  /** Remembers how it is made up, for the next one; once a ref keeps it. */
  remember(): void;
}

/** Tips of one commit. More are parted by their next digit. */
const maxTips = 64;

/** What keeps one tip. */
interface Keeping {
  /** Commits. */
  parents: string[];
  /** Entries of the tree: `text` is written as a file. */
  entries: { name: string; mode: '100644' | '040000'; oid: string; text?: string }[];
}

interface Memory {
  anchor: string;
  /** Parts of it: hash of the tips -> commit. */
  parts: Record<string, string>;
  /** What keeps what tags point to: oid -> how. */
  tagged: Record<string, Keeping>;
}

/**
 * Works out the anchor of these tips; undefined when there is none to keep.
 * @param known the anchor that a ref keeps already, with all its parts
 * @param careful looks for each tip, and leaves out what is missing: a damaged branch must not keep a snapshot from
 *   being taken
 */
export async function planAnchor(
  repository: Repository,
  tips: Tips,
  options: { known: string; epochMs: number; careful: boolean },
): Promise<Anchor | undefined> {
  const memory = readMemory(repository, options.known);
  const commits = options.careful ? await onlyCommits(repository, tips.commits) : tips.commits;
  const tagged = await keepingsOf(repository, tips.tagged, memory);
  const keepings = new Map<string, Keeping>([
    ...commits.map((oid): [string, Keeping] => [oid, { parents: [oid], entries: [] }]),
    ...tagged,
  ]);
  if (keepings.size === 0) return undefined;
  const plan = new Plan(repository, keepings, memory.parts, options.epochMs);
  const top = plan.add([...keepings.keys()].toSorted(), 0);
  return {
    oid: top.oid,
    key: tipsKey(tips),
    write: (stream, branch) => plan.write(stream, branch),
    remember: () =>
      writeCache(
        memoryFile(repository),
        JSON.stringify({ anchor: top.oid, parts: plan.parts, tagged: Object.fromEntries(tagged) }),
      ),
  };
}

interface Part {
  oid: string;
  /** Missing for one that is there already. */
  made?: { parents: (string | Part)[]; entries: Keeping['entries'] };
}

class Plan {
  readonly parts: Record<string, string> = {};
  readonly #new: Part[] = [];
  #top: Part = { oid: '' };
  readonly #repository: Repository;
  readonly #keepings: ReadonlyMap<string, Keeping>;
  readonly #known: Readonly<Record<string, string>>;
  readonly #epochMs: number;

  constructor(
    repository: Repository,
    keepings: ReadonlyMap<string, Keeping>,
    known: Readonly<Record<string, string>>,
    epochMs: number,
  ) {
    this.#repository = repository;
    this.#keepings = keepings;
    this.#known = known;
    this.#epochMs = epochMs;
  }

  add(tips: readonly string[], depth: number): Part {
    const key = `${depth} ${createHash('sha256').update(tips.join()).digest('hex')}`;
    const known = this.#known[key];
    const parts = partsOf(tips, depth).map((child) => this.add(child, depth + 1));
    const part = known === undefined ? this.#make(tips, parts) : { oid: known };
    this.parts[key] = part.oid;
    if (part.made !== undefined) this.#new.push(part);
    this.#top = part;
    return part;
  }

  #make(tips: readonly string[], parts: readonly Part[]): Part {
    const keepings = parts.length > 0 ? [] : tips.map((tip) => this.#keepings.get(tip));
    const parents = parts.length > 0 ? parts : [...new Set(keepings.flatMap((each) => each?.parents ?? []))];
    const byName = new Map(
      keepings.flatMap((each) => each?.entries ?? []).map((entry) => [entry.name, entry]),
    );
    const entries = [...byName.values()];
    const hashed = entries.map(
      ({ name, mode, oid }): HashedEntry => ({ name, oid, mode: mode === '040000' ? '40000' : mode }),
    );
    const tree = entries.length === 0 ? emptyTree(this.#repository) : hashTree(this.#repository, hashed);
    const who = `git-pitr <git-pitr@localhost> ${Math.floor(this.#epochMs / 1000)} +0000`;
    const lines = [
      `tree ${tree}`,
      ...parents.map((parent) => `parent ${typeof parent === 'string' ? parent : parent.oid}`),
      `author ${who}`,
      `committer ${who}`,
    ];
    const content = Buffer.from(`${lines.join('\n')}\n\n${anchorMessage}`);
    return { oid: hashObject(this.#repository, 'commit', content), made: { parents: [...parents], entries } };
  }

  write(stream: ImportStream, branch: string): string {
    const marks = new Map<Part, string>();
    for (const part of this.#new) {
      const { parents, entries } = part.made ?? { parents: [], entries: [] };
      const names = parents.map((parent) =>
        typeof parent === 'string' ? parent : (marks.get(parent) ?? parent.oid),
      );
      const scratch = `${branch}-${marks.size}`;
      const begin = {
        branch: scratch,
        epochMs: this.#epochMs,
        message: anchorMessage,
        from: names[0],
        clear: true,
      };
      marks.set(part, stream.commit(begin));
      for (const name of names.slice(1)) stream.text(`merge ${name}`);
      for (const { name, mode, oid, text } of entries)
        if (text === undefined) stream.put(mode, oid, name);
        else stream.putInline(name, Buffer.from(text, 'latin1'));
    }
    return marks.get(this.#top) ?? this.#top.oid;
  }
}

function partsOf(tips: readonly string[], depth: number): string[][] {
  if (tips.length <= maxTips) return [];
  const parts = new Map<string, string[]>();
  for (const tip of tips) {
    const digit = tip[depth] ?? '';
    const part = parts.get(digit);
    if (part === undefined) parts.set(digit, [tip]);
    else part.push(tip);
  }
  return [...parts.values()];
}

/** Ends every commit of an anchor; it tells them from the tips. */
export const anchorMessage = 'What refs pointed to, kept for snapshots\n';

async function onlyCommits(repository: Repository, oids: readonly string[]): Promise<string[]> {
  const found = await objectReader(repository).info(oids);
  return oids.filter((_, at) => found[at]?.type === 'commit');
}

async function keepingsOf(
  repository: Repository,
  oids: readonly string[],
  { tagged }: Memory,
): Promise<Map<string, Keeping>> {
  const fresh = oids.filter((oid) => tagged[oid] === undefined);
  const infos = fresh.length === 0 ? [] : await objectReader(repository).info(fresh);
  const keepings = new Map<string, Keeping>();
  for (const [at, oid] of fresh.entries()) {
    const keeping: Keeping = { parents: [], entries: [] };
    const type = infos[at]?.type;
    if (type === 'commit') keeping.parents.push(oid);
    else await keepOther(repository, oid, type ?? '', keeping, 0);
    keepings.set(oid, keeping);
  }
  return new Map(
    oids
      .map((oid) => [oid, tagged[oid] ?? keepings.get(oid) ?? { parents: [], entries: [] }] as const)
      .filter(([, { parents, entries }]) => parents.length + entries.length > 0),
  );
}

/** Tags of tags of tags; git follows more, nobody makes them. */
const maxNesting = 8;

async function keepOther(
  repository: Repository,
  oid: string,
  type: string,
  keeping: Keeping,
  depth: number,
): Promise<void> {
  if (type === 'tree' || type === 'blob')
    keeping.entries.push({ name: oid, mode: type === 'tree' ? '040000' : '100644', oid });
  if (type !== 'tag' || depth > maxNesting) return;
  const [content] = await objectReader(repository).read([oid], maxTagBytes);
  const [, target = '', targetType = ''] = tagHeader.exec(content?.toString('latin1') ?? '') ?? [];
  if (content === undefined || target === '') return;
  const text = content.toString('latin1');
  keeping.entries.push({ name: oid, mode: '100644', oid: hashObject(repository, 'blob', content), text });
  const [there] = await objectReader(repository).info([target]);
  if (there?.type !== targetType) return;
  if (targetType === 'commit') keeping.parents.push(target);
  else await keepOther(repository, target, targetType, keeping, depth + 1);
}

const maxTagBytes = 1024 ** 2;
const tagHeader = /^object ([0-9a-f]{40,64})\ntype (\w+)\n/;

function memoryFile(repository: Repository): string {
  return path.join(repository.lineDir, 'anchor.json');
}

/** Only a cache: of another anchor than the one a ref keeps, what it says need not be there any more. */
function readMemory(repository: Repository, anchor: string): Memory {
  const nothing: Memory = { anchor: '', parts: {}, tagged: {} };
  if (anchor === '') return nothing;
  try {
    const memory = JSON.parse(readFileIfThere(memoryFile(repository)) ?? '{}') as Partial<Memory>;
    return memory.anchor === anchor ? { ...nothing, ...memory } : nothing;
  } catch {
    return nothing;
  }
}
