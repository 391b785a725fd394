/** Many at once: snapshots, restores, and the user's own git. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { pitr } from '../support/cli.ts';
import { sqlite } from '../support/databases.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { during, type Ended, gitBeside, pitrBeside } from './support/parallel.ts';
import { Scene } from './support/scene.ts';

vi.setConfig({ testTimeout: 300_000 });

function worked(): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }, commit: true });
  repository.write('new.txt', 'new\n');
  // A machine under load: waiting is no failure.
  repository.git('config', 'pitr.lockTimeout', '5m');
  return repository;
}

function many<Result>(count: number, work: (index: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)));
}

function failures(ended: readonly Ended[]): string[] {
  return ended.filter(({ code }) => code !== 0).map(({ code, stderr }) => `${code}: ${stderr}`);
}

function createdBy(ended: readonly Ended[]): string[] {
  return ended
    .map(({ stdout }) => JSON.parse(stdout) as { created: boolean; snapshot: { id: string } })
    .filter(({ created }) => created)
    .map(({ snapshot }) => snapshot.id);
}

interface Listed {
  snapshots: { id: string; message: string }[];
}

/** One chain, with a note for each, whole. */
function requireChain(repository: TestRepository, line = 'main'): string[] {
  const { snapshots } = pitr(repository.path, ['list', '--json']).json<Listed>();
  const ids = snapshots.map(({ id }) => id);
  if (line === 'main')
    expect(repository.git('rev-list', '--first-parent', '--count', 'refs/pitr/main')).toBe(
      String(ids.length),
    );
  repository.git('fsck', '--strict', '--no-dangling');
  expect(repository.git('for-each-ref', 'refs/pitr/incoming/')).toBe('');
  return ids;
}

describe('twelve snapshots at once', () => {
  test.each([
    ['the first ones of a repository', false],
    ['later ones', true],
  ])('of one state, %s, become one', async (_, isLater) => {
    const repository = worked();
    if (isLater) pitr(repository.path, ['snapshot']);
    repository.write('a.txt', 'changed\n');
    const ended = await many(12, () => pitrBeside(repository.path, ['snapshot', '--json']));
    expect(failures(ended)).toEqual([]);
    expect(createdBy(ended)).toHaveLength(1);
    expect(requireChain(repository)).toHaveLength(isLater ? 2 : 1);
  });

  test('with a message each are all recorded', async () => {
    const repository = worked();
    const ended = await many(12, (index) =>
      pitrBeside(repository.path, ['snapshot', '-m', `${index}`, '--json']),
    );
    expect(failures(ended)).toEqual([]);
    const ids = requireChain(repository);
    expect(ids.toSorted()).toEqual(createdBy(ended).toSorted());
    expect(ids).toHaveLength(12);
  });

  test('while somebody writes: each is recorded or merged, and holds whole files', async () => {
    const repository = worked();
    const work = many(12, () => pitrBeside(repository.path, ['snapshot', '--json']));
    const turns = await during(work, async (turn) => {
      repository.write('a.txt', `${turn}\n`.repeat(50));
      await new Promise((resolve) => setImmediate(resolve));
    });
    expect(turns).toBeGreaterThan(1);
    const ended = await work;
    expect(failures(ended)).toEqual([]);
    expect(requireChain(repository)).toHaveLength(createdBy(ended).length);
  });

  test('in linked worktrees, with databases and nested repositories, do not meet', async () => {
    const repository = worked();
    const folders = [repository.path];
    for (const name of ['one', 'two', 'three']) {
      folders.push(path.join(scratchFolder(), name));
      repository.git('worktree', 'add', '--quiet', folders.at(-1) ?? '');
    }
    repository.git('config', 'pitr.database.app.path', 'app.db');
    for (const folder of folders) {
      sqlite(
        path.join(folder, 'app.db'),
        'CREATE TABLE t(v); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT randomblob(500) FROM n;',
      );
      mkdirSync(path.join(folder, 'nested'));
      repository.git('-C', path.join(folder, 'nested'), 'init', '--quiet');
      writeFileSync(path.join(folder, 'nested/inner.txt'), folder);
    }
    const ended = await many(12, (index) =>
      pitrBeside(folders[index % folders.length] ?? '', ['snapshot', '-m', `${index}`, '--json']),
    );
    expect(failures(ended)).toEqual([]);
    repository.git('fsck', '--strict', '--no-dangling');
    for (const folder of folders) {
      const { snapshots } = pitr(folder, ['list', '--json']).json<Listed>();
      expect(snapshots.map(({ message }) => message)).toHaveLength(3);
      expect(snapshots.every(({ message }) => /^\d+$/.test(message))).toBe(true);
    }
    expect(existsSync(repository.resolve('.git/refs/pitr/incoming'))).toBe(false);
  });
});

