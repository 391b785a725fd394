import { type Config, listGitConfig, readConfig } from '../config/config.ts';
import { PitrError } from '../errors.ts';
import { findRepository, type Repository } from '../git/repository.ts';

type Here = Promise<{ repository: Repository; config: Config }>;

let begun: Here | undefined;

/** Starts looking for the repository while the command's module is still being loaded. */
export function beginHere(): void {
  begun = open();
  begun.catch(() => {}); // reported by openHere
}

/** The repository around the current folder and its configuration. */
export function openHere(): Here {
  return begun ?? open();
}

async function open(): Here {
  const cwd = currentFolder();
  const listing = listGitConfig(cwd);
  listing.catch(() => {}); // no repository is the error to report, if there is none
  const repository = await findRepository(cwd);
  return { repository, config: await readConfig(repository, listing) };
}

/** Error: `failed` when the folder is gone, as after a restore to a time when it was not there. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new PitrError('failed', 'The current folder is no longer there; nothing was done.', {
      hints: ['Change to one that is: cd "$PWD" if it has come back, else cd to the top of the repository.'],
      cause,
    });
  }
}

/** An option that is text, or undefined. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
