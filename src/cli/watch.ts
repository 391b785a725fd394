import type { Repository } from '../git/repository.ts';
import type { Terminal } from './terminal.ts';

/** Shows the progress of `work`, where somebody can see it. What is printed comes before or after. */
export async function watched<Result>(
  terminal: Terminal,
  repository: Repository,
  work: () => Promise<Result>,
): Promise<Result> {
  if (!terminal.progress) return work();
  const { showProgress } = await import('./progress.ts');
  const line = showProgress(repository);
  return work().finally(() => line.end());
}
