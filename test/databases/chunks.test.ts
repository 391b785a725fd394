import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
  closeSync,
  truncateSync,
} from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkSize, chunksPerFolder, compareImage, readImage } from '../../src/databases/chunks.ts';
import { writeImage } from '../../src/databases/imageWriter.ts';
import { failure, objectCount, place, type Place } from './support/engine.ts';

async function content(where: Place, tree: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of readImage(where.repository, tree)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

function fileIn(where: Place, bytes: Buffer): string {
  const file = path.join(where.repository.privateDir, '..', `content-${randomBytes(4).toString('hex')}`);
  writeFileSync(file, bytes);
  return file;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('images', () => {
  for (const objectFormat of ['sha1', 'sha256'] as const) {
    it(`give back what was written, from any previous image (${objectFormat})`, async () => {
      const where = await place({ objectFormat });
      let previous: string | undefined;
      const sizes = fc.oneof(
        fc.constantFrom(
          0,
          1,
          chunkSize - 1,
          chunkSize,
          chunkSize + 1,
          3 * chunkSize,
          16 * chunkSize,
          16 * chunkSize + 7,
        ),
        fc.integer({ min: 0, max: 20 * chunkSize }),
      );
      await fc.assert(
        fc.asyncProperty(sizes, fc.integer({ min: 0, max: 2 }), async (size, seed) => {
          const bytes = Buffer.alloc(size, `${seed}-content `);
          if (size > 5) bytes.writeUInt32BE(seed * 7919, size - 5);
          const file = fileIn(where, bytes);
          const image = await writeImage(where.repository, file, previous);
          previous = image.tree;
          expect(image.bytes).toBe(size);
          expect(image.sha256).toBe(sha256(bytes));
          expect((await content(where, image.tree)).equals(bytes)).toBe(true);
          expect(await compareImage(where.repository, image.tree, file)).toBe(true);
          const fresh = await writeImage(where.repository, file, undefined);
          expect(fresh).toEqual({ ...image, chunksWritten: 0 });
        }),
        { numRuns: 25 },
      );
      where.git.git('-C', where.repository.worktree, 'fsck', '--strict');
    });
  }

  it('add nothing for an unchanged file, and one chunk with its trees for one changed byte', async () => {
    const where = await place();
    const file = fileIn(where, randomBytes(300 * chunkSize + 5));
    const first = await writeImage(where.repository, file, undefined);
    expect(first.chunksWritten).toBe(301);
    const before = objectCount(where);
    for (let turn = 0; turn < 3; turn++) {
      expect(await writeImage(where.repository, file, first.tree)).toEqual({ ...first, chunksWritten: 0 });
    }
    expect(objectCount(where)).toBe(before);

    const handle = openSync(file, 'r+');
    writeSync(handle, Buffer.from([1, 2, 3]), 0, 3, 299 * chunkSize);
    closeSync(handle);
    expect(await compareImage(where.repository, first.tree, file)).toBe(false);
    const second = await writeImage(where.repository, file, first.tree);
    expect(second.chunksWritten).toBe(1);
    // The chunk; the trees of its folder, of image and of the database; the unreferenced commit of the import.
    expect(objectCount(where)).toBe(before + 5);

    // Back to what was: every chunk is in the object store, and nothing new is written.
    const back = await writeImage(
      where.repository,
      fileIn(where, await content(where, first.tree)),
      second.tree,
    );
    expect(back).toEqual({ ...first, chunksWritten: 0 });
  });

  it('follow a file that shrinks and grows over folder borders', async () => {
    const where = await place();
    const bytes = Buffer.alloc((2 * chunksPerFolder + 3) * chunkSize, 'abc');
    for (let chunk = 0; chunk < bytes.length / chunkSize; chunk++)
      bytes.writeUInt32BE(chunk, chunk * chunkSize);
    const file = fileIn(where, bytes);
    const whole = await writeImage(where.repository, file, undefined);
    for (const size of [
      2 * chunksPerFolder * chunkSize,
      chunksPerFolder * chunkSize + 9,
      chunksPerFolder * chunkSize,
      17,
      0,
    ]) {
      truncateSync(file, size);
      const image = await writeImage(where.repository, file, whole.tree);
      expect(image.tree).toBe((await writeImage(where.repository, file, undefined)).tree);
      expect(sha256(await content(where, image.tree))).toBe(image.sha256);
      const grown = await writeImage(where.repository, fileIn(where, bytes), image.tree);
      expect(grown.tree).toBe(whole.tree);
    }
  });

  it('are a file again with git archive and tar alone', async () => {
    const where = await place();
    const bytes = randomBytes(260 * chunkSize + 100);
    const { tree } = await writeImage(where.repository, fileIn(where, bytes), undefined);
    const commit = where.git.git('commit-tree', '-m', 'image', tree);
    const archive = execFileSync('git', ['archive', `${commit}:image`], {
      cwd: where.git.path,
      maxBuffer: 1 << 30,
    });
    const out = execFileSync('tar', ['-xO'], { input: archive, maxBuffer: 1 << 30 });
    expect(out.equals(bytes)).toBe(true);
  });

  it('replace whatever else a previous tree holds', async () => {
    const where = await place();
    const blob = where.git.git('hash-object', '-w', '--stdin');
    const sub = execFileSync('git', ['mktree'], {
      cwd: where.git.path,
      input: `100644 blob ${blob}\t0000\n100644 blob ${blob}\tx y"z\n`,
    })
      .toString()
      .trim();
    const image = execFileSync('git', ['mktree'], {
      cwd: where.git.path,
      input: `040000 tree ${sub}\t0000\n040000 tree ${sub}\t0099\n040000 tree ${sub}\tfoo\n`,
    })
      .toString()
      .trim();
    const odd = execFileSync('git', ['mktree'], {
      cwd: where.git.path,
      input: `040000 tree ${image}\timage\n040000 tree ${sub}\tsql\n100644 blob ${blob}\ta\n`,
    })
      .toString()
      .trim();
    const file = fileIn(where, randomBytes(3 * chunkSize));
    const fresh = await writeImage(where.repository, file, undefined);
    expect((await writeImage(where.repository, file, odd)).tree).toBe(fresh.tree);
  });

  it('are refused when chunks are missing, out of order, too large or not there at all', async () => {
    const where = await place();
    const tree = (entries: string) =>
      execFileSync('git', ['mktree', '--missing'], { cwd: where.git.path, input: entries }).toString().trim();
    const big = execFileSync('git', ['hash-object', '-w', '--stdin'], {
      cwd: where.git.path,
      input: Buffer.alloc(chunkSize + 1),
    })
      .toString()
      .trim();
    const small = execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: where.git.path, input: 'x' })
      .toString()
      .trim();
    const image = (inner: string) =>
      tree(`040000 tree ${tree(`040000 tree ${tree(inner)}\t0000\n`)}\timage\n`);
    for (const bad of [
      tree(`100644 blob ${small}\timage\n`),
      tree(''),
      image(`100644 blob ${big}\t0000\n`),
      image(`100644 blob ${small}\t0001\n`),
      image(`100644 blob ${small}\t0000\n100644 blob ${small}\t0001\n`),
      image(`120000 blob ${small}\t0000\n`),
      image(`100644 blob ${'1'.repeat(40)}\t0000\n`),
    ]) {
      expect((await failure(content(where, bad))).kind).toBe('integrity');
    }
  });

  it('stop reading when nobody wants more', async () => {
    const where = await place();
    const bytes = randomBytes(400 * chunkSize);
    const { tree } = await writeImage(where.repository, fileIn(where, bytes), undefined);
    for await (const chunk of readImage(where.repository, tree)) {
      expect(chunk.equals(bytes.subarray(0, chunkSize))).toBe(true);
      break;
    }
    const other = fileIn(where, bytes);
    copyFileSync(other, `${other}-2`);
    writeFileSync(other, 'short');
    expect(await compareImage(where.repository, tree, other)).toBe(false);
    expect(readFileSync(`${other}-2`).length).toBe(bytes.length);
  });
});
