/** Which folders are covered, asked by an early look and by the capture itself at the same time. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { worktreeContext } from '../../src/capture/capture.ts';
import { prepareShadow } from '../../src/capture/context.ts';
import { ignoredFolders } from '../../src/capture/ignored.ts';
import { coveragePatterns } from '../../src/capture/others.ts';
import { readConfig } from '../../src/config/config.ts';
import { findRepository } from '../../src/git/repository.ts';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';

test('the same question twenty times at once, while the shadow is prepared, has one answer', async () => {
  const repo = scratchRepository({ files: { '.gitignore': 'ignored/*\n' } });
  repo.git('config', 'pitr.include', 'ignored/taken/');
  const folders = Array.from({ length: 2000 }, (_, at) => `${at % 2 === 0 ? 'ignored' : 'plain'}/${at}`);
  for (const folder of folders) mkdirSync(path.join(repo.path, folder), { recursive: true });
  const repository = await findRepository(repo.path);
  const context = worktreeContext(repository, await readConfig(repository));
  prepareShadow(context);
  const asked = Array.from({ length: 20 }, () => ignoredFolders(context, coveragePatterns(context), folders));
  let isDone = false;
  const answers = Promise.all(asked).finally(() => (isDone = true));
  // What a capture does at its start: it takes every lock out of the shadow.
  const prepare = () => {
    prepareShadow(context);
    if (!isDone) setImmediate(prepare);
  };
  prepare();
  const wanted = folders.filter((folder) => folder.startsWith('ignored/')).toSorted();
  for (const answer of await answers) expect(answer.toSorted()).toEqual(wanted);
});

test('an empty folder whose contents alone are ignored is recorded, whatever pitr.include takes in', () => {
  const repo = scratchRepository({ files: { '.gitignore': 'storage/logs/*\nbuild/\n' }, commit: true });
  repo.git('config', 'pitr.include', '.env');
  for (const folder of ['storage/logs', 'build/out']) mkdirSync(repo.resolve(folder), { recursive: true });
  pitr(repo.path, ['snapshot']);
  expect(repo.git('show', 'refs/pitr/main:state/empty-dirs')).toBe('storage/logs');
});
