import { displayPath } from '../git/paths.ts';
import type { Terminal } from './terminal.ts';

/** One line of progress on standard error, after 300 ms, only on a terminal. */
export interface Progress {
  step: (path: string) => void;
  end: () => void;
}

const quietFor = 300;
const redrawEvery = 100;

export function startProgress(terminal: Terminal, total: number, what: string): Progress {
  if (!process.stderr.isTTY || terminal.quiet || terminal.json) return { step: () => {}, end: () => {} };
  const start = performance.now();
  let done = 0;
  let drawn = 0;
  return {
    step: (path) => {
      done++;
      const now = performance.now();
      if (now - start < quietFor || now - drawn < redrawEvery) return;
      drawn = now;
      const rate = done / ((now - start) / 1000);
      const left = Math.ceil((total - done) / Math.max(rate, 0.001));
      const width = process.stderr.columns ?? 80;
      const line = `${what}: ${done}/${total} files, ${Math.round(rate)}/s, ${left} s left  ${displayPath(path)}`;
      process.stderr.write(`\r\x1b[K${line.slice(0, width - 1)}`);
    },
    end: () => {
      if (drawn > 0) process.stderr.write('\r\x1b[K');
    },
  };
}
