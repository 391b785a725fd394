import { execFileSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Listed {
  id: string;
  time: string;
  type: string;
  message: string;
  pinned: boolean;
  commit: string;
  squashed?: { count: number; from: string; to: string; types: Record<string, number> };
}

interface PruneDocument {
  kept: number;
  dropped: number;
  bytes: number;
  applied: boolean;
  fits: boolean;
  snapshots: { id: string; keep: boolean; reasons: { rule: string; text: string }[] }[];
}

const now = '2026-11-21T12:00:00Z';

/** Runs at a time of the clock, in Berlin. */
function at(repository: TestRepository, time: string, args: readonly string[], expectCode = 0) {
  return pitr(repository.path, args, {
    env: { GIT_COMMITTER_DATE: time, TZ: 'Europe/Berlin' },
    expectCode,
  });
}

function list(repository: TestRepository): Listed[] {
  return at(repository, now, ['list', '--json']).json<{ snapshots: Listed[] }>().snapshots;
}

function prune(repository: TestRepository, ...args: string[]): PruneDocument {
  return at(repository, now, ['prune', '--json', ...args]).json<PruneDocument>();
}

const templates = new Map<number, TestRepository>();

/** Two snapshots a day, at 9 and at 10 in Berlin, from the first of November on; messages with every kind of letter. */
function twiceADay(days: number): TestRepository {
  const template = templates.get(days) ?? makeTwiceADay(days);
  templates.set(days, template);
  const repository = scratchRepository();
  cpSync(template.path, repository.path, { recursive: true, force: true, preserveTimestamps: true });
  return repository;
}

beforeAll(() => {
  for (const days of [1, 2, 3]) templates.set(days, makeTwiceADay(days));
});

function makeTwiceADay(days: number): TestRepository {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n', 'b.txt': 'b\n' }, commit: true });
  for (let day = 1; day <= days; day++)
    for (const hour of ['08', '09']) {
      repository.write('a.txt', `day ${day}, hour ${hour}\n`);
      const time = `2026-11-${String(day).padStart(2, '0')}T${hour}:00:00.123Z`;
      at(repository, time, ['snapshot', '-m', `${day} ${hour} ☃ "ünï" \\n\tPitr-Id: 123\n\nPitr-Id: x`]);
    }
  return repository;
}

function chain(repository: TestRepository): string[] {
  return repository.git('rev-list', 'refs/pitr/main').split('\n');
}

/** The commits that have a note. */
function noted(repository: TestRepository): string[] {
  return repository
    .git('notes', '--ref=pitr', 'list')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
}

/** All that is in a snapshot, bytes included. */
function contentOf(repository: TestRepository, id: string): string[] {
  const into = path.join(scratchFolder(), 'into');
  pitr(repository.path, ['restore', '--snapshot', id, '--into', into]);
  return hashTree(into);
}

test('a prune does exactly what its dry run says, folds what it drops, and leaves ids, times and messages', () => {
  const repository = twiceADay(3);
  const before = list(repository);
  const dry = prune(repository, '--policy', '2d', '--dry-run');
  expect(list(repository)).toEqual(before);
  const done = prune(repository, '--policy', '2d');
  expect(done.snapshots).toEqual(dry.snapshots);
  expect({ ...dry, applied: true, dryRun: false }).toEqual(done);
  const after = list(repository);
  expect(after.map(({ id }) => id)).toEqual(done.snapshots.filter(({ keep }) => keep).map(({ id }) => id));
  expect(after.map(({ id, time, type, message }) => ({ id, time, type, message }))).toEqual(
    [before[0], before[2]].map((one) => ({
      id: one?.id,
      time: one?.time,
      type: one?.type,
      message: one?.message,
    })),
  );
  expect(after.map(({ squashed }) => squashed)).toEqual([
    { count: 1, from: before[1]?.time, to: before[1]?.time, types: { snapshot: 1 } },
    { count: 3, from: before[5]?.time, to: before[3]?.time, types: { snapshot: 3 } },
  ]);
  expect(chain(repository)).toEqual(after.map(({ commit }) => commit));
  expect(noted(repository).toSorted()).toEqual(chain(repository).toSorted());
  expect(repository.git('log', '--format=%cn <%ce> %cI', '-1', 'refs/pitr/main')).toBe(
    'git-pitr <git-pitr@localhost> 2026-11-03T09:00:00+00:00',
  );
  repository.git('fsck', '--strict');
});

test('kept snapshots have the same bytes before a prune, after it, and after git gc --prune=now', () => {
  const repository = twiceADay(3);
  const before = new Map(list(repository).map(({ id }) => [id, contentOf(repository, id)]));
  const trees = repository.git('log', '--format=%T', 'refs/pitr/main').split('\n');
  prune(repository, '--policy', '2d');
  const kept = list(repository).map(({ id }) => id);
  expect(kept).toHaveLength(2);
  for (const ref of ['refs/pitr/previous/main', 'refs/pitr/previous-notes/main'])
    repository.git('update-ref', '-d', ref);
  repository.git('gc', '--quiet', '--prune=now');
  for (const id of kept) expect(contentOf(repository, id)).toEqual(before.get(id));
  expect(() => repository.git('cat-file', '-t', trees[1] ?? '')).toThrow('could not get object info');
  repository.git('fsck', '--strict', '--full');
});

test('undo brings all of it back, notes too; again prunes again; what was recorded and pinned since stays', () => {
  const repository = twiceADay(3);
  const before = list(repository);
  prune(repository, '--policy', '2d');
  repository.write('a.txt', 'since\n');
  at(repository, '2026-11-20T08:00:00Z', ['snapshot', '-m', 'since']);
  const since = list(repository)[0];
  at(repository, now, ['pin', before[0]?.id ?? '']);
  at(repository, now, ['undo']);
  const undone = list(repository);
  const ids = before.map(({ id }) => id);
  expect(undone.map(({ id }) => id)).toEqual([since?.id, ...ids]);
  expect(undone.slice(1)).toEqual(before.map((one, index) => (index === 0 ? { ...one, pinned: true } : one)));
  expect(undone[0]?.message).toBe('since');
  at(repository, now, ['undo']);
  const again = list(repository);
  expect(again.map(({ id }) => id)).toEqual([since?.id, ids[0], ids[2]]);
  expect(again.map(({ squashed }) => squashed?.count)).toEqual([undefined, 1, 3]);
  expect(again[1]?.pinned).toBe(true);
  expect(noted(repository).toSorted()).toEqual(chain(repository).toSorted());
  repository.git('fsck', '--strict');
});

test('undo takes back the last thing, a restore or a prune, in that order; and a restore survives two prunes and a gc', () => {
  const repository = twiceADay(3);
  const [newest] = list(repository);
  const content = repository.read('a.txt');
  repository.git('config', 'pitr.retention.safety.keepLast', '1');
  repository.git('config', 'pitr.retention.safety.keepWithin', '1h');
  at(repository, '2026-11-03T10:00:00Z', ['restore', '--snapshot', 'latest~5', '--yes']);
  expect(repository.read('a.txt')).not.toBe(content);
  for (const turn of ['one', 'two']) {
    repository.write('b.txt', `${turn}\n`);
    at(repository, '2026-11-03T11:00:00Z', ['snapshot', '--type', 'safety', '-m', turn]);
  }
  expect(prune(repository, '--policy', '3').applied).toBe(true);
  expect(prune(repository, '--policy', '1').applied).toBe(true);
  repository.git('update-ref', '-d', 'refs/pitr/previous/main');
  repository.git('update-ref', '-d', 'refs/pitr/previous-notes/main');
  repository.git('gc', '--quiet', '--prune=now');
  at(repository, now, ['undo', '--yes']);
  expect(repository.read('a.txt')).toBe(content);
  expect(list(repository).map(({ id }) => id)).toContain(newest?.id);
  expect(prune(repository, '--policy', '1').applied).toBe(true);
  const pruned = list(repository).length;
  at(repository, now, ['undo']);
  expect(list(repository).length).toBeGreaterThan(pruned);
  expect(repository.read('a.txt')).toBe(content);
});

test('pruning twice drops nothing more, and leaves the way back', () => {
  const repository = twiceADay(3);
  const before = list(repository);
  prune(repository, '--policy', '1d');
  const once = list(repository);
  expect(prune(repository, '--policy', '1d')).toMatchObject({ dropped: 0, applied: false, bytes: 0 });
  expect(list(repository)).toEqual(once);
  at(repository, now, ['undo']);
  expect(list(repository)).toEqual(before);
});

test('a later prune folds what an earlier one folded', () => {
  const repository = twiceADay(3);
  prune(repository, '--policy', '3d');
  prune(repository, '--policy', '1d');
  const [only, ...rest] = list(repository);
  expect(rest).toEqual([]);
  expect(only?.squashed).toEqual({
    count: 5,
    from: '2026-11-01T08:00:00.123Z',
    to: '2026-11-03T08:00:00.123Z',
    types: { snapshot: 5 },
  });
  expect(at(repository, now, ['list']).stdout).toContain('[+5 folded, 2026-11-01 to 2026-11-03]');
  expect(at(repository, now, ['show']).stdout).toContain('Folded in: 5 snapshots from 2026-11-01 09:00:00');
});

test('pinned ones, archives, migrations and those without a note stay, and commits below the oldest change are as before', () => {
  const repository = twiceADay(3);
  const ids = list(repository).map(({ id }) => id);
  at(repository, now, ['pin', ids[3] ?? '']);
  repository.git('notes', '--ref=pitr', 'remove', chain(repository)[5] ?? '');
  at(repository, '2026-11-03T12:00:00Z', ['snapshot', '--type', 'archive']);
  at(repository, '2026-11-03T13:00:00Z', ['snapshot', '--type', 'migration', '-m', 'x']);
  at(repository, '2026-11-03T14:00:00Z', ['snapshot', '--allow-empty']);
  const before = chain(repository);
  const { snapshots } = prune(repository, '--policy', '1');
  const why = new Map(snapshots.map(({ id, keep, reasons }) => [id, `${keep} ${reasons[0]?.rule}`]));
  expect(ids.map((id) => why.get(id))).toEqual([
    'false none',
    'false none',
    'false none',
    'true pinned',
    'false none',
    'true needed',
  ]);
  expect(list(repository).map(({ type }) => type)).toEqual([
    'snapshot',
    'migration',
    'archive',
    'snapshot',
    'snapshot',
  ]);
  expect(chain(repository).at(-1)).toBe(before.at(-1));
});

test('an empty or misspelt policy is refused with 2, and nothing is changed', () => {
  const repository = twiceADay(1);
  const before = repository.git('for-each-ref');
  for (const policy of ['', '0d', '7x'])
    expect(at(repository, now, ['prune', '--policy', policy], 2).stderr).toContain('nothing was changed');
  repository.git('config', 'pitr.retention.keepDayly', '3');
  expect(at(repository, now, ['prune'], 2).stderr).toContain('keepdayly');
  expect(repository.git('for-each-ref')).toBe(before);
});

test('maxSize drops the oldest until the rest fits; where it cannot, that is exit code 3', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  let noise = 1;
  const random = () => (noise = (noise * 48_271) % 2_147_483_647) % 256;
  for (const day of ['17', '18', '19', '20']) {
    repository.write('big.bin', Uint8Array.from({ length: 100_000 }, random));
    at(repository, `2026-11-${day}T08:00:00Z`, ['snapshot']);
  }
  const ids = list(repository).map(({ id }) => id);
  const document = prune(repository, '--policy', '10d maxSize=250k');
  expect(document.bytes).toBeGreaterThan(200_000);
  expect(list(repository).map(({ id }) => id)).toEqual(ids.slice(0, 2));
  at(repository, now, ['pin', ids[1] ?? '']);
  expect(at(repository, now, ['prune', '--policy', '10d maxSize=10k'], 3).stderr).toContain('maxSize');
});

