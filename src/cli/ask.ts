import { createInterface } from 'node:readline/promises';

/** Asks a question that is answered with y or n on the terminal; anything but yes is no. */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    return false; // end of input, or Ctrl-C
  } finally {
    lines.close();
  }
}
