/**
 * The built command, killed at each named step and at random moments: nothing that was recorded is lost, and the
 * working copy is the old state, the new one, or one `--continue` or `--abort` away from either.
 *
 * `PITR_KILLS=300` kills as often (.ci/run does); `PITR_SEED` repeats the random moments of a run.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, describe, expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { type Moment, randomNumbers, runAndKill, Tally } from './support/kill.ts';
import { Scene } from './support/scene.ts';

const tally = new Tally();
const seed = Number(process.env['PITR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const random = randomNumbers(seed);
const wanted = Number(process.env['PITR_KILLS'] ?? 0);

afterAll(() => {
  console.log(`kills tried: ${tally.kills}, lost: ${tally.lost} (PITR_SEED=${seed})`);
});

type Settle = 'continue' | 'abort';

interface Attempt {
  /** A command that leads to the scene's other state. */
  args: readonly string[];
  moment: Moment;
  /** What is done when it was interrupted, and when that is killed in its turn. */
  settle: Settle;
  again?: readonly Moment[];
}

/** Kills a command, looks at what is there, and goes on. True when it was killed, each time. */
async function attempt(scene: Scene, { args, moment, settle, again = [] }: Attempt): Promise<boolean> {
  const [old, goal] = [scene.current, scene.other];
  let killed = await runAndKill(scene.path, args, moment);
  for (const next of again) {
    const killedAgain = scene.interrupted && (await runAndKill(scene.path, ['restore', `--${settle}`], next));
    if (killedAgain) tally.kills++;
    else killed = false;
  }
  tally.check(() => {
    if (scene.interrupted) {
      const refused = [['snapshot'], ['undo', '--yes'], scene.restoreArgs()][tally.kills % 3] ?? [];
      expect(pitr(scene.path, refused, { expectCode: 8 }).stderr).toContain('--continue');
      pitr(scene.path, ['restore', `--${settle}`]);
      scene.current = settle === 'continue' ? goal : old;
    } else {
      scene.current = scene.nameNow() ?? old;
      // Whatever was killed is no obstacle to what comes next.
      pitr(scene.path, ['snapshot']);
    }
    expect(scene.now()).toEqual(scene.states.get(scene.current));
    scene.requireClean();
    scene.requireAllListed();
  });
  return killed;
}

const restoreSteps = [
  'locked',
  'safety-taken',
  'staged',
  'held',
  'journal-written',
  'file-deleted',
  'file-deleted#2',
  'files-deleted',
  'folders-removed',
  'folder-made',
  'folder-made#2',
  'file-applied',
  'file-applied#4',
  'files-applied',
  'files-synced',
  'index-built',
  'index-locked',
  'index-written',
  'database-copied',
  'database-restored',
  'verified',
  'journal-finished',
  'stage-removed',
];

describe('a restore of files, index and database', () => {
  const scene = new Scene();

  test.each(restoreSteps.map((at, index) => [at, index % 2 === 0 ? 'abort' : 'continue'] as const))(
    'killed at "%s" loses nothing, and ends with --%s',
    async (at, settle) => {
      expect(await attempt(scene, { args: scene.restoreArgs(), moment: { at }, settle })).toBe(true);
    },
  );

  test.each([
    [
      'abort',
      'database-restored',
      ['locked', 'safety-taken', 'file-deleted', 'folder-made', 'index-built', 'database-copied', 'driven'],
    ],
    [
      'continue',
      'journal-written',
      ['objects-written', 'files-deleted', 'file-applied#3', 'index-locked', 'database-restored'],
    ],
  ] as const)('whose --%s is killed time and again (after "%s") is settled', async (settle, at, steps) => {
    const again = steps.map((step) => ({ at: step }));
    const args = scene.restoreArgs();
    expect(await attempt(scene, { args, moment: { at }, settle, again })).toBe(true);
  });

  test.each([
    ['abort', 'journal-removed'],
    ['continue', 'journal-finished'],
  ] as const)('whose --%s is killed at "%s" is settled', async (settle, at) => {
    const goal = settle === 'continue' ? scene.other : scene.current;
    await runAndKill(scene.path, scene.restoreArgs(), { at: 'files-applied' });
    expect(await runAndKill(scene.path, ['restore', `--${settle}`], { at })).toBe(true);
    tally.check(() => {
      pitr(scene.path, ['restore', `--${settle}`], { expectCode: 5 });
      scene.current = goal;
      expect(scene.now()).toEqual(scene.states.get(goal));
      scene.requireClean();
      scene.requireAllListed();
    });
  });

  test('both states can still be restored whole', () => {
    for (const name of ['x', 'y']) expect(() => scene.requireRestorable(name)).not.toThrow();
  });
});

