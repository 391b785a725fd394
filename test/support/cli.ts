/** Runs the built command as a user does: a process of its own, no terminal. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { cleanEnvironment } from './environment.ts';

export const command = path.resolve(import.meta.dirname, '../../dist/git-pitr.cjs');

/** Below vitest's 60 s, which cannot end a test that waits for a child synchronously. */
const timeoutMs = 55_000;

export interface PitrOptions {
  /** On top of the clean environment; undefined takes a name out. GIT_COMMITTER_DATE is the clock of git-pitr. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Standard input; without it, it is closed. */
  input?: string;
  /** The exit code that the test is about; any other one throws, with all the output. */
  expectCode?: number | 'any';
}

export interface PitrResult {
  code: number;
  stdout: string;
  stderr: string;
  /** Standard output as the one JSON document that `--json` promises. */
  json: <Document = unknown>() => Document;
}

export function pitr(
  cwd: string,
  args: readonly string[],
  { env = {}, input = '', expectCode = 0 }: PitrOptions = {},
): PitrResult {
  const child = spawnSync(process.execPath, [command, ...args], {
    cwd,
    env: cleanEnvironment(env),
    input,
    encoding: 'utf8',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 256 * 1024 * 1024,
  });
  const { stdout, stderr, status: code } = child;
  const shown = `git pitr ${args.join(' ')}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`;
  if (child.error !== undefined) throw new Error(`could not be run: ${shown}`, { cause: child.error });
  if (code === null) throw new Error(`ended by ${child.signal}: ${shown}`);
  if (expectCode !== 'any' && code !== expectCode) {
    throw new Error(`exit code ${code} instead of ${expectCode}: ${shown}`);
  }
  return { code, stdout, stderr, json: <Document>() => JSON.parse(stdout) as Document };
}
