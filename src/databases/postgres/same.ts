import type { Repository } from '../../git/repository.ts';
import { resolveTree } from '../../git/trees.ts';
import { postData, preData, tableOfPart } from '../text/layout.ts';
import { sameLines } from '../text/lines.ts';
import { listTableParts } from '../text/reader.ts';
import { partText } from './capture.ts';
import { exactParts } from './script.ts';

/**
 * Where a copy of a restored database is not the recorded one; undefined when it is. Rows, values of sequences, large
 * objects and what belongs to the database as a whole must be equal (rows: in any order, as a sort order may have
 * changed with the operating system). Of the schema the words may differ (`memory.ts`), the objects may not.
 */
export async function findDifference(
  repository: Repository,
  restored: string,
  recorded: string,
): Promise<string | undefined> {
  if (restored === recorded) return undefined;
  return (
    (await findDifferentData(repository, restored, recorded)) ??
    (await findDifferentObjects(repository, restored, recorded))
  );
}

/** The same, of rows, sequences, large objects and the database as a whole. */
export async function findDifferentData(
  repository: Repository,
  restored: string,
  recorded: string,
): Promise<string | undefined> {
  for (const part of exactParts)
    if ((await oidOf(repository, restored, part)) !== (await oidOf(repository, recorded, part)))
      return part.replace(/^.*\/\d-/, 'its ').replace('-', ' ');
  return differentRows(repository, restored, recorded);
}

function oidOf(repository: Repository, tree: string, part: string): Promise<string> {
  return resolveTree(repository, `${tree}:${part}`);
}

async function differentRows(
  repository: Repository,
  restored: string,
  recorded: string,
): Promise<string | undefined> {
  const wanted = await tableParts(repository, recorded);
  const there = await tableParts(repository, restored);
  for (const [table, { part, oid }] of wanted) {
    const other = there.get(table);
    if (other === undefined) return `the table ${table}`;
    there.delete(table);
    if (other.oid === oid) continue;
    const from = { tree: recorded, part };
    const to = { tree: restored, part: other.part };
    if (!(await sameLines(repository, from, to))) return `the rows of ${table}`;
  }
  for (const table of there.keys()) return `the table ${table}`;
  return undefined;
}

async function tableParts(
  repository: Repository,
  tree: string,
): Promise<Map<string, { part: string; oid: string }>> {
  const parts = await listTableParts(repository, tree);
  return new Map(parts.map((entry) => [tableOfPart(entry.part) ?? entry.part, entry]));
}

/** pg_dump names each object above its statement. */
const heading = /^-- Name: .*; Type: .*; Schema: .*; Owner: .*$/gm;

/** The same, of what its schema consists of. */
export async function findDifferentObjects(
  repository: Repository,
  restored: string,
  recorded: string,
): Promise<string | undefined> {
  for (const part of [preData, postData]) {
    const [there, wanted] = await Promise.all(
      [restored, recorded].map(async (tree) => {
        const text = (await partText(repository, tree, part)).toString('latin1');
        return (text.match(heading) ?? []).toSorted();
      }),
    );
    const [a, b] = [there ?? [], wanted ?? []];
    const odd = [...a.filter((line) => !b.includes(line)), ...b.filter((line) => !a.includes(line))][0];
    if (odd !== undefined) return odd.slice(3);
    if (a.length !== b.length) return 'the number of its objects';
  }
  return undefined;
}
