import { worktreeContext } from '../capture/capture.ts';
import { shadowGit } from '../capture/context.ts';
import type { BytePath } from '../git/paths.ts';
import { splitNul } from '../git/run.ts';
import type { Context } from './request.ts';

/** Paths that a sparse checkout keeps out of the working tree: neither deleted nor ever written by a restore. */
export async function sparsePaths({ repository, config }: Context): Promise<Set<BytePath>> {
  if (!/^(true|yes|on|1)$/i.test(config.git.get('core.sparsecheckout') ?? '')) return new Set();
  const { stdout } = await shadowGit(worktreeContext(repository, config), ['ls-files', '-z', '-t']);
  return new Set(
    splitNul(stdout)
      .filter((record) => record.startsWith('S '))
      .map((record) => record.slice(2)),
  );
}