test('a snapshot in a linked worktree keeps its note through a prune and its undo', () => {
  const repository = twiceADay(2);
  const linked = path.join(scratchFolder(), 'linked');
  repository.git('worktree', 'add', '--quiet', linked);
  pitr(linked, ['snapshot', '-m', 'of the linked one']);
  const show = () => pitr(linked, ['show', '--json']).json<{ snapshot: Listed }>().snapshot;
  const before = show();
  prune(repository, '--policy', '1d');
  expect(show()).toEqual(before);
  pitr(linked, ['annotate', 'latest', '-m', 'named since']);
  at(repository, now, ['undo']);
  expect(show()).toEqual({ ...before, message: 'named since' });
  expect(list(repository)).toHaveLength(4);
});

test('annotate and pin change only the note, and say when there was nothing to change', () => {
  const repository = twiceADay(1);
  const before = chain(repository);
  const [latest] = list(repository);
  const change = (...args: string[]) =>
    at(repository, now, [...args, '--json']).json<{ changed: boolean; snapshot: Listed }>();
  expect(change('pin', 'latest')).toEqual({ changed: true, snapshot: { ...latest, pinned: true } });
  expect(change('pin', 'latest').changed).toBe(false);
  expect(change('unpin', 'latest').changed).toBe(true);
  expect(change('annotate', 'latest', '-m', 'söme\nlines').snapshot.message).toBe('söme\nlines');
  expect(list(repository)[0]).toEqual({ ...latest, message: 'söme\nlines' });
  expect(chain(repository)).toEqual(before);
  expect(at(repository, now, ['pin', 'feedfacefeed'], 5).stderr).toContain('feedfacefeed');
  at(repository, now, ['pin'], 2);
  repository.git('notes', '--ref=pitr', 'remove', before[0] ?? '');
  expect(at(repository, now, ['pin', 'latest'], 7).stderr).toContain('The note of snapshot');
});

