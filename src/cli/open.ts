import { type Config, readConfig } from '../config/config.ts';
import { findRepository, type Repository } from '../git/repository.ts';

/** The repository around the current folder and its configuration. */
export async function openHere(): Promise<{ repository: Repository; config: Config }> {
  const repository = await findRepository(process.cwd());
  return { repository, config: await readConfig(repository) };
}

/** An option that is text, or undefined. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
