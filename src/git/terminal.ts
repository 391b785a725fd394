import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { gitEnvironment } from './environment.ts';

/**
 * Runs a git command that prints for a person, on this process's own output: colours and pager are the user's.
 * @returns git's exit code
 */
export async function gitOnTerminal(args: readonly string[], cwd: string): Promise<number> {
  const environment = gitEnvironment();
  delete environment['GIT_PAGER'];
  const child = spawn('git', args, { cwd, env: environment, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 130;
}