test('a snapshot prunes by itself when that is due, not before, and not when it is switched off', () => {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  repository.git('config', 'pitr.retention.incremental.keepWithin', '1h');
  const record = (time: string) => {
    repository.write('a.txt', `${time}\n`);
    return at(repository, time, ['snapshot', '--type', 'incremental']);
  };
  const stamp = repository.resolve('.git/pitr/lines/main/prune-stamp');
  const letADayPass = () => execFileSync('touch', ['-d', '2 days ago', stamp], { env: cleanEnvironment() });
  record('2026-11-01T08:00:00Z');
  record('2026-11-02T08:00:00Z');
  expect(list(repository)).toHaveLength(2);
  letADayPass();
  repository.git('config', 'pitr.retention.auto', 'false');
  record('2026-11-03T08:00:00Z');
  expect(list(repository)).toHaveLength(3);
  letADayPass();
  repository.git('config', 'pitr.retention.auto', 'true');
  expect(record('2026-11-04T08:00:00Z').stderr).toContain('Pruned: 3 older snapshots');
  expect(list(repository)).toHaveLength(1);
  letADayPass();
  repository.git('config', 'pitr.retention.keepDaily', 'often');
  expect(record('2026-11-05T08:00:00Z').stderr).toContain('the daily prune was not done');
});

