import { createHash } from '../system/crypto.ts';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { type BytePath, onDisk } from '../git/paths.ts';
import { findRepository } from '../git/repository.ts';
import { gitText } from '../git/run.ts';
import type { CaptureContext } from './context.ts';

/**
 * Nested repositories and submodules: their files are recorded like any others, through a shadow of their own, and
 * the commit they stand on beside them. Their `.git` is never read into a snapshot, renamed or written (cline #1313
 * #2868 #5598 #9590).
 */

/** What git itself takes for a repository in the way: a `.git` folder, or a `.git` file that points at one. */
export function isNestedRepository(folder: Buffer): boolean {
  const dotGit = Buffer.concat([folder, Buffer.from('/.git')]);
  try {
    if (statSync(dotGit).isDirectory()) return isGitDirectory(dotGit.toString('latin1'), 'latin1');
    const pointer = /^gitdir: (.*?)\n?$/s.exec(readFileSync(dotGit, 'latin1'))?.[1];
    if (pointer === undefined) return false;
    const target = pointer.startsWith('/') ? pointer : `${folder.toString('latin1')}/${pointer}`;
    return isGitDirectory(target, 'latin1');
  } catch {
    return false; // no .git, or one that nobody can read: then it is a folder like any other
  }
}

function isGitDirectory(dir: string, encoding: BufferEncoding): boolean {
  const has = (name: string) => existsSync(Buffer.from(`${dir}/${name}`, encoding));
  return has('HEAD') && ((has('objects') && has('refs')) || has('commondir'));
}

export interface NestedRepository {
  context: CaptureContext;
  /** The commit it stands on; '' before its first. */
  head: string;
  /** The timeline it has already, when it is no repository of its own but another worktree of the same one. */
  line?: string;
}

/** Opens the nested repository at `folder` of a capture. Throws what git says when it cannot be read. */
export async function openNested(parent: CaptureContext, folder: BytePath): Promise<NestedRepository> {
  const worktree = onDisk(parent.worktree, folder).toString('utf8');
  const [own, head] = await Promise.all([
    findRepository(worktree),
    gitText(['rev-parse', '-q', '--verify', 'HEAD'], { cwd: worktree, okCodes: [0, 1, 128] }),
  ]);
  const mount = parent.mount === '' ? folder : `${parent.mount}/${folder}`;
  const key = createHash('sha1').update(mount, 'latin1').digest('hex').slice(0, 16);
  return {
    head,
    ...(realpathSync(own.commonDir) === realpathSync(parent.repository.commonDir) ? { line: own.line } : {}),
    context: {
      ...parent,
      worktree,
      mount,
      userIndex: path.join(own.gitDir, 'index'),
      excludeFile: path.join(own.commonDir, 'info', 'exclude'),
      shadowDir: path.join(parent.repository.lineDir, 'nested', key),
    },
  };
}
