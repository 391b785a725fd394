import { createInterface } from 'node:readline/promises';
import { PitrError } from '../errors.ts';

/**
 * Asks a question that is answered with y or n on the terminal; anything but yes is no, and so is Ctrl-D.
 * Error: `interrupted` for Ctrl-C, which answers no further question either.
 */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const stop = new AbortController();
  lines.on('SIGINT', () => stop.abort());
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: stop.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (cause) {
    if (stop.signal.aborted)
      throw new PitrError('interrupted', 'Interrupted; nothing was changed.', { cause });
    process.stderr.write('\n');
    return false;
  } finally {
    lines.close();
  }
}
