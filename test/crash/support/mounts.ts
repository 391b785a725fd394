/** Small file systems of a test's own. Mounting needs root; elsewhere these tests are skipped, except in .ci/run. */
import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { temporaryFolder, removeFolder } from '../../support/repository.ts';

/** True when a test may mount. Error: when it may not and `PITR_REQUIRE_MOUNTS` says that it must. */
export function canMount(): boolean {
  const folder = temporaryFolder();
  try {
    mount(['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
    umount(folder);
    return true;
  } catch (error) {
    if (process.env['PITR_REQUIRE_MOUNTS'] !== undefined) throw error;
    return false;
  } finally {
    removeFolder(folder);
  }
}

/** A folder on a file system of so many KiB, gone after the test. */
export function smallDisk(kilobytes: number): string {
  const folder = temporaryFolder();
  mount(['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder]);
  onTestFinished(() => {
    umount(folder);
    removeFolder(folder);
  });
  return folder;
}

/** Makes a mounted folder read-only, or writable again. */
export function remount(folder: string, how: 'ro' | 'rw'): void {
  mount(['-o', `remount,${how}`, folder]);
}

function mount(args: readonly string[]): void {
  execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function umount(folder: string): void {
  execFileSync('umount', [folder], { stdio: ['ignore', 'ignore', 'pipe'] });
}
