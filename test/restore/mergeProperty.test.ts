/**
 * `restore --merge` against a model: what comes out is what is there now with the unwanted change taken back.
 * `PITR_SEED=<seed>` plays the same again.
 */
import { chmodSync, rmSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

const seed = Number(process.env['PITR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Each case is a whole restore, of so many files. */
const cases = 6;
const filesInCase = 40;

/**
 * A run of lines of a file. Between two runs that change lie lines that do not, as git needs them to tell two changes
 * apart; every line is unique, so that there is one way to see what changed.
 */
interface Run {
  lines: number;
  change: 'none' | 'unwanted' | 'mine';
  /** How many lines take the place of these. */
  replacement: number;
}

interface TextFile {
  eol: '\n' | '\r\n';
  endsWithout: boolean;
  runs: Run[];
}

const run = fc.record({
  lines: fc.integer({ min: 0, max: 4 }),
  change: fc.constantFrom<Run['change']>('none', 'unwanted', 'mine'),
  replacement: fc.integer({ min: 0, max: 4 }),
});

const textFile: fc.Arbitrary<TextFile> = fc.record({
  eol: fc.constantFrom('\n', '\r\n'),
  endsWithout: fc.boolean(),
  runs: fc.array(run, { minLength: 1, maxLength: 8 }),
});

/** The file with these changes made. */
function render({ eol, endsWithout, runs }: TextFile, made: readonly Run['change'][]): string {
  const lines = runs.flatMap(({ lines: count, change, replacement }, at) => {
    const kept = Array.from({ length: 3 }, (_, n) => `between ${at}.${n}`);
    const own =
      change !== 'none' && made.includes(change)
        ? Array.from({ length: replacement }, (_, n) => `${change} ${at}.${n}`)
        : Array.from({ length: count }, (_, n) => `line ${at}.${n}`);
    return [...own, ...kept];
  });
  return lines.join(eol) + (endsWithout ? '' : eol);
}

/** What one path is at one time: absent, a file (maybe a program), or a link. */
const state = fc.constantFrom('absent', 'x', 'y', 'x program', 'binary', 'link');
const whole = fc.record({
  before: state,
  bad: state,
  mine: state,
  who: fc.constantFrom('unwanted', 'mine', 'none'),
});

function put(repository: TestRepository, path: string, what: string): void {
  rmSync(repository.resolve(path), { force: true });
  if (what === 'absent') return;
  if (what === 'link') repository.symlink(path, 'nowhere');
  else if (what === 'binary') repository.write(path, Buffer.from([0, 1, 2, 255]));
  else repository.write(path, `${what[0]}\n`);
  if (what.endsWith('program')) chmodSync(repository.resolve(path), 0o755);
}

const snapshot = (repository: TestRepository): string =>
  pitr(repository.path, ['snapshot', '--allow-empty', '--json']).json<{ snapshot: { id: string } }>().snapshot
    .id;

test('changes to other lines and other files than the unwanted ones stay, and the unwanted ones go', () => {
  const texts = fc.array(textFile, { minLength: filesInCase / 2, maxLength: filesInCase / 2 });
  const wholes = fc.array(whole, { minLength: filesInCase / 2, maxLength: filesInCase / 2 });
  const property = fc.property(texts, wholes, (text, others) => {
    const repository = scratchRepository();
    // Something differs in any case, so that there is a snapshot to be the base.
    const write = (made: Run['change'][], of: (entry: (typeof others)[number]) => string) => {
      for (const [n, file] of text.entries()) repository.write(`text/${n}`, render(file, made));
      for (const [n, entry] of others.entries()) put(repository, `whole ${n}`, of(entry));
      repository.write('always', made.includes('unwanted') ? 'bad\n' : 'good\n');
    };
    write([], (entry) => entry.before);
    const target = snapshot(repository);
    write(['unwanted'], (entry) => (entry.who === 'unwanted' ? entry.bad : entry.before));
    snapshot(repository);
    write(
      ['unwanted', 'mine'],
      ({ before, bad, mine, who }) => ({ unwanted: bad, mine, none: before })[who] ?? before,
    );
    const before = repository.hashTree();
    const args = ['restore', '--snapshot', target, '--merge', '--json'];
    const { plan } = pitr(repository.path, args).json<{ plan: { conflicts: unknown[] } }>();
    const merged = repository.hashTree();
    pitr(repository.path, ['undo', '--yes']);
    const undone = repository.hashTree();
    write(['mine'], (entry) => (entry.who === 'mine' ? entry.mine : entry.before));
    expect(plan.conflicts).toEqual([]);
    expect(merged).toEqual(repository.hashTree());
    expect(undone).toEqual(before);
    rmSync(repository.path, { recursive: true });
  });
  const result = fc.check(property, { seed, numRuns: cases, endOnFailure: true });
  console.log(`merge property: ${result.numRuns} merges of ${filesInCase} files, seed ${seed}`);
  expect(fc.defaultReportMessage(result)).toBeUndefined();
});
