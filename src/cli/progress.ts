import { type BytePath, displayPath } from '../git/paths.ts';
import type { Repository } from '../git/repository.ts';
import { type Amount, listen, type Progress } from '../system/progress.ts';
import { describeBytes } from './text/snapshot.ts';

/** One line of progress on standard error, for work that takes longer than 300 ms. */
export interface ProgressLine extends Progress {
  /** Removes the line: something else is printed now. */
  end(): void;
}

const quietFor = 300;
const redrawEvery = 100;

/** @param columns the width of the terminal, asked at each drawing */
export function progressLine(
  write: (text: string) => void,
  columns: () => number,
  now: () => number = () => performance.now(),
): ProgressLine {
  const start = now();
  let part: Part = { what: '', total: {}, done: {}, since: start };
  let drawn = Number.NEGATIVE_INFINITY;
  let shown = false;
  let ended = false;
  const draw = () => {
    const time = now();
    if (ended || time - start < quietFor || time - drawn < redrawEvery || part.what === '') return;
    drawn = time;
    shown = true;
    write(`\r\x1b[K${describePart(part, time).slice(0, Math.max(1, columns() - 1))}`);
  };
  // For parts that tell nothing for a while. Work that keeps this process busy draws from `advance`.
  const timer = setInterval(draw, redrawEvery);
  timer.unref();
  return {
    begin: (what, total = {}) => {
      part = { what, total, done: {}, since: now() };
      draw();
    },
    advance: ({ files = 0, bytes = 0 }, path) => {
      const { done } = part;
      part.done = { files: (done.files ?? 0) + files, bytes: (done.bytes ?? 0) + bytes };
      if (path !== undefined) part.path = path;
      draw();
    },
    end: () => {
      clearInterval(timer);
      if (shown && !ended) write('\r\x1b[K');
      ended = true;
    },
  };
}

/** Shows the progress of all work in a repository until `end`. */
export function showProgress(repository: Repository): ProgressLine {
  const line = progressLine(
    (text) => process.stderr.write(text),
    () => process.stderr.columns ?? 80,
  );
  listen(repository, line);
  return line;
}

interface Part {
  what: string;
  total: Amount;
  done: Amount;
  since: number;
  path?: BytePath;
}

/** `recording: 120/1000 files, 1.2 MiB/10 MiB, 600 KiB/s, 15 s left  src/app.ts` */
function describePart({ what, total, done, since, path }: Part, time: number): string {
  const seconds = Math.max((time - since) / 1000, 0.001);
  const counts = [
    counted(done.files, total.files, String, ' files'),
    counted(done.bytes, total.bytes, describeBytes, ''),
  ].filter(Boolean);
  const hasBytes = (done.bytes ?? 0) > 0;
  const rate = (hasBytes ? done.bytes : done.files) ?? 0;
  const whole = (hasBytes ? total.bytes : total.files) ?? 0;
  if (rate > 0) {
    const perSecond = rate / seconds;
    counts.push(hasBytes ? `${describeBytes(Math.round(perSecond))}/s` : `${Math.round(perSecond)} files/s`);
    if (whole > 0) counts.push(`${Math.ceil(Math.max(0, whole - rate) / perSecond)} s left`);
  } else if (seconds >= 1) counts.push(`${Math.floor(seconds)} s`);
  const text = counts.length === 0 ? what : `${what}: ${counts.join(', ')}`;
  return path === undefined ? text : `${text}  ${displayPath(path)}`;
}

function counted(
  done: number | undefined,
  total: number | undefined,
  describe: (n: number) => string,
  unit: string,
): string {
  if (total === undefined) return done === undefined || done === 0 ? '' : `${describe(done)}${unit}`;
  return total === 0 ? '' : `${describe(done ?? 0)}/${describe(total)}${unit}`;
}
