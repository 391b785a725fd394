/** Damage as disks do it. */
import { chmodSync, closeSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import type { TestRepository } from './repository.ts';

/** Changes a bit in the middle of an object in the only pack. */
export function flipByteOf(repository: TestRepository, oid: string): void {
  const folder = repository.resolve('.git/objects/pack');
  const pack = readdirSync(folder).find((name) => name.endsWith('.pack')) ?? '';
  const listed = repository.git('verify-pack', '-v', `.git/objects/pack/${pack}`).split('\n');
  const at = Number(listed.find((text) => text.startsWith(oid))?.split(/ +/)[4]) + 5;
  chmodSync(`${folder}/${pack}`, 0o600);
  const handle = openSync(`${folder}/${pack}`, 'r+');
  const byte = Buffer.alloc(1);
  readSync(handle, byte, 0, 1, at);
  writeSync(handle, Buffer.from([byte.readUInt8(0) ^ 0x10]), 0, 1, at);
  closeSync(handle);
}