test('a commit that git-pitr did not make stays, with all that is below it', () => {
  const repository = twiceADay(2);
  const tree = repository.git('rev-parse', 'refs/pitr/main^{tree}');
  const foreign = repository.git('commit-tree', '-p', 'refs/pitr/main', '-m', 'not ours', tree);
  repository.git('update-ref', 'refs/pitr/main', foreign);
  for (const time of ['2026-11-05T08:00:00Z', '2026-11-05T09:00:00Z']) {
    repository.write('a.txt', time);
    at(repository, time, ['snapshot']);
  }
  expect(prune(repository, '--policy', '1').dropped).toBe(1);
  expect(chain(repository)).toHaveLength(6);
  expect(chain(repository)[1]).toBe(foreign);
});

test('in a sha256 repository with packed refs it is the same', () => {
  const repository = scratchRepository();
  rmSync(repository.resolve('.git'), { recursive: true });
  repository.git('init', '--quiet', '--object-format=sha256');
  for (const time of ['2026-11-01T08:00:00Z', '2026-11-01T09:00:00Z', '2026-11-02T08:00:00Z']) {
    repository.write('a.txt', time);
    at(repository, time, ['snapshot', '-m', time]);
  }
  repository.git('pack-refs', '--all');
  const before = list(repository);
  prune(repository, '--policy', '2d');
  expect(list(repository).map(({ id }) => id)).toEqual([before[0]?.id, before[1]?.id]);
  repository.git('pack-refs', '--all');
  at(repository, now, ['undo']);
  expect(list(repository)).toEqual(before);
  repository.git('fsck', '--strict');
});

test('while a restore is interrupted nothing is pruned', () => {
  const repository = twiceADay(1);
  at(repository, now, ['restore', '--snapshot', 'latest~1', '--yes']);
  const line = repository.resolve('.git/pitr/lines/main');
  execFileSync('mv', [path.join(line, 'last-operation.json'), path.join(line, 'journal.json')]);
  expect(at(repository, now, ['prune', '--policy', '1'], 8).stderr).toContain('--continue');
  expect(list(repository).length).toBeGreaterThan(1);
});

test('--gc runs gc with its grace period', () => {
  const repository = twiceADay(2);
  const [, second] = chain(repository);
  at(repository, now, ['prune', '--policy', '1d', '--gc']);
  expect(repository.git('count-objects', '-v')).toMatch(/^packs: 1$/m);
  repository.git('cat-file', '-e', `${second}^{commit}`);
});
