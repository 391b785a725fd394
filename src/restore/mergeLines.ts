import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ImportStream } from '../git/fastImport.ts';
import { hashObject } from '../git/hash.ts';
import { makeImportPlace } from '../git/importPlace.ts';
import { objectReader } from '../git/objectReader.ts';
import type { Repository } from '../git/repository.ts';
import { type GitOptions, git } from '../git/run.ts';
import { listTree } from '../git/trees.ts';
import { randomId } from '../system/files.ts';

/** Three contents to merge line by line, by their object ids; without `base` both sides added the file. */
export interface ThreeContents {
  base?: string;
  now: string;
  target: string;
}

/** What became of them. `marked`: the lines that both sides changed are marked; `binary`: it is not text. */
export interface MergedContent {
  oid: string;
  conflict?: 'marked' | 'binary';
}

/** What the sides are called in conflict marks. */
export interface Labels {
  base: string;
  now: string;
  target: string;
}

export interface MergedContents {
  results: MergedContent[];
  /** A commit that holds all of it: the contents are in no snapshot yet. */
  commit: string;
}

/**
 * Merges any number of files with one `git merge-tree`, by git's own rules for lines, line ends and binary files: each
 * side becomes a commit in which the files have numbers for names, so that neither names, attributes nor renames can
 * matter (`git merge-file` would be a process a file).
 * @param style the user's `merge.conflictStyle`
 */
export async function mergeLines(
  repository: Repository,
  files: readonly ThreeContents[],
  labels: Labels,
  style: string | undefined,
): Promise<MergedContents> {
  const sides = await importSides(repository, files);
  const { tree, conflicts } = await mergeSides(repository, sides, style);
  const merged = new Map<string, string>();
  for await (const entry of listTree(repository, tree, { recursive: true, sizes: false }))
    merged.set(entry.path, entry.oid);
  const results = files.map((file, index): MergedContent => {
    const oid = merged.get(nameOf(index)) ?? file.now;
    if (!conflicts.has(nameOf(index))) return { oid };
    // git takes one side where it cannot merge: there are no marks in it.
    return { oid, conflict: oid === file.now ? 'binary' : 'marked' };
  });
  const marked = results.filter(({ conflict }) => conflict === 'marked');
  const contents = await objectReader(repository).read(
    marked.map(({ oid }) => oid),
    Number.POSITIVE_INFINITY,
  );
  const relabelled = contents.map((content) => relabel(content ?? Buffer.alloc(0), sides, labels));
  for (const [index, result] of marked.entries())
    result.oid = hashObject(repository, 'blob', relabelled[index] ?? Buffer.alloc(0));
  return { results, commit: await keep(repository, tree, relabelled) };
}

function nameOf(index: number): string {
  return `${Math.floor(index / 1000)}/${index}`;
}

/** Three commits, `now` and `target` on top of `base`, by their oids. */
async function importSides(repository: Repository, files: readonly ThreeContents[]): Promise<Labels> {
  const stream = new ImportStream();
  const scratch = `refs/pitr/incoming/merge-${randomId()}`;
  const side = (name: keyof ThreeContents, from: string | undefined) => {
    const mark = stream.commit({ branch: `${scratch}-${name}`, epochMs: 0, message: name, from });
    for (const [index, file] of files.entries()) {
      const oid = file[name];
      if (oid !== undefined) stream.put('100644', oid, nameOf(index));
    }
    stream.text(`get-mark ${mark}`);
    return mark;
  };
  const base = side('base', undefined);
  side('now', base);
  side('target', base);
  const [baseOid = '', now = '', target = ''] = await stream.run(repository);
  return { base: baseOid, now, target };
}

async function mergeSides(
  repository: Repository,
  sides: Labels,
  style: string | undefined,
): Promise<{ tree: string; conflicts: Set<string> }> {
  // A folder without a .gitattributes, for a merge without attributes.
  const cwd = path.join(repository.lineDir, 'empty');
  mkdirSync(cwd, { recursive: true, mode: 0o700 });
  const flags = ['--write-tree', '-z', '--name-only', '--no-messages'];
  const place = makeImportPlace(repository);
  const options: GitOptions = {
    cwd,
    env: { ...place.env, GIT_WORK_TREE: cwd, GIT_ATTR_NOSYSTEM: '1' },
    config: [
      ['core.attributesFile', '/dev/null'],
      // Marks carry whole oids, which `relabel` looks for.
      ['core.abbrev', 'no'],
      ['merge.conflictStyle', ['diff3', 'zdiff3'].includes(style ?? '') ? (style as string) : 'merge'],
      ['merge.default', 'text'],
      ['merge.renames', 'false'],
      ['merge.renormalize', 'false'],
    ],
    okCodes: [0, 1],
  };
  const { stdout } = await git(['merge-tree', ...flags, sides.now, sides.target], options).finally(() =>
    place.remove(),
  );
  const [tree = '', ...names] = stdout.toString('latin1').split('\0');
  return { tree, conflicts: new Set(names.filter((name) => name !== '')) };
}

/** Writes what the sides are called in the place of their commits. */
function relabel(content: Buffer, sides: Labels, labels: Labels): Buffer {
  const text = content
    .toString('latin1')
    .replaceAll(`<<<<<<< ${sides.now}`, `<<<<<<< ${labels.now}`)
    .replaceAll(`||||||| ${sides.base}`, `||||||| ${labels.base}`)
    .replaceAll(`>>>>>>> ${sides.target}`, `>>>>>>> ${labels.target}`);
  return Buffer.from(text, 'latin1');
}

/** Records the merged contents. */
async function keep(repository: Repository, tree: string, marked: readonly Buffer[]): Promise<string> {
  const stream = new ImportStream();
  const branch = `refs/pitr/incoming/merged-${randomId()}`;
  const mark = stream.commit({ branch, epochMs: 0, message: 'merged', from: undefined });
  stream.put('040000', tree, 'merged');
  for (const [index, content] of marked.entries()) stream.putInline(`marked/${nameOf(index)}`, content);
  stream.text(`get-mark ${mark}`);
  const [commit = ''] = await stream.run(repository);
  return commit;
}
