import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ErrorKind, machineError, PitrError } from '../errors.ts';
import { gitEnvironment } from './environment.ts';
import { takePrestarted } from './prestart.ts';

/**
 * The thin driver over the git program: arguments as an array, no shell, streams in both directions.
 * A spawn costs about 3 ms; simple-git adds 50 ms to a silent command and cannot stream (docs/decisions/0001).
 */

type Input = string | Buffer | AsyncIterable<Buffer | string> | Iterable<Buffer | string>;

export interface GitOptions {
  cwd?: string;
  /** Variables on top of the scrubbed environment. */
  env?: Readonly<Record<string, string>>;
  config?: readonly (readonly [string, string])[];
  input?: Input;
  /** Standard input stays open for the caller to write to. */
  openInput?: boolean;
  /** Exit codes that are answers, not failures. Default: 0 alone. */
  okCodes?: readonly number[];
  signal?: AbortSignal;
}

export interface GitResult {
  stdout: Buffer;
  stderr: string;
  code: number;
}

/** A git process that ended with a code nobody expected. */
export class GitFailure extends PitrError {
  readonly args: readonly string[];
  readonly code: number | null;
  readonly stderr: string;

  constructor(args: readonly string[], code: number | null, stderr: string, signal: string | null) {
    const { message, kind, hints } = explain(args, code, stderr, signal);
    super(kind, message, { hints });
    this.args = args;
    this.code = code;
    this.stderr = stderr;
  }
}

function explain(
  args: readonly string[],
  code: number | null,
  stderr: string,
  signal: string | null,
): { message: string; kind: ErrorKind; hints: string[] } {
  const said = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
  const how = code === null ? `was ended by ${signal ?? 'a signal'}` : `failed with ${code}`;
  const command = `git ${args[0] ?? ''} ${how}`;
  const lost = /unable to normalize alternate object path: (.*)/.exec(stderr)?.[1];
  if (lost !== undefined)
    return {
      kind: 'integrity',
      message: `The objects that the repository borrows from ${lost} are not there: ${command}.`,
      hints: [`Bring ${lost} back, or correct .git/objects/info/alternates; git fsck tells what is missing.`],
    };
  const machine = machineError(stderr);
  return machine === undefined
    ? { kind: 'failed', message: `${command}${said}`, hints: [] }
    : { kind: 'failed', message: `${machine.what}: ${command}${said}`, hints: [machine.hint] };
}

/** Runs git to its end. Throws `GitFailure` for an exit code that is not in `okCodes`. */
export async function git(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  const process = startGit(args, options);
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdout) chunks.push(chunk as Buffer);
  const { code, stderr } = await process.end();
  return { stdout: Buffer.concat(chunks), stderr, code };
}

/** Like `git`, as text without the last line end. */
export async function gitText(args: readonly string[], options: GitOptions = {}): Promise<string> {
  const { stdout } = await git(args, options);
  return stdout.toString('utf8').replace(/\n$/, '');
}

export interface RunningGit {
  child: ChildProcess;
  stdout: Readable;
  /** Waits for the end; throws `GitFailure` for an unexpected code. */
  end(): Promise<{ code: number; stderr: string }>;
}

const stderrLimit = 64 * 1024;

/**
 * Starts git; the caller reads `stdout` at once and then awaits `end()`. Await nothing in between: when a process exits
 * and nobody reads its output yet, Node drains and drops it.
 */
export function startGit(args: readonly string[], options: GitOptions = {}): RunningGit {
  const running = takePrestarted(args, options) ?? launchGit(args, options);
  if (options.input !== undefined) feed(running.child, options.input);
  return running;
}

/** Starts git; with an `input` its standard input is open and still empty. */
export function launchGit(args: readonly string[], options: GitOptions): RunningGit {
  const child = spawn('git', args, {
    cwd: options.cwd,
    env: gitEnvironment(options.env, options.config, options.cwd),
    stdio: [options.input === undefined && options.openInput !== true ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    signal: options.signal,
    windowsHide: true,
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => {
    if (stderr.length < stderrLimit) stderr += text;
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  closed.catch(() => {}); // reported by end(); without this a failed spawn is an unhandled rejection
  return {
    child,
    stdout: child.stdout as Readable,
    end: async () => {
      const [code, signal] = await closed.catch((error: unknown) => {
        throw spawnFailure(error);
      });
      if (code === null || !(options.okCodes ?? [0]).includes(code))
        throw new GitFailure(args, code, stderr, signal);
      return { code, stderr };
    },
  };
}

function feed(child: ChildProcess, input: Input): void {
  const stdin = child.stdin;
  if (stdin === null) return;
  // git may stop reading early (an error, an answer found); its exit code tells, not the broken pipe.
  stdin.on('error', () => {});
  if (typeof input === 'string' || Buffer.isBuffer(input)) {
    stdin.end(input);
    return;
  }
  pipeline(Readable.from(input), stdin).catch((error: NodeJS.ErrnoException) => {
    // git closed its end: its exit code says why. Any other error is the source's, and then git must not take what
    // it has for the whole.
    if (
      ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ECONNRESET'].includes(error.code ?? '')
    )
      return;
    child.kill('SIGKILL');
    child.emit('error', error);
  });
}

function spawnFailure(error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return error;
  return new PitrError('failed', 'The git program was not found.', {
    hints: ['Install git 2.39 or newer, and make sure that it is on the PATH.'],
    cause: error,
  });
}

/** The NUL-terminated records of a stream, as byte strings (one character a byte, see `paths.ts`). */
export async function* nulRecords(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + chunk.toString('latin1')).split('\0');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}

/** The NUL-terminated records of a whole output. */
export function splitNul(output: Buffer): string[] {
  const parts = output.toString('latin1').split('\0');
  if (parts.at(-1) === '') parts.pop();
  return parts;
}
