import fs from 'node:fs';
import path from 'node:path';
import type { Repository } from '../git/repository.ts';
import { createHash } from '../system/crypto.ts';

/**
 * The second reader: an implementation of git's formats that shares no code with git reads the same objects. What both
 * read alike is not an accident of one of them.
 */
export interface SecondReading {
  used: boolean;
  /** Why it was not used. */
  reason?: string;
  /** How many objects it read as git does. */
  objects: number;
  /** Oid -> what it says, where that is not what git says. */
  differs: Map<string, string>;
}

/** It holds whole packs in memory. */
const maxPackBytes = 256 * 1024 ** 2;
/** It takes about a millisecond for each. */
const maxObjects = { usual: 500, deep: 20_000 };

/** Reads objects that git has read and found sound, spread over all of them. */
export async function readAgain(
  repository: Repository,
  { sound, bad }: { sound: ReadonlyMap<string, string>; bad: ReadonlyMap<string, string> },
  deep: boolean,
): Promise<SecondReading> {
  const reading: SecondReading = { used: false, objects: 0, differs: new Map() };
  // It refuses a whole pack for one byte: whatever is sound in it would be called damaged.
  const reason = bad.size > 0 ? 'git has found damage already' : unfit(repository);
  if (reason !== undefined) return { ...reading, reason };
  const { readObject } = (await import('isomorphic-git')).default;
  const most = deep ? maxObjects.deep : maxObjects.usual;
  const all = [...sound];
  const step = Math.max(1, all.length / most);
  const cache = {};
  for (let at = 0; at < all.length; at += step) {
    const [oid, type] = all[Math.floor(at)] ?? ['', ''];
    const problem = await difference(repository, readObject, oid, type, cache);
    if (problem === undefined) reading.objects++;
    else reading.differs.set(oid, problem);
  }
  return { ...reading, used: true };
}

/** Its limits, as measured (docs/decisions/0001). */
function unfit({ objectFormat, objectDir }: Repository): string | undefined {
  if (objectFormat !== 'sha1') return 'it does not read sha256 repositories';
  if (fs.existsSync(path.join(objectDir, 'info', 'alternates')))
    return 'it does not read objects that are borrowed from another repository';
  const folder = path.join(objectDir, 'pack');
  const packs = fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => name.endsWith('.pack')) : [];
  const bytes = packs.reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);
  return bytes > maxPackBytes ? 'it holds packs in memory, and they are too large for that' : undefined;
}

type ReadObject = typeof import('isomorphic-git').readObject;

async function difference(
  { commonDir, objectFormat }: Repository,
  readObject: ReadObject,
  oid: string,
  type: string,
  cache: object,
): Promise<string | undefined> {
  try {
    // A linked worktree's own git directory has no objects, and it would look for them there.
    const read = await readObject({ fs, gitdir: commonDir, oid, format: 'content', cache });
    const bytes = Buffer.from(read.object as Uint8Array);
    if (read.type !== type) return `is no ${type} to the second reader`;
    const hash = createHash(objectFormat).update(`${type} ${bytes.length}\0`).update(bytes);
    return hash.digest('hex') === oid ? undefined : 'is read differently by the second reader';
  } catch (error) {
    return `is not read by the second reader (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`;
  }
}
