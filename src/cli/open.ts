import { type Config, listGitConfig, readConfig } from '../config/config.ts';
import { type EarlyStart, startEarly } from '../timeline/early.ts';
import { isApart } from '../git/environment.ts';
import { findRepository, type Repository } from '../git/repository.ts';

type Here = Promise<{ repository: Repository; config: Config }>;

let begun: Here | undefined;

let early: EarlyStart | undefined;

/** Starts looking for the repository, and already at its working tree where it most likely is. */
export function beginHere(): void {
  early = startEarly(process.cwd());
  begun = open();
  begun.catch(() => {}); // reported by openHere
}

/** What `beginHere` began. */
export function earlyStart(): EarlyStart | undefined {
  return early;
}

/** The repository around the current folder and its configuration. */
export function openHere(): Here {
  return begun ?? open();
}

async function open(): Here {
  const cwd = process.cwd();
  const listing = listGitConfig(cwd);
  listing.catch(() => {}); // no repository is the error to report, if there is none
  // A guess is good enough to look at; it is compared with what git says before anything is recorded.
  const repository = early?.repository ?? (await findRepository(cwd));
  // A working tree apart from its git directory: what was listed here need not be the configuration of that one.
  const own = isApart(repository.worktree) ? listGitConfig(repository.worktree) : listing;
  return { repository, config: await readConfig(repository, own) };
}

/** An option that is text, or undefined. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
