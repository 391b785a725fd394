/** `verify` names every damage that is done by hand, and the snapshots and paths that it hurts. */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { flipByteOf } from '../support/damage.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Report {
  ok: boolean;
  timeline: string[];
  snapshots: { id: string; ok: boolean; problems: { kind: string; path: string; problem: string }[] }[];
  objects: { checked: number };
  secondReader: { used: boolean; reason?: string; objects: number };
  recorded: number;
}

function verify(repository: TestRepository, args: readonly string[], expectCode = 0): Report {
  return pitr(repository.path, ['verify', ...args, '--json'], { expectCode }).json<Report>();
}

/** Two snapshots; the second has one more file and another content in a second one. */
function story(): TestRepository {
  const repository = scratchRepository({
    files: { 'src/a.txt': 'a\n', 'src/b.txt': 'b\n', 'c.txt': 'c\n' },
    commit: true,
  });
  pitr(repository.path, ['snapshot', '-m', 'one']);
  repository.write('src/b.txt', 'changed\n');
  repository.write('new.txt', 'precious\n');
  pitr(repository.path, ['snapshot', '-m', 'two']);
  return repository;
}

function hurt({ snapshots }: Report): string[] {
  return snapshots.flatMap(({ problems }, at) => problems.map(({ kind, path }) => `${at} ${kind} ${path}`));
}

test('sound snapshots are said to be so, by two readers, and their notes remember it', () => {
  const repository = story();
  const report = verify(repository, ['--all', '--deep']);
  expect([report.ok, report.timeline, hurt(report), report.recorded]).toEqual([true, [], [], 2]);
  expect(report.secondReader.used).toBe(true);
  expect(report.secondReader.objects).toBe(report.objects.checked);
  repository.git('gc', '--quiet');
  expect(verify(repository, ['--all', '--deep']).secondReader.objects).toBe(report.objects.checked);
  const { snapshot } = pitr(repository.path, ['show', '--json']).json<{ snapshot: { verified: unknown } }>();
  expect(snapshot.verified).toMatchObject({ ok: true, deep: true });
  expect(pitr(repository.path, ['show']).stdout).toContain('Verified:');
});

test('a deleted object is named with each snapshot and path that it hurts', () => {
  const repository = story();
  const oid = repository.git('rev-parse', 'refs/pitr/main:files/new.txt');
  rmSync(repository.resolve(`.git/objects/${oid.slice(0, 2)}/${oid.slice(2)}`));
  expect(hurt(verify(repository, ['--all'], 7))).toEqual(['0 object files/new.txt']);
  expect(hurt(verify(repository, ['latest~1']))).toEqual([]);
  const tree = repository.git('rev-parse', 'refs/pitr/main~1:files/src');
  rmSync(repository.resolve(`.git/objects/${tree.slice(0, 2)}/${tree.slice(2)}`));
  expect(hurt(verify(repository, ['--all'], 7))).toEqual(['0 object files/new.txt', '1 object files/src']);
  const { snapshot } = pitr(repository.path, ['show', '--json']).json<{ snapshot: { verified: unknown } }>();
  expect(snapshot.verified).toMatchObject({ ok: false });
});

test('a flipped byte in a pack is named with the paths whose content it changed', () => {
  const repository = story();
  repository.git('repack', '-adq');
  flipByteOf(repository, repository.git('rev-parse', 'refs/pitr/main:files/new.txt'));
  expect(hurt(verify(repository, ['--all'], 7))).toEqual(['0 object files/new.txt']);
});

test('a deleted notes ref, a truncated note and a deleted timeline ref are each named', () => {
  const repository = story();
  const commit = repository.git('rev-parse', 'refs/pitr/main');
  const note = repository.git('notes', '--ref=pitr', 'show', commit);
  repository.git('notes', '--ref=pitr', 'add', '-f', '-m', note.slice(0, 100), commit);
  const truncated = verify(repository, ['--all'], 7);
  expect(hurt(truncated)).toEqual(['0 note ']);
  expect(truncated.snapshots[0]?.problems[0]?.problem).toContain('not JSON');
  repository.git('update-ref', '-d', 'refs/notes/pitr');
  const gone = verify(repository, ['--all'], 7);
  expect([hurt(gone), gone.timeline]).toEqual([['0 note ', '1 note '], ['refs/notes/pitr is gone']]);
  repository.git('update-ref', '-d', 'refs/pitr/main');
  expect(verify(repository, ['--all'], 7).timeline[0]).toContain('refs/pitr/main is gone');
});

test('an anchor that no ref keeps, or that lost a commit, is named: a branch of that time would not come back', () => {
  const repository = story();
  repository.git('checkout', '--quiet', '-b', 'topic');
  repository.commit('work');
  const work = repository.git('rev-parse', 'HEAD');
  pitr(repository.path, ['snapshot', '-m', 'three']);
  repository.git('checkout', '--quiet', 'main');
  repository.git('branch', '--quiet', '-D', 'topic');
  rmSync(repository.resolve(`.git/objects/${work.slice(0, 2)}/${work.slice(2)}`));
  expect(hurt(verify(repository, ['--all'], 7))).toEqual(['0 refs state/refs']);
  repository.git('update-ref', '-d', 'refs/pitr/anchor/main');
  expect(hurt(verify(repository, ['--all'], 7))).toEqual([0, 1, 2].map((at) => `${at} refs state/refs`));
});

test('seven parts are all snapshots, each in one part; a sha256 repository says why the second reader was not used', () => {
  const repository = story();
  for (const n of [1, 2, 3, 4]) pitr(repository.path, ['snapshot', '-m', `more ${n}`]);
  const all = verify(repository, ['--all']).snapshots.map(({ id }) => id);
  const parts = [1, 2, 3].flatMap((part) =>
    verify(repository, ['--subset', `${part}/3`]).snapshots.map(({ id }) => id),
  );
  expect(parts.toSorted()).toEqual(all.toSorted());
  pitr(repository.path, ['verify', '--subset', '4/3'], { expectCode: 2 });
  const large = scratchRepository();
  large.git('init', '--quiet', '--object-format=sha256', 'inner');
  large.write('inner/a.txt', 'a\n');
  const report =
    pitr(large.resolve('inner'), ['snapshot']) && pitr(large.resolve('inner'), ['verify', '--json']);
  expect(report.json<Report>()).toMatchObject({
    ok: true,
    secondReader: { used: false, reason: expect.stringContaining('sha256') as string },
  });
});
