/** A real git repository in a temporary folder. Free of vitest, so that the demo and the bench can use it too. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cleanEnvironment, testIdentity } from './environment.ts';
import { hashTree } from './hash-tree.ts';

export type Content = string | Uint8Array;

export interface RepositoryOptions {
  /** Path in the worktree -> content. */
  files?: Readonly<Record<string, Content>>;
  /** Commit the files at once: true, or the message. */
  commit?: boolean | string;
  /** The folder to make it in; the one for temporary files when left out. */
  below?: string;
}

export class TestRepository {
  /** The worktree, absolute and without symlinks (on some machines /tmp is one, and git prints the real path). */
  readonly path: string;

  constructor({ files = {}, commit = false, below }: RepositoryOptions = {}) {
    this.path = temporaryFolder(below);
    this.git('init', '--quiet', '--initial-branch=main');
    for (const [file, content] of Object.entries(files)) this.write(file, content);
    if (commit !== false) this.commit(commit === true ? 'first' : commit);
  }

  /** Standard output, without the last newline. Throws, with git's own message, when git fails. */
  git(...args: readonly string[]): string {
    return execFileSync('git', args, {
      cwd: this.path,
      env: cleanEnvironment(testIdentity),
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'pipe'],
    }).replace(/\n$/, '');
  }

  /** Commits everything that is not ignored. */
  commit(message: string): void {
    this.git('add', '--all');
    this.git('commit', '--quiet', '--allow-empty', '-m', message);
  }

  /** Where a path of the worktree is on disk. */
  resolve(file: string): string {
    return path.join(this.path, file);
  }

  /** Creates missing folders. `mode` is set exactly, whatever the umask. */
  write(file: string, content: Content, mode?: number): void {
    mkdirSync(path.dirname(this.resolve(file)), { recursive: true });
    writeFileSync(this.resolve(file), content);
    if (mode !== undefined) chmodSync(this.resolve(file), mode);
  }

  symlink(file: string, target: string): void {
    mkdirSync(path.dirname(this.resolve(file)), { recursive: true });
    symlinkSync(target, this.resolve(file));
  }

  read(file: string): string {
    return readFileSync(this.resolve(file), 'utf8');
  }

  /** A file, or a folder with all it holds. Fails if there is none: a test that removes nothing tests nothing. */
  remove(file: string): void {
    rmSync(this.resolve(file), { recursive: true });
  }

  /** See `hashTree`. */
  hashTree(): string[] {
    return hashTree(this.path);
  }

  dispose(): void {
    removeFolder(this.path);
  }
}

export function temporaryFolder(below = tmpdir()): string {
  return realpathSync(mkdtempSync(path.join(below, 'git-pitr-test-')));
}

/** Retries: a background `git gc` may still be writing. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