describe('an undo', () => {
  const scene = new Scene();

  test.each([
    ['journal-written', 'continue'],
    ['folder-made', 'abort'],
    ['file-applied#2', 'continue'],
    ['index-locked', 'abort'],
    ['database-restored', 'continue'],
    ['journal-finished', 'abort'],
  ] as const)('killed at "%s" loses nothing, and ends with --%s', async (at, settle) => {
    pitr(scene.path, scene.restoreArgs());
    scene.current = scene.other;
    const moment = { at };
    expect(await attempt(scene, { args: ['undo', '--yes'], moment, settle })).toBe(true);
  });
});

describe('a database that is gone', () => {
  test.each([
    ['database-built', 'continue'],
    ['database-built', 'abort'],
    ['database-restored', 'continue'],
  ] as const)('a restore killed at "%s" ends with --%s', async (at, settle) => {
    const scene = new Scene();
    for (const name of ['app.db', 'app.db-wal', 'app.db-shm'])
      rmSync(scene.repository.resolve(name), { force: true });
    const before = scene.now();
    const goal = scene.states.get(scene.other);
    const args = scene.restoreArgs();
    expect(await runAndKill(scene.path, args, { at })).toBe(true);
    tally.check(() => {
      pitr(scene.path, ['restore', `--${settle}`]);
      expect(scene.now()).toEqual(settle === 'continue' ? goal : before);
      scene.requireClean();
      scene.requireAllListed();
    });
  });
});

describe('a snapshot', () => {
  const scene = new Scene();
  let turn = 0;

  /** Makes a change for a snapshot to record. */
  function change(): void {
    scene.repository.write('work.txt', `work ${++turn}\n`);
    scene.repository.write(`new/${turn}.txt`, `${turn}\n`.repeat(100));
    scene.fill(`turn ${turn}`, 200 + turn);
  }

  /** A kill leaves the working copy as it is, and the next snapshot records it whole. */
  async function killSnapshot(moment: Moment): Promise<boolean> {
    change();
    const before = scene.now();
    const killed = await runAndKill(scene.path, ['snapshot', '-m', `turn ${turn}`], moment);
    tally.check(() => {
      expect(scene.now()).toEqual(before);
      pitr(scene.path, ['snapshot']);
      scene.requireAllListed();
      scene.requireNewestHolds(before);
      scene.requireClean();
    });
    return killed;
  }

  test.each([
    'objects-written',
    'tree-written',
    'captured',
    'databases-captured',
    'snapshot-written',
    'refs-moved',
    'recorded',
  ])('killed at "%s" loses nothing', async (at) => {
    expect(await killSnapshot({ at })).toBe(true);
  });

  test.each(['objects-held', 'objects-packed', 'refs-moved'])(
    'killed at "%s" while a gc runs loses nothing',
    async (at) => {
      const pidFile = scene.repository.resolve('.git/gc.pid');
      writeFileSync(pidFile, `${process.pid} ${hostname()}`);
      change();
      expect(await runAndKill(scene.path, ['snapshot'], { at })).toBe(true);
      rmSync(pidFile);
      scene.repository.git('gc', '--quiet', '--prune=now');
      const before = scene.now();
      tally.check(() => {
        pitr(scene.path, ['snapshot']);
        scene.requireAllListed();
        scene.requireNewestHolds(before);
        scene.requireClean();
      });
    },
  );

  test('killed at random moments loses nothing', { timeout: 600_000 }, async () => {
    change();
    const usual = timeOf(() => pitr(scene.path, ['snapshot']));
    for (let left = randomKills(1 / 3, 5); left > 0; left--) await killSnapshot(randomMoment(usual));
    expect(tally.lost).toBe(0);
  });
});

describe('a restore and an undo', () => {
  const scene = new Scene();

  test('killed at random moments lose nothing', { timeout: 900_000 }, async () => {
    const usual = timeOf(() => pitr(scene.path, scene.restoreArgs()));
    scene.current = scene.other;
    for (let left = randomKills(2 / 3, 10); left > 0; left--) {
      const args = scene.canUndo && random() < 0.4 ? ['undo', '--yes'] : scene.restoreArgs();
      const settle = random() < 0.5 ? 'continue' : 'abort';
      const again = random() < 0.3 ? [randomMoment(usual)] : [];
      await attempt(scene, { args, moment: randomMoment(usual), settle, again });
    }
    for (const name of ['x', 'y']) expect(() => scene.requireRestorable(name)).not.toThrow();
  });
});

/** This part of what `PITR_KILLS` asks for beyond the named steps. */
function randomKills(part: number, least: number): number {
  const named = 60;
  return Math.max(least, Math.ceil((wanted - named) * part));
}

function randomMoment(usual: number): Moment {
  return { after: usual * random(), group: random() < 0.5 };
}

function timeOf(work: () => void): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}
