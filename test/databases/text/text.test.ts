import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CapturedDatabase } from '../../../src/databases/engine.ts';
import { postData, preData, tableName, tablePart } from '../../../src/databases/text/layout.ts';
import { differentLines, sameLines } from '../../../src/databases/text/lines.ts';
import { listTableParts, readAbout, readText, writeScript } from '../../../src/databases/text/reader.ts';
import { type TextPart, writeText, type WrittenText } from '../../../src/databases/text/writer.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { failure, objectCount, place, type Place } from '../support/engine.ts';

const about = { engine: 'postgres', encoding: 'UTF8' };
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function write(where: Place, parts: Record<string, string>): Promise<WrittenText> {
  const list: TextPart[] = Object.entries(parts).map(([part, text]) => ({
    path: part,
    content: [Buffer.from(text)],
  }));
  return writeText(where.repository, list, { about });
}

async function script(where: Place, tree: string): Promise<Record<string, string>> {
  const parts: Record<string, string> = {};
  for await (const { part, content } of readText(where.repository, tree))
    parts[part] = (parts[part] ?? '') + content.toString();
  return parts;
}

/** What plain git and tar give, without git-pitr. */
function plain(where: Place, tree: string): Buffer {
  const options = { cwd: where.repository.worktree, maxBuffer: 1 << 30 };
  return execFileSync('sh', ['-c', `git archive ${tree}:sql | tar -xO`], options);
}

const copyOf = (text: WrittenText): CapturedDatabase => ({ name: 'app', engine: 'postgres', ...text });

/** Lines of rows: `from` inclusive, `to` exclusive. */
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => `${from + at}\trow ${from + at} ${'-'.repeat(at % 90)}\n`);

describe('a copy as SQL text', () => {
  for (const objectFormat of ['sha1', 'sha256'] as const) {
    it(`gives back each part, and with plain git the whole script (${objectFormat})`, async () => {
      const where = await place({ objectFormat });
      const text = fc.oneof(
        fc.string({ maxLength: 200 }),
        fc.integer({ min: 0, max: 30_000 }).map((count) => lines(0, count).join('')),
        fc.integer({ min: 0, max: 900_000 }).map((length) => 'x'.repeat(length)),
      );
      await fc.assert(
        fc.asyncProperty(text, fc.array(text, { maxLength: 4 }), text, async (before, tables, after) => {
          const parts: Record<string, string> = { [preData]: before };
          for (const [index, rows] of tables.entries())
            parts[tablePart(index, 'public', `t"/.${index}`)] = rows;
          parts[postData] = after;
          const written = await write(where, parts);
          const whole = Buffer.from(Object.values(parts).join(''));
          const filled = Object.fromEntries(Object.entries(parts).filter(([, rows]) => rows !== ''));
          expect(await script(where, written.tree)).toEqual(filled);
          expect(written).toMatchObject({ bytes: whole.length, sha256: sha256(whole) });
          if (whole.length > 0) expect(plain(where, written.tree).equals(whole)).toBe(true);
          expect(await readAbout(where.repository, written.tree)).toEqual(about);
          const again = await write(where, parts);
          expect(again).toEqual({ ...written, chunksWritten: 0 });
        }),
        { numRuns: 8 },
      );
    });
  }

  it('of which one row changed adds one chunk, and trees', async () => {
    const where = await place();
    const rows = lines(0, 200_000);
    const part = tablePart(0, 'public', 'orders');
    const first = await write(where, { [preData]: 'CREATE;\n', [part]: rows.join('') });
    expect(first.chunksWritten).toBeGreaterThan(100);
    const before = objectCount(where);
    rows[77_777] = '77777\tchanged\n';
    const second = await write(where, { [preData]: 'CREATE;\n', [part]: rows.join('') });
    expect(second.chunksWritten).toBe(1);
    expect(objectCount(where) - before).toBeLessThanOrEqual(8);
  });

  it('of which a table comes before the others writes no chunk of these again', async () => {
    const where = await place();
    const orders = lines(0, 20_000).join('');
    await write(where, { [tablePart(0, 'public', 'orders')]: orders });
    const second = await write(where, {
      [tablePart(0, 'public', 'a')]: 'a\n',
      [tablePart(1, 'public', 'orders')]: orders,
    });
    expect(second.chunksWritten).toBe(1);
  });

  it('is written to a file only whole, as it was recorded', async () => {
    const where = await place();
    const written = await write(where, { [preData]: 'CREATE;\n', [postData]: 'INDEX;\n' });
    const file = path.join(scratchFolder(), 'app.sql');
    await writeScript(where.context(), copyOf(written), file);
    expect(readFileSync(file, 'utf8')).toBe('CREATE;\nINDEX;\n');

    const wrong = { ...copyOf(written), sha256: sha256(Buffer.from('other')) };
    const other = `${file}.2`;
    const error = await failure(writeScript(where.context(), wrong, other));
    expect(error.kind).toBe('integrity');
    expect(() => readFileSync(other)).toThrow('ENOENT');
  });

  it('that lacks a chunk, or holds what is none, is refused', async () => {
    const where = await place();
    const rows = lines(0, 20_000).join('');
    const { tree } = await write(where, { [tablePart(0, 'public', 'orders')]: rows });
    const folder = `${tree}:sql/1-data/0000-public.orders/0000`;
    const chunks = where.git.git('ls-tree', folder).split('\n');
    expect(chunks.length).toBeGreaterThan(5);
    const mk = (input: string) =>
      execFileSync('git', ['mktree'], { cwd: where.repository.worktree, input }).toString().trim();
    const around = (inner: string) => {
      const table = mk(`040000 tree ${inner}\t0000\n`);
      const data = mk(`040000 tree ${table}\t0000-public.orders\n`);
      const sql = mk(`040000 tree ${data}\t1-data\n`);
      return mk(`040000 tree ${sql}\tsql\n`);
    };
    const without = around(mk(`${chunks.filter((_, at) => at !== 2).join('\n')}\n`));
    expect((await failure(script(where, without))).kind).toBe('integrity');
    const link = around(mk(`${chunks.join('\n').replace('100644', '120000')}\n`));
    expect((await failure(script(where, link))).kind).toBe('integrity');
    const named = around(mk(`${chunks.join('\n').replace('\t0003', '\t.git-x')}\n`));
    expect((await failure(script(where, named))).kind).toBe('integrity');
  });
});

