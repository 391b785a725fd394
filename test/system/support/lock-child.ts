/** Takes a lock ten times; inside it makes a file that must not be there yet, and so sees anybody else who is inside. */
import { appendFileSync, closeSync, openSync, rmSync } from 'node:fs';
import { takeLock } from '../../../src/system/lock.ts';

const [file = '', inside = ''] = process.argv.slice(2);
for (let turn = 0; turn < 10; turn++) {
  const lock = await takeLock(file, { purpose: 'snapshot', timeout: 30_000 });
  closeSync(openSync(inside, 'wx'));
  await new Promise((resolve) => setImmediate(resolve));
  appendFileSync(`${inside}.log`, `${process.pid}\n`);
  rmSync(inside);
  lock.release();
}
