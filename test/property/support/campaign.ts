/** A number of random cases, and what to do to see one again. */
import fc from 'fast-check';
import { afterAll, expect } from 'vitest';
import { type Emphasis, steps } from './steps.ts';
import { Templates, type Trial, tryCase } from './trial.ts';

/** Over both files; `.ci/run` sets PITR_CASES=2000. */
const cases = Math.ceil(Number(process.env['PITR_CASES'] ?? 300) / 2);

/** The same cases each time, so that a failure is of the change that shows it; `PITR_SEED=<seed>` plays others. */
const seed = Number(process.env['PITR_SEED'] ?? 20_261_121);

export const timeout = 3_600_000;

// git must find nobody's settings, and the library has the environment of this process.
for (const name of ['HOME', 'XDG_CONFIG_HOME']) process.env[name] = '/nonexistent';
for (const name of ['GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM']) process.env[name] = '/dev/null';

const templates = new Templates();
afterAll(() => templates.dispose());

/** Plays the cases; at the first that goes wrong it looks for the smallest that does, and fails with it. */
export async function campaign(emphasis: Emphasis): Promise<void> {
  const trial: fc.Arbitrary<Trial> = fc.record({
    before: steps(emphasis, { min: 1, max: 25 }),
    change: steps(emphasis, { min: 1, max: 15 }),
    autocrlf: fc.constantFrom('true', 'input', 'false'),
    staged: fc.integer({ min: 0, max: 3 }).map((n) => n === 1),
    byCommand: fc.integer({ min: 0, max: 15 }).map((n) => n === 1),
  });
  const property = fc.asyncProperty(trial, (one) => tryCase(one, templates));
  const result = await fc.check(property, { seed, numRuns: cases, endOnFailure: true });
  console.log(`cases tried: ${result.numRuns}, lost: ${result.failed ? 1 : 0} (PITR_SEED=${seed})`);
  const reason = result.errorInstance instanceof Error ? result.errorInstance.message : '';
  expect(`${fc.defaultReportMessage(result) ?? ''}${reason}`).toBe('');
}
