/** A restore that was worked out, and a working copy that moves before it is carried out. */
import { chmodSync, statSync, utimesSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type Context,
  executeRestore,
  findRepository,
  prepareRestore,
  readCatalog,
  readConfig,
  takeSnapshot,
} from '../../src/index.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

let repository: TestRepository;
let context: Context;

beforeEach(async () => {
  repository = scratchRepository({
    files: { 'changed.txt': 'then\n', 'deleted.txt': 'then\n', 'same.txt': 'same\n' },
    commit: true,
  });
  const found = await findRepository(repository.path);
  context = { repository: found, config: await readConfig(found) };
  await takeSnapshot(context.repository, context.config, { type: 'snapshot', trigger: 'manual' });
  repository.write('changed.txt', 'now.\n');
  repository.remove('deleted.txt');
  repository.write('new.txt', 'new\n');
});

async function prepared() {
  const { snapshots } = await readCatalog(context.repository);
  const [snapshot] = snapshots;
  if (snapshot === undefined) throw new Error('no snapshot');
  return prepareRestore(context, {
    target: { snapshot },
    files: true,
    pathspecs: [],
    cwd: repository.path,
    databases: { names: [], all: false },
    staged: false,
    keepChanges: false,
    keepNew: false,
  });
}

/** An edit of the same size, with the time of the file put back: only its inode's own time tells. */
function editUnseen(file: string): void {
  const { atime, mtime } = statSync(repository.resolve(file));
  repository.write(file, 'edit\n');
  utimesSync(repository.resolve(file), atime, mtime);
}

describe.each([false, true])('carried out at once: %s', (atOnce) => {
  const edits: Record<string, () => void> = {
    'a planned file was changed': () => repository.write('changed.txt', 'another edit\n'),
    'a planned file was changed, keeping its size and time': () => editUnseen('changed.txt'),
    'a planned file became a program': () => chmodSync(repository.resolve('changed.txt'), 0o755),
    'a planned file was deleted': () => repository.remove('changed.txt'),
    'a planned file became a link': () => {
      repository.remove('changed.txt');
      repository.symlink('changed.txt', 'same.txt');
    },
    'a file that is to go was changed': () => repository.write('new.txt', 'not so new\n'),
    'a file appeared where one is to come back': () => repository.write('deleted.txt', 'mine\n'),
  };

  test.each(Object.entries(edits))('%s: refused, and nothing changed', async (_, edit) => {
    const plan = await prepared();
    edit();
    const before = repository.hashTree();
    await expect(executeRestore(context, plan, { force: true, atOnce })).rejects.toMatchObject({
      kind: 'refused',
    });
    expect(repository.hashTree()).toEqual(before);
  });

  test('nothing moved: done', async () => {
    await executeRestore(context, await prepared(), { force: true, atOnce });
    expect(repository.git('status', '--porcelain')).toBe('');
  });
});

test('a file that came into being after the plan was shown is in no plan: refused, and nothing changed', async () => {
  const plan = await prepared();
  repository.write('another.txt', 'mine\n');
  const before = repository.hashTree();
  await expect(executeRestore(context, plan, { force: true })).rejects.toMatchObject({ kind: 'refused' });
  expect(repository.hashTree()).toEqual(before);
});
