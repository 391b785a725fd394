/** Vitest global setup: tests of the command line need dist, and a stale one would test yesterday's program. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const command = path.join(root, 'dist/git-pitr.cjs');
const sources = ['src', 'ui', 'package.json', 'package-lock.json', 'esbuild.config.mjs', 'tsconfig.json'];

export function setup(): void {
  if (existsSync(command) && statSync(command).mtimeMs > newestSource()) return;
  execFileSync(process.execPath, ['esbuild.config.mjs'], { cwd: root, stdio: 'inherit' });
}

function newestSource(): number {
  const times = sources.map((name) => path.join(root, name)).flatMap(modificationTimes);
  return Math.max(0, ...times);
}

/** Folders count too: their time changes when a file in them is deleted or renamed. */
function modificationTimes(file: string): number[] {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  const inside = stats.isDirectory()
    ? readdirSync(file).flatMap((name) => modificationTimes(path.join(file, name)))
    : [];
  return [stats.mtimeMs, ...inside];
}
