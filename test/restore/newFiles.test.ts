import { closeSync, mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { NewFiles } from '../../src/restore/newFiles.ts';
import { scratchFolder } from '../support/scratch.ts';

/** Files below a folder that this process has open. */
function openBelow(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      return target.startsWith(folder) ? [path.basename(target)] : [];
    } catch {
      return []; // the one that this very look had open
    }
  });
}

test('each file taken is the one asked for, with its mode, also when some are passed over', async () => {
  const folder = scratchFolder();
  const names = Array.from({ length: 30 }, (_, at) => `file ${at}`);
  const files = new NewFiles(
    names.map((name, at) => ({ file: path.join(folder, name), mode: at % 2 ? 0o777 : 0o666 })),
  );
  for (const at of [0, 1, 2, 10, 11, 29]) {
    const handle = await files.take(at);
    writeSync(handle, String(at));
    closeSync(handle);
    expect(statSync(path.join(folder, `file ${at}`)).size).toBe(String(at).length);
    expect((statSync(path.join(folder, `file ${at}`)).mode & 0o100) !== 0).toBe(at % 2 === 1);
  }
  await files.dispose();
  expect(openBelow(folder)).toEqual([]);
});

test('one that cannot be created fails for whoever takes it, and nothing stays open', async () => {
  const folder = scratchFolder();
  mkdirSync(path.join(folder, 'there'));
  writeFileSync(path.join(folder, 'there/already'), 'mine');
  const files = new NewFiles(
    ['one', 'there/already', 'gone/two', 'three'].map((name) => ({
      file: path.join(folder, name),
      mode: 0o666,
    })),
  );
  closeSync(await files.take(0));
  await expect(files.take(1)).rejects.toThrow('EEXIST');
  await expect(files.take(2)).rejects.toThrow('ENOENT');
  await files.dispose();
  expect(openBelow(folder)).toEqual([]);
});
