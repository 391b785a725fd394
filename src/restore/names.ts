import { PitrError } from '../errors.ts';
import { type BytePath, displayPath } from '../git/paths.ts';

/**
 * Names that a restore never writes, whatever a snapshot holds: a snapshot may come from a fetch or a bundle, and then
 * be made by somebody who wants a hook in `.git` or a file outside the worktree.
 */

/** Zero-width and directional characters that HFS+ ignores in names (git: utf8.c, next_hfs_char). */
const ignorable = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;

/** What file systems take at most, in bytes (Linux: NAME_MAX, and PATH_MAX less its NUL). */
const maxName = 255;
const maxPath = 4095;

/** Why a path must not be written; undefined when it may. */
function unsafeReason(path: BytePath): string | undefined {
  if (path === '' || path.startsWith('/')) return 'it is an absolute path';
  if (path.includes('\0')) return 'it holds a NUL byte';
  if (path.length > maxPath) return `it is longer than ${maxPath} bytes`;
  for (const part of path.split('/')) {
    if (part === '') return 'it holds an empty name';
    if (part.length > maxName) return `it holds a name of more than ${maxName} bytes`;
    if (part === '.' || part === '..') return `it holds "${part}"`;
    if (isGitDirectoryName(part)) return 'it names a git directory';
  }
  return undefined;
}

/** `.git` in any spelling that some file system takes for it: case, 8.3 names, trailing dots and spaces, streams. */
function isGitDirectoryName(part: BytePath): boolean {
  const text = Buffer.from(part, 'latin1').toString('utf8').replace(ignorable, '').toLowerCase();
  // NTFS drops trailing dots and spaces and takes `:` for a stream; a backslash parts names there.
  return text.split(/[\\:]/).some((piece) => ['.git', 'git~1'].includes(piece.replace(/[. ]+$/, '')));
}

function shortened(path: string): string {
  return path.length <= 200 ? path : `${path.slice(0, 100)}…${path.slice(-60)}`;
}

/** Error: `refused`, naming the first unsafe paths. Nothing was written. */
export function refuseUnsafe(paths: Iterable<BytePath>, source: string): void {
  const found: string[] = [];
  for (const path of paths) {
    const reason = unsafeReason(path);
    if (reason !== undefined && found.length < 20) found.push(`${shortened(displayPath(path))}: ${reason}`);
  }
  if (found.length === 0) return;
  throw new PitrError(
    'refused',
    `${source} holds ${found.length === 1 ? 'a name that is' : 'names that are'} never written: ${found.join('; ')}. Nothing was changed.`,
    {
      hints: [
        'Such a snapshot was not made by git-pitr: do not trust where it comes from.',
        'Name the paths you want, and only they are restored.',
      ],
    },
  );
}
