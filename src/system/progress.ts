import type { BytePath } from '../git/paths.ts';

/** How far long work has come, for whoever wants to show it. The library tells; only src/cli prints. */

export interface Amount {
  files?: number;
  bytes?: number;
}

/** Hears of it, often: it must be quick, and must not throw. */
export interface Progress {
  /** The next part of the work begins; with totals where they are known. */
  begin(what: string, total?: Amount): void;
  /** So much more of it is done. */
  advance(done: Amount, path?: BytePath): void;
}

/** Who listens to the work in a repository, by the `Repository` that all of it is given. */
const listeners = new WeakMap<object, Progress>();

/** From now on `progress` hears of all work that is done with this very object. */
export function listen(repository: object, progress: Progress): void {
  listeners.set(repository, progress);
}

/** Undefined where nobody listens: then nothing is counted either. */
export function progressOf(repository: object): Progress | undefined {
  return listeners.get(repository);
}
