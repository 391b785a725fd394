import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { fingerprintIndex } from '../git/indexFile.ts';
import type { CaptureContext } from './context.ts';

/**
 * What the user's index says, as two keys. git writes the file anew whenever it has looked at a file's times
 * (`git status` does), and a commit changes no path: of ten new index files, nine need no second look.
 */
export interface UserIndexKeys {
  /** Of the file they were worked out from: its own checksum. */
  checksum: string;
  /** Equal when the same paths are tracked, and those outside a sparse checkout with the same content. */
  paths: string;
  /** Equal when every entry says the same. */
  content: string;
}

export const noKeys: UserIndexKeys = { checksum: '', paths: '', content: '' };

/** The last ones worked out in this process, by index: they are asked for several times in one capture. */
const last = new Map<string, UserIndexKeys>();

/** @param known the keys of the last capture */
export function userIndexKeys(context: CaptureContext, known: UserIndexKeys): UserIndexKeys {
  const checksum = checksumOf(context.userIndex);
  if (checksum === known.checksum) return known;
  const before = last.get(context.userIndex);
  const keys = before?.checksum === checksum ? before : workOut(context, checksum);
  last.set(context.userIndex, keys);
  return keys;
}

function workOut(context: CaptureContext, checksum: string): UserIndexKeys {
  if (checksum === 'none') return { checksum, paths: 'none', content: 'none' };
  // A split index can only be read by git: its checksum has to do.
  const keys = fingerprintIndex(readFileSync(context.userIndex), context.repository);
  return { checksum, paths: keys?.paths ?? checksum, content: keys?.all ?? checksum };
}

/** An index file ends in its own checksum: equal checksums are equal entries, whatever the file's times say. */
function checksumOf(index: string): string {
  if (!existsSync(index)) return 'none';
  const handle = openSync(index, 'r');
  try {
    const { size, mtimeMs } = fstatSync(handle);
    const end = Buffer.alloc(20);
    readSync(handle, end, 0, end.length, Math.max(0, size - end.length));
    const checksum = end.toString('hex');
    // `index.skipHash` writes zeros there; then size and time have to do.
    return /^0+$/.test(checksum) ? `${size} ${mtimeMs}` : checksum;
  } finally {
    closeSync(handle);
  }
}
