import type { BytePath } from '../git/paths.ts';

/** Reading `git ls-files -z -s` with `-t` or `-v`: records such as `H 100644 <oid> 0\t<path>`. */

export interface Tagged {
  tag: string;
  mode: string;
  oid: string;
  stage: string;
  path: BytePath;
}

export function parseTagged(record: string): Tagged {
  const tab = record.indexOf('\t');
  const [tag = '', mode = '', oid = '', stage = ''] = record.slice(0, tab).split(' ');
  return { tag, mode, oid, stage, path: record.slice(tab + 1) };
}

const cached = 'H'.charCodeAt(0);
const skipWorktree = 'S'.charCodeAt(0);
const attributes = Buffer.from('.gitattributes');

/**
 * The records that are not an ordinary entry (`H`, stage 0, no gitlink), and those of `.gitattributes` files. Looks at
 * bytes: of 100,000 records nearly all are ordinary, and making text of each takes 60 ms.
 */
export function unusualEntries(output: Buffer): Tagged[] {
  return entriesWhere(output, (start, end) => {
    const tab = output.indexOf(9, start);
    const isGitlink = output[start + 2] === 0x31 && output[start + 3] === 0x36; // 16....
    return (
      output[start] !== cached ||
      isGitlink ||
      output[tab - 1] !== 0x30 ||
      output.subarray(end - attributes.length, end).equals(attributes)
    );
  });
}

/** The records with the skip-worktree flag. */
export function skippedEntries(output: Buffer): Tagged[] {
  return entriesWhere(output, (start) => output[start] === skipWorktree);
}

function entriesWhere(output: Buffer, isWanted: (start: number, end: number) => boolean): Tagged[] {
  const found: Tagged[] = [];
  for (let start = 0; start < output.length; ) {
    const nul = output.indexOf(0, start);
    const end = nul === -1 ? output.length : nul;
    if (isWanted(start, end)) found.push(parseTagged(output.toString('latin1', start, end)));
    start = end + 1;
  }
  return found;
}
