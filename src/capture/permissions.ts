import { type BigIntStats, lstatSync } from 'node:fs';
import { type BytePath, onDisk } from '../git/paths.ts';
import { git, splitNul } from '../git/run.ts';
import type { CaptureContext } from './context.ts';

/**
 * Permissions other than git's two (0644 and 0755, or what the umask makes of them), for untracked and included files:
 * an `.env` with 0600 must not come back readable by all. For tracked files git's own two are the truth. Under
 * core.fileMode=false git's two are one: it records every new file as 0644.
 */
export function unusualMode(stat: BigIntStats, fileMode: boolean): string | undefined {
  if (!stat.isFile()) return undefined;
  const mode = Number(stat.mode) & 0o7777;
  const usual = plainModes().has(mode) && (fileMode || (mode & 0o111) === 0);
  return usual ? undefined : mode.toString(8).padStart(4, '0');
}

/**
 * git compares times by the second: a `chmod` in the second in which a file was recorded is no change to it. Content has
 * git's own rule for that (racy entries), permissions have this one: such files are looked at once more.
 */
export function freshModes(
  recorded: ReadonlyMap<BytePath, BigIntStats>,
  nowMs = Date.now(),
): Record<BytePath, number> {
  const second = BigInt(Math.floor(nowMs / 1000));
  const fresh = [...recorded].filter(([, { ctimeNs }]) => ctimeNs / 1_000_000_000n >= second);
  return Object.fromEntries(fresh.map(([path, { mode }]) => [path, Number(mode)]));
}

/** Of the files of `freshModes`, those that have other permissions now. */
export function changedModes(worktree: string, fresh: Readonly<Record<BytePath, number>>): BytePath[] {
  return Object.entries(fresh)
    .filter(([path, mode]) => {
      try {
        return lstatSync(onDisk(worktree, path)).mode !== mode;
      } catch {
        return true; // whatever it is now, the update looks at it
      }
    })
    .map(([path]) => path);
}

let plain: Set<number> | undefined;

function plainModes(): Set<number> {
  if (plain !== undefined) return plain;
  const umask = process.umask();
  plain = new Set([0o644, 0o755, 0o666 & ~umask, 0o777 & ~umask]);
  return plain;
}

/** Of these paths, the ones the user's index does not track. */
export async function untrackedOf(
  context: CaptureContext,
  paths: readonly BytePath[],
): Promise<Set<BytePath>> {
  if (paths.length === 0) return new Set();
  const { stdout } = await git(['ls-files', '-z', '--cached'], { cwd: context.worktree });
  const tracked = new Set(splitNul(stdout));
  return new Set(paths.filter((path) => !tracked.has(path)));
}
