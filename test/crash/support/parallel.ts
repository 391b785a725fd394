/** Commands at the same time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { command } from '../../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../../support/environment.ts';

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<Ended> {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** The built command, beside others. */
export function pitrBeside(cwd: string, args: readonly string[]): Promise<Ended> {
  return run(process.execPath, [command, ...args], cwd, cleanEnvironment());
}

/** The user's own git. */
export function gitBeside(cwd: string, args: readonly string[]): Promise<Ended> {
  return run('git', args, cwd, cleanEnvironment(testIdentity));
}

function nextTick(): Promise<false> {
  return new Promise((resolve) => {
    setImmediate(resolve, false);
  });
}

/** Runs `work` over and over while the others are at it. Gives how often it ran. */
export async function during(
  others: Promise<unknown>,
  work: (turn: number) => Promise<void>,
): Promise<number> {
  const ended = others.then(() => true);
  for (let turn = 0; ; turn++) {
    if (await Promise.race([ended, nextTick()])) return turn;
    await work(turn);
  }
}
