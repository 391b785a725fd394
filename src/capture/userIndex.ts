import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { type IndexSummary, summarizeIndex } from '../git/indexFile.ts';
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

/** @param known the keys of the last capture */
export function userIndexKeys(context: CaptureContext, known: UserIndexKeys): UserIndexKeys {
  const checksum = checksumOf(context.userIndex);
  if (checksum === known.checksum) return known;
  if (checksum === 'none') return { checksum, paths: 'none', content: 'none' };
  const summary = indexSummary(context, context.userIndex);
  // A split index can only be read by git: its checksum has to do.
  return { checksum, paths: summary?.paths ?? checksum, content: summary?.all ?? checksum };
}

/** The last ones worked out in this process, by checksum: one capture asks several times, of an index and its copies. */
const summaries = new Map<string, IndexSummary | undefined>();

/** Undefined for an index that only git can read (split), or none. */
export function indexSummary(
  { repository }: Pick<CaptureContext, 'repository'>,
  index: string,
): IndexSummary | undefined {
  const checksum = checksumOf(index);
  if (checksum === 'none') return undefined;
  const known = summaries.get(checksum);
  if (known !== undefined) return known;
  const summary = summarizeIndex(readFileSync(index), repository);
  summaries.clear();
  summaries.set(checksum, summary);
  return summary;
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