describe('names of tables', () => {
  it('are readable folders, apart from each other, and at most 200 bytes', () => {
    expect(tablePart(3, 'public', 'orders')).toBe('sql/1-data/0003-public.orders');
    expect(tableName('a.b', 'c')).not.toBe(tableName('a', 'b.c'));
    expect(tableName('Größe', 'x/y')).toBe('Gr%C3%B6%C3%9Fe.x%2Fy');
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 63 });
    fc.assert(
      fc.property(name, name, (schema, table) => {
        const folder = tablePart(9999, schema, table).slice('sql/1-data/'.length);
        expect(folder).toMatch(/^9999-[A-Za-z0-9_.~%-]+$/);
        expect(folder.length).toBeLessThanOrEqual(200);
      }),
    );
    const long = 'ü'.repeat(63);
    expect(tableName(long, `${long}a`)).not.toBe(tableName(long, `${long}b`));
  });

  it('past 9999 of them are still in the order of restoring', () => {
    const names = [0, 9, 9998, 9999, 10_000, 10_001, 2_000_000].map((index) => tablePart(index, 's', 't'));
    expect(names.toSorted()).toEqual(names);
  });
});

describe('the lines in which two copies differ', () => {
  async function differ(where: Place, from: string, to: string): Promise<string[]> {
    const part = tablePart(0, 'public', 'orders');
    const [a, b] = [await write(where, { [part]: from }), await write(where, { [part]: to })];
    const found: string[] = [];
    const [before, after] = [
      { tree: a.tree, part },
      { tree: b.tree, part },
    ];
    const same = await sameLines(where.repository, before, after);
    for await (const { side, line } of differentLines(where.repository, before, after))
      found.push(`${side} ${line.toString()}`);
    expect(same).toBe(found.length === 0);
    return found;
  }

  it('are exactly those, whatever their order, and as often as they come', async () => {
    const where = await place();
    const line = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.string({ maxLength: 8 })).map((text) =>
      // A line that is cut into several chunks, now and then.
      text === 'b' ? 'b'.repeat(600_000) : text.replaceAll('\n', ' '),
    );
    const all = fc.array(line, { maxLength: 12 });
    const count = (list: readonly string[]) => {
      const counts = new Map<string, number>();
      for (const one of list) counts.set(one, (counts.get(one) ?? 0) + 1);
      return counts;
    };
    await fc.assert(
      fc.asyncProperty(all, all, async (from, to) => {
        const bytes = (list: readonly string[]) => list.map((one) => `${one}\n`).join('');
        const expected: string[] = [];
        for (const [one, times] of count(from))
          for (let n = count(to).get(one) ?? 0; n < times; n++) expected.push(`from ${one}`);
        for (const [one, times] of count(to))
          for (let n = count(from).get(one) ?? 0; n < times; n++) expected.push(`to ${one}`);
        const found = await differ(where, bytes(from), bytes(to));
        expect(found.toSorted()).toEqual(expected.toSorted());
        expect(await differ(where, bytes(from), bytes(from.toReversed()))).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });

  it('of a large table come from the chunks that differ', async () => {
    const where = await place();
    const before = lines(0, 200_000);
    const after = [...before];
    after[5] = '5\tfive\n';
    after.splice(100_000, 1);
    after.push('200001\tmore\n');
    expect(await differ(where, before.join(''), after.join(''))).toEqual([
      `from ${before[5]?.trimEnd()}`,
      `from ${before[100_000]?.trimEnd()}`,
      'to 5\tfive',
      'to 200001\tmore',
    ]);
  });

  it('are all of a table that is on one side alone', async () => {
    const where = await place();
    const part = tablePart(0, 'public', 'orders');
    const { tree } = await write(where, { [part]: 'a\nb\n' });
    expect(await listTableParts(where.repository, tree)).toEqual([
      { part, oid: where.git.git('rev-parse', `${tree}:${part}`) },
    ]);
    const found: string[] = [];
    for await (const { side, line } of differentLines(where.repository, undefined, { tree, part }))
      found.push(`${side} ${line.toString()}`);
    expect(found).toEqual(['to a', 'to b']);
  });
});
