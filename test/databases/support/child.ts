/** Other processes for tests: SQLite connections that hold locks, and restores that get killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../..');

/**
 * Runs JavaScript in another process, with `Database` (better-sqlite3) and `args` at hand. Resolves when the script
 * has printed its first line; the process is ended after the test.
 */
export async function inOtherProcess(script: string, ...args: readonly string[]): Promise<ChildProcess> {
  const prelude = `const Database = require('better-sqlite3'); const args = process.argv.slice(1);`;
  const child = spawn(process.execPath, ['-e', `${prelude}\n${script}`, ...args], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  return child;
}

/** Bundles a module of the tests (with the library under it) for plain node; gives the file. */
export async function bundle(entry: string): Promise<string> {
  // Below the project, so that native addons resolve.
  const outfile = path.join(root, 'dist-test', `databases-${process.pid}.mjs`);
  mkdirSync(path.dirname(outfile), { recursive: true });
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
  return outfile;
}

export function removeBundle(file: string): void {
  rmSync(file, { force: true });
}
