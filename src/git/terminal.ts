import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { gitEnvironment } from './environment.ts';
import { GitFailure } from './run.ts';

/**
 * Runs a git command that prints for a person, on this process's own output: colours and pager are the user's.
 * Error: `failed` with git's exit code; a reader that has gone (`| head`, a pager that was left) is none.
 */
export async function gitOnTerminal(args: readonly string[], cwd: string): Promise<void> {
  const environment = gitEnvironment();
  delete environment['GIT_PAGER'];
  const child = spawn('git', args, { cwd, env: environment, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code === 0 || code === 141 || signal === 'SIGPIPE') return;
  throw new GitFailure(args, code, '', signal);
}
