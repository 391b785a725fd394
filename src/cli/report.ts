import { machineError, messageOf, PitrError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

/** Runs a command and maps every error to its exit code, in one place. */
export async function reporting(terminal: Terminal, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const known = isKnown(error) ? error : unexpected(error);
    terminal.fail(known);
    return known.exitCode;
  }
}

/** By its name too: what is loaded apart (esbuild.config.mjs) has a class of its own. */
function isKnown(error: unknown): error is PitrError {
  return error instanceof PitrError || (error instanceof Error && error.name === 'PitrError');
}

/** An error nobody foresaw: a defect, or the machine (disk, memory). */
function unexpected(error: unknown): PitrError {
  if ((error as NodeJS.ErrnoException | undefined)?.syscall === 'uv_cwd') {
    return new PitrError('failed', 'The current folder is no longer there; nothing was done.', {
      hints: ['Change to one that is: cd "$PWD" if it has come back, else cd to the top of the repository.'],
      cause: error,
    });
  }
  const known = machineError((error as NodeJS.ErrnoException | undefined)?.code ?? '');
  const hints =
    known === undefined
      ? ['This is a defect of git-pitr; PITR_DEBUG=1 shows where.']
      : [known.hint, 'Nothing was recorded or restored beyond what was reported.'];
  if (process.env['PITR_DEBUG'] !== undefined) hints.push(error instanceof Error ? (error.stack ?? '') : '');
  return new PitrError(
    'failed',
    known === undefined ? messageOf(error) : `${known.what}: ${messageOf(error)}`,
    {
      hints,
      cause: error,
    },
  );
}
