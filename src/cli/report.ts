import { messageOf, PitrError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

/** Runs a command and maps every error to its exit code, in one place. */
export async function reporting(terminal: Terminal, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const known = error instanceof PitrError ? error : unexpected(error);
    terminal.fail(known);
    return known.exitCode;
  }
}

const machineErrors: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full.',
  EROFS: 'The file system is read-only.',
  EACCES: 'Permission was denied.',
  ENAMETOOLONG: 'A path is longer than the file system takes.',
};

/** An error nobody foresaw: a defect, or the machine (disk, memory). */
function unexpected(error: unknown): PitrError {
  if ((error as NodeJS.ErrnoException | undefined)?.syscall === 'uv_cwd') {
    return new PitrError('failed', 'The current folder is no longer there; nothing was done.', {
      hints: ['Change to one that is: cd "$PWD" if it has come back, else cd to the top of the repository.'],
      cause: error,
    });
  }
  const known = machineErrors[(error as NodeJS.ErrnoException | undefined)?.code ?? ''];
  const hints =
    known === undefined
      ? ['This is a defect of git-pitr; PITR_DEBUG=1 shows where.']
      : ['Nothing was recorded or restored beyond what was reported.'];
  if (process.env['PITR_DEBUG'] !== undefined) hints.push(error instanceof Error ? (error.stack ?? '') : '');
  return new PitrError('failed', known === undefined ? messageOf(error) : `${known} (${messageOf(error)})`, {
    hints,
    cause: error,
  });
}