test('snapshots while a restore is at work hold the state before it or the one after it', async () => {
  const scene = new Scene();
  const trees = new Set(['x', 'y'].map((name) => scene.treeOf(name)));
  const restores = (async () => {
    const ended: Ended[] = [];
    for (let turn = 0; turn < 4; turn++) {
      ended.push(await pitrBeside(scene.path, scene.restoreArgs()));
      scene.current = scene.other;
    }
    return ended;
  })();
  const snapshots: Ended[] = [];
  await during(restores, async () => {
    snapshots.push(...(await many(3, (index) => pitrBeside(scene.path, ['snapshot', '-m', `${index}`]))));
  });
  expect(failures([...(await restores), ...snapshots])).toEqual([]);
  expect(snapshots.length).toBeGreaterThan(3);
  requireChain(scene.repository);
  const recorded = scene.repository.git('log', '--format=%T', 'refs/pitr/main').split('\n');
  expect(recorded.filter((tree) => !trees.has(tree))).toEqual([]);
});

describe("the user's own git at the same time", () => {
  test('add, commit and gc --prune=now in a loop harm no snapshot and no restore, and are not harmed', async () => {
    const repository = worked();
    const states = new Map<string, string[]>();
    const work = (async () => {
      for (let turn = 0; turn < 12; turn++) {
        repository.write('work.txt', `turn ${turn}\n`.repeat(turn * 20));
        repository.write(`dir/${turn}.txt`, `${turn}\n`);
        const taken = await pitrBeside(repository.path, ['snapshot', '-m', `${turn}`, '--json']);
        expect(failures([taken])).toEqual([]);
        const { snapshot } = JSON.parse(taken.stdout) as { snapshot: { id: string } };
        states.set(snapshot.id, hashTree(repository.path));
        if (turn % 4 === 3) {
          const [back = ''] = states.keys();
          const restored = await pitrBeside(repository.path, ['restore', '--snapshot', back, '--yes']);
          expect(failures([restored])).toEqual([]);
          expect(hashTree(repository.path)).toEqual(states.get(back));
        }
      }
    })();
    // One after the other: git's own commit is not safe from git's own gc --prune=now.
    const turns = await during(work, async (turn) => {
      const commands = [
        ['add', 'a.txt', 'dir/b.txt'],
        ['commit', '--quiet', '--allow-empty', '-m', `${turn}`],
        ['gc', '--quiet', '--prune=now'],
      ];
      for (const args of commands) expect(failures([await gitBeside(repository.path, args)])).toEqual([]);
    });
    expect(turns).toBeGreaterThan(2);
    requireChain(repository);
    for (const [id, lines] of states) {
      const into = path.join(scratchFolder(), 'into');
      pitr(repository.path, ['restore', '--snapshot', id, '--into', into]);
      expect(hashTree(into)).toEqual(lines);
    }
  });

  test('an index.lock that it holds keeps no snapshot and no restore of files out', () => {
    const repository = worked();
    pitr(repository.path, ['snapshot', '-m', 'then']);
    const lock = repository.resolve('.git/index.lock');
    writeFileSync(lock, '');
    repository.write('a.txt', 'changed\n');
    pitr(repository.path, ['snapshot', '-m', 'now']);
    pitr(repository.path, ['restore', '--snapshot', 'latest~1', '--yes']);
    expect(repository.read('a.txt')).toBe('a\n');
    expect(existsSync(lock)).toBe(true);
  });

  test('an index.lock that it holds keeps a restore of the index out, with nothing changed', () => {
    const repository = worked();
    pitr(repository.path, ['snapshot']);
    repository.write('a.txt', 'changed\n');
    repository.git('add', 'a.txt');
    const lock = repository.resolve('.git/index.lock');
    writeFileSync(lock, '');
    const args = ['restore', '--snapshot', 'latest', '--staged', '--yes'];
    expect(pitr(repository.path, args, { expectCode: 6 }).stderr).toContain(lock);
    expect(repository.read('a.txt')).toBe('changed\n');
    expect(existsSync(lock)).toBe(true);
    rmSync(lock);
    pitr(repository.path, args);
    expect(repository.git('status', '--porcelain')).toBe('?? new.txt');
  });
});
