/** Undo: exactly what the last restore did, back; again is a redo; what came after it is guarded. */
import { describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { OtherProgram } from '../support/databases.ts';
import { everything } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Shown {
  plan: { protected: { path: string; reason: string }[]; databases: { name: string }[] };
}

/** Restored from `now` to `then`: a.txt changed back, gone.txt back, new.txt away, b.txt never touched. */
function restored(): TestRepository {
  const repository = scratchRepository({
    files: { 'a.txt': 'then\n', 'b.txt': 'b\n', 'gone.txt': 'gone\n' },
  });
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'now\n');
  repository.write('new.txt', 'new\n');
  repository.remove('gone.txt');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  return repository;
}

describe('after other edits', () => {
  it('to paths that the restore did not touch: undo asks nothing and leaves them alone', () => {
    const repository = restored();
    repository.write('b.txt', 'edited since\n');
    repository.write('other.txt', 'made since\n');
    pitr(repository.path, ['undo']);
    expect(repository.read('a.txt')).toBe('now\n');
    expect(repository.read('b.txt')).toBe('edited since\n');
    expect(repository.read('other.txt')).toBe('made since\n');
  });

  it('to paths that it did touch: refused with exit 4 and nothing changed; --keep-changes takes back the rest', () => {
    const repository = restored();
    repository.write('a.txt', 'edited since\n');
    const before = everything(repository.path);
    const refused = pitr(repository.path, ['undo', '--json'], { expectCode: 4 });
    expect(refused.json()).toMatchObject({ error: { uncommitted: ['a.txt'] } });
    expect(everything(repository.path)).toEqual(before);
    pitr(repository.path, ['undo', '--keep-changes']);
    expect(repository.read('a.txt')).toBe('edited since\n');
    expect(repository.read('new.txt')).toBe('new\n');
    // Redo takes back what that undo did, and only that.
    pitr(repository.path, ['undo']);
    expect(repository.read('a.txt')).toBe('edited since\n');
    expect(repository.read('gone.txt')).toBe('gone\n');
  });

  it('--force goes over them, and the next undo brings them back', () => {
    const repository = restored();
    repository.write('a.txt', 'edited since\n');
    pitr(repository.path, ['undo', '--force']);
    expect(repository.read('a.txt')).toBe('now\n');
    pitr(repository.path, ['undo']);
    expect(repository.read('a.txt')).toBe('edited since\n');
  });

  it('that undid it by hand already: there is nothing left to change', () => {
    const repository = restored();
    repository.write('a.txt', 'now\n');
    repository.write('new.txt', 'new\n');
    repository.remove('gone.txt');
    const before = everything(repository.path);
    pitr(repository.path, ['undo']);
    expect(everything(repository.path).filter((line) => !line.includes('refs/'))).toEqual(
      before.filter((line) => !line.includes('refs/')),
    );
  });

  it('a commit in between stays: HEAD and the branches are not part of an undo', () => {
    const repository = restored();
    repository.commit('after the restore');
    const head = repository.git('rev-parse', 'HEAD');
    pitr(repository.path, ['undo']);
    expect(repository.git('rev-parse', 'HEAD')).toBe(head);
    expect(repository.read('a.txt')).toBe('now\n');
  });
});

it('undo takes back the last restore, not the one before it', () => {
  const repository = scratchRepository({ files: { 'a.txt': '1\n', 'b.txt': '1\n' } });
  pitr(repository.path, ['snapshot', '-m', 'one']);
  repository.write('a.txt', '2\n');
  repository.write('b.txt', '2\n');
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes', '--', 'a.txt']);
  pitr(repository.path, ['restore', '--at', 'now', '--yes', '--', 'b.txt']);
  const state = () => repository.read('a.txt') + repository.read('b.txt');
  const after = state();
  pitr(repository.path, ['undo', '--yes']);
  pitr(repository.path, ['undo', '--yes']);
  expect(state()).toBe(after);
});

it('snapshots taken meanwhile, and the safety snapshots, do not confuse it', () => {
  const repository = restored();
  pitr(repository.path, ['snapshot', '-m', 'in between']);
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--dry-run']);
  pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
  pitr(repository.path, ['undo', '--yes']);
  expect(repository.read('a.txt')).toBe('now\n');
});

it('a restore that changed nothing is nothing to undo, and does not hide the one before', () => {
  const repository = restored();
  pitr(repository.path, ['restore', '--at', 'now', '--dry-run']);
  const { snapshots } = pitr(repository.path, ['list', '--json']).json<{ snapshots: { id: string }[] }>();
  const then = snapshots.at(-1)?.id ?? '';
  expect(pitr(repository.path, ['restore', '--snapshot', then]).stdout).toContain('nothing had to change');
  pitr(repository.path, ['undo']);
  expect(repository.read('a.txt')).toBe('now\n');
});

describe('with a database that was written to since', () => {
  async function shop() {
    const repository = restored();
    repository.write('.git/info/exclude', '*.db*\n');
    const other = new OtherProgram(repository.resolve('shop.db'));
    await other.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    pitr(repository.path, ['init', '--yes']);
    pitr(repository.path, ['snapshot']);
    await other.exec('UPDATE t SET x = 2');
    repository.write('a.txt', 'later\n');
    pitr(repository.path, ['restore', '--snapshot', 'latest', '--all', '--yes']);
    await other.exec('INSERT INTO t VALUES (3)');
    return { repository, other };
  }

  it('undo is refused with exit 4, rows and files as they were', async () => {
    const { repository, other } = await shop();
    const refused = pitr(repository.path, ['undo', '--json'], { expectCode: 4 });
    expect(refused.json()).toMatchObject({ error: { uncommitted: ['the database shop'] } });
    expect(await other.rows('SELECT x FROM t')).toEqual([[1], [3]]);
    expect(repository.read('a.txt')).toBe('then\n');
  });

  it('--keep-changes takes back the files and leaves the rows', async () => {
    const { repository, other } = await shop();
    const { plan } = pitr(repository.path, ['undo', '--keep-changes', '--json']).json<Shown>();
    expect(plan.databases).toEqual([]);
    expect(plan.protected).toMatchObject([{ path: 'shop' }]);
    expect(await other.rows('SELECT x FROM t')).toEqual([[1], [3]]);
    expect(repository.read('a.txt')).toBe('later\n');
  });

  it('--force brings the rows of before back, and the next undo the ones written since', async () => {
    const { repository, other } = await shop();
    pitr(repository.path, ['undo', '--force']);
    expect(await other.rows('SELECT x FROM t')).toEqual([[2]]);
    pitr(repository.path, ['undo']);
    expect(await other.rows('SELECT x FROM t')).toEqual([[1], [3]]);
  });
});
