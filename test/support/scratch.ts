/** Repositories and folders that live as long as the test that asks for them. */
import { afterAll, onTestFinished } from 'vitest';
import { removeFolder, type RepositoryOptions, temporaryFolder, TestRepository } from './repository.ts';

export type { TestRepository } from './repository.ts';

/** An empty repository on branch main, or one with files, committed or not. Gone after the test. */
export function scratchRepository(options: RepositoryOptions = {}): TestRepository {
  const repository = new TestRepository(options);
  removeAfterTest(repository.path);
  return repository;
}

/** An empty folder outside of any repository. Gone after the test. */
export function scratchFolder(): string {
  const folder = temporaryFolder();
  removeAfterTest(folder);
  return folder;
}

/** Folders made in beforeAll, where there is no test yet: they stay until the last test of the file. */
const ofFile: string[] = [];

afterAll(() => {
  for (const folder of ofFile) removeFolder(folder);
});

function removeAfterTest(folder: string): void {
  try {
    onTestFinished(() => removeFolder(folder));
  } catch {
    ofFile.push(folder);
  }
}
