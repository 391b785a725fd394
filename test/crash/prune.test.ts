/**
 * Prunes and their undo, killed at each named step and at random moments, and beside others that record: nothing that is
 * kept is lost, and neither is its note.
 *
 * `PITR_CAMPAIGN=1`, or `PITR_KILLS=200`, kills ten times as often; `PITR_SEED` repeats the random moments of a run.
 */
import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { type Moment, randomNumbers, runAndKill, Tally } from './support/kill.ts';
import { pitrBeside } from './support/parallel.ts';

vi.setConfig({ testTimeout: 300_000 });

const isLong = process.env['PITR_CAMPAIGN'] === '1';
const kills = Number(process.env['PITR_KILLS'] ?? (isLong ? 200 : 20));
const tally = new Tally();
const seed = Number(process.env['PITR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const random = randomNumbers(seed);

afterAll(() => {
  console.log(`kills during prunes: ${tally.kills}, lost: ${tally.lost} (PITR_SEED=${seed})`);
});

interface Listed {
  id: string;
  message: string;
  pinned: boolean;
  commit: string;
  fromTrailers?: boolean;
}

const policy = ['--policy', '2d'];

function list(folder: string): Listed[] {
  return pitr(folder, ['list', '--json']).json<{ snapshots: Listed[] }>().snapshots;
}

let template: TestRepository;

/** Eight snapshots of four days, long ago; the second is pinned. */
function timeline(): TestRepository {
  const repository = scratchRepository();
  cpSync(template.path, repository.path, { recursive: true, force: true, preserveTimestamps: true });
  return repository;
}

beforeAll(() => {
  template = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  template.git('config', 'pitr.lockTimeout', '5m');
  for (let turn = 0; turn < 8; turn++) {
    template.write('a.txt', `turn ${turn}\n`);
    const time = `2026-11-0${Math.floor(turn / 2) + 1}T1${turn % 2}:00:00Z`;
    const args = ['snapshot', '-m', `turn ${turn} ☃`, ...(turn === 1 ? ['--pin'] : [])];
    pitr(template.path, args, { env: { GIT_COMMITTER_DATE: time } });
  }
});

/** One timeline that is pruned and brought back over and over. */
class Pruning {
  readonly repository = timeline();
  readonly all = list(this.repository.path);
  readonly kept = [this.all[0], this.all[2], this.all[6]].map((one) => one?.id);

  get path(): string {
    return this.repository.path;
  }

  /** Either all of them or those that stay, each with its note; and nothing of a killed process is in the way. */
  requireWhole(): 'all' | 'pruned' {
    const now = list(this.path);
    const ids = now.map(({ id }) => id);
    const known = new Map(this.all.map((one) => [one.id, one]));
    for (const { id, message, pinned, fromTrailers } of now) {
      assert.equal(fromTrailers, undefined);
      assert.deepEqual([message, pinned], [known.get(id)?.message, known.get(id)?.pinned]);
    }
    const isPruned = ids.length === this.kept.length;
    assert.deepEqual(ids, isPruned ? this.kept : this.all.map(({ id }) => id));
    this.repository.git('fsck', '--strict', '--no-dangling');
    assert.equal(Number(this.repository.git('rev-list', '--count', 'refs/pitr/main')), ids.length);
    return isPruned ? 'pruned' : 'all';
  }

  /** After a kill: what is there is whole, and prune and undo do all they do. */
  async kill(args: readonly string[], moment: Moment): Promise<boolean> {
    const killed = await runAndKill(this.path, args, moment);
    tally.check(() => {
      this.requireWhole();
      pitr(this.path, ['prune', ...policy]);
      const commits = this.repository.git('rev-list', 'refs/pitr/main').split('\n');
      assert.equal(commits.length, this.kept.length);
      assert.deepEqual(this.noted(), commits);
      pitr(this.path, ['undo']);
      assert.equal(this.requireWhole(), 'all');
    });
    return killed;
  }

  /** Commits that have a note, in the order of the timeline; those that should have none come last. */
  noted(): string[] {
    const order = this.repository.git('rev-list', 'refs/pitr/main').split('\n');
    const noted = this.repository.git('notes', '--ref=pitr', 'list').split('\n');
    const at = (commit: string) => (order.includes(commit) ? order.indexOf(commit) : order.length);
    return noted.map((line) => line.split(' ')[1] ?? '').toSorted((a, b) => at(a) - at(b));
  }
}

const steps = [
  'locked',
  'prune-planned',
  'prune-written',
  'prune-noted',
  'prune-moved',
  'notes-written',
  'pruned',
];

describe('a prune', () => {
  const pruning = new Promise<Pruning>((resolve) => {
    beforeAll(() => resolve(new Pruning()));
  });

  test.each(steps)('killed at "%s" loses nothing', async (at) => {
    expect(await (await pruning).kill(['prune', ...policy], { at })).toBe(true);
  });

  test.each(['objects-held', 'objects-packed'])(
    'killed at "%s" while a gc runs loses nothing',
    async (at) => {
      const { repository, path: folder } = await pruning;
      const pidFile = repository.resolve('.git/gc.pid');
      writeFileSync(pidFile, `${process.pid} ${hostname()}`);
      expect(await runAndKill(folder, ['prune', ...policy], { at })).toBe(true);
      rmSync(pidFile);
      repository.git('gc', '--quiet', '--prune=now');
      expect(await (await pruning).kill(['prune', ...policy], { at: 'prune-moved' })).toBe(true);
      expect(repository.git('for-each-ref', 'refs/pitr/incoming/')).toBe('');
    },
  );

  test.each(['prune-written', 'prune-moved', 'prune-undone'])(
    'whose undo is killed at "%s" loses nothing',
    async (at) => {
      const { path: folder } = await pruning;
      pitr(folder, ['prune', ...policy]);
      expect(await (await pruning).kill(['undo'], { at })).toBe(true);
    },
  );

  test('killed at random moments, and its undo too, loses nothing', { timeout: 1_800_000 }, async () => {
    const it = await pruning;
    const began = performance.now();
    pitr(it.path, ['prune', ...policy]);
    const usual = performance.now() - began;
    pitr(it.path, ['undo']);
    for (let left = Math.max(4, kills - 14); left > 0; left--) {
      const moment: Moment = { after: usual * (0.3 + 0.7 * random()), group: random() < 0.5 };
      const isUndo = random() < 0.3;
      if (isUndo) pitr(it.path, ['prune', ...policy]);
      await it.kill(isUndo ? ['undo'] : ['prune', ...policy], moment);
    }
    expect(tally.lost).toBe(0);
  });
});

test('snapshots of the same and of a linked worktree during prunes and their undo are all kept', async () => {
  const { repository, path: folder, all } = new Pruning();
  const linked = path.join(scratchFolder(), 'linked');
  repository.git('worktree', 'add', '--quiet', linked);
  const rounds = isLong ? 20 : 2;
  const recorded: Record<string, string[]> = { [folder]: [], [linked]: [] };
  const isOver = { value: false };
  const prunes = async () => {
    for (let round = 0; round < rounds; round++) {
      for (const args of [['prune', '--policy', '2d keepWithin=1h'], ['undo']]) {
        const { code, stderr } = await pitrBeside(folder, args);
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      }
    }
    isOver.value = true;
  };
  const snapshots = async (where: string) => {
    for (let turn = 0; turn < 5 * rounds || !isOver.value; turn++) {
      const message = `${path.basename(where)} ${turn}`;
      const { code, stdout, stderr } = await pitrBeside(where, ['snapshot', '--json', '-m', message]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      recorded[where]?.push((JSON.parse(stdout) as { snapshot: Listed }).snapshot.id);
      if (isOver.value && turn >= 5 * rounds) break;
    }
  };
  await Promise.all([prunes(), snapshots(folder), snapshots(linked)]);
  for (const where of [folder, linked]) {
    const now = list(where);
    expect(now.filter(({ fromTrailers }) => fromTrailers)).toEqual([]);
    const older = where === folder ? all.map(({ id }) => id) : [];
    expect(now.map(({ id }) => id)).toEqual([...(recorded[where]?.toReversed() ?? []), ...older]);
    expect(now[0]?.message).toMatch(new RegExp(`^${path.basename(where)} \\d+$`));
  }
  repository.git('fsck', '--strict', '--no-dangling');
  pitr(folder, ['undo']);
  expect(list(folder).length).toBeLessThan((recorded[folder]?.length ?? 0) + all.length);
  pitr(folder, ['undo']);
  expect(list(folder)).toHaveLength((recorded[folder]?.length ?? 0) + all.length);
});
