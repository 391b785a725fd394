import type { BigIntStats } from 'node:fs';
import type { BytePath } from '../git/paths.ts';
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
