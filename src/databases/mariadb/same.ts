import type { Repository } from '../../git/repository.ts';
import { resolveTree } from '../../git/trees.ts';
import { postData, preData, tableOfPart } from '../text/layout.ts';
import { differentLines, type PartOfTree } from '../text/lines.ts';
import { listTableParts, readText } from '../text/reader.ts';

/**
 * Where a copy of a restored database is not the recorded one; undefined when it is. Events are not looked at: they are
 * not made before the database is in its place.
 * @param exactWords the definitions must be the same text; else only the same objects
 */
export async function findDifference(
  repository: Repository,
  restored: string,
  recorded: string,
  exactWords: boolean,
): Promise<string | undefined> {
  if (restored === recorded) return undefined;
  for (const part of [preData, postData]) {
    const [there, wanted] = [
      await objectsOf(repository, restored, part),
      await objectsOf(repository, recorded, part),
    ];
    for (const name of new Set([...wanted.keys(), ...there.keys()])) {
      const [a, b] = [there.get(name), wanted.get(name)];
      if (a === undefined || b === undefined || (exactWords && a !== b)) return name;
    }
  }
  return differentRows(repository, restored, recorded);
}

/** The statements of a part of the schema, by what they make. */
async function objectsOf(repository: Repository, tree: string, part: string): Promise<Map<string, string>> {
  const objects = new Map<string, string>();
  const text = await partText(repository, tree, part);
  const settled = text.split('\n').filter((line) => !/^(-- |DELIMITER )/.test(line));
  let name = 'its settings';
  for (const line of settled) {
    const made =
      /^CREATE (?:.*? )?(TABLE|SEQUENCE|VIEW|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE|TRIGGER) (`(?:[^`]|``)*`)/.exec(
        line,
      );
    if (made !== null) name = `the ${made[1]?.toLowerCase()} ${made[2]}`;
    objects.set(name, `${objects.get(name) ?? ''}${line}\n`);
  }
  return objects;
}

/** A part of a copy as one text: for schemas, not for rows. */
async function partText(repository: Repository, tree: string, part: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const { content } of readText(repository, tree, [part])) chunks.push(content);
  return Buffer.concat(chunks).toString('utf8');
}

async function differentRows(
  repository: Repository,
  restored: string,
  recorded: string,
): Promise<string | undefined> {
  const wanted = await tableParts(repository, recorded);
  const there = await tableParts(repository, restored);
  for (const table of new Set([...wanted.keys(), ...there.keys()])) {
    const [from, to] = [wanted.get(table), there.get(table)];
    if (from?.oid === to?.oid) continue;
    const sides: [PartOfTree | undefined, PartOfTree | undefined] = [
      from && { tree: recorded, part: from.part },
      to && { tree: restored, part: to.part },
    ];
    for await (const _ of differentRowLines(repository, ...sides)) return `the rows of ${table}`;
  }
  return undefined;
}

async function tableParts(
  repository: Repository,
  tree: string,
): Promise<Map<string, { part: string; oid: string }>> {
  const filled = (await resolveTree(repository, `${tree}:${preData}`)) !== '';
  const parts = filled ? await listTableParts(repository, tree) : [];
  return new Map(parts.map((entry) => [tableOfPart(entry.part) ?? entry.part, entry]));
}

/** The rows that only one of two copies of a table has, as `(…)`, whichever statement they stand in. */
async function* differentRowLines(
  repository: Repository,
  from: PartOfTree | undefined,
  to: PartOfTree | undefined,
): AsyncGenerator<{ side: 'from' | 'to'; row: string }> {
  const surplus = new Map<string, number>();
  const after: string[] = [];
  const before: string[] = [];
  for await (const { side, line } of differentLines(repository, from, to)) {
    const row = rowOf(line.toString('utf8'));
    if (row === undefined) continue;
    if (side === 'from') {
      before.push(row);
      surplus.set(row, (surplus.get(row) ?? 0) + 1);
    } else {
      const count = surplus.get(row) ?? 0;
      if (count === 0) after.push(row);
      else surplus.set(row, count - 1);
    }
  }
  for (const row of before) {
    const count = surplus.get(row) ?? 0;
    if (count === 0) continue;
    surplus.set(row, count - 1);
    yield { side: 'from', row };
  }
  for (const row of after) yield { side: 'to', row };
}

/** A line of rows without what stands behind it; undefined for another line. */
function rowOf(line: string): string | undefined {
  return line.startsWith('(') ? line.replace(/[,;]$/, '') : undefined;
}
