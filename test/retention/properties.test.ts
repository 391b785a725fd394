import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Candidate, decide } from '../../src/retention/decide.ts';
import { fitInto } from '../../src/retention/maxSize.ts';
import { readPolicy, ruleNames, ruledTypes } from '../../src/retention/policy.ts';
import { snapshotTypes } from '../../src/timeline/snapshot.ts';

const now = Date.parse('2026-11-21T12:00:00Z');
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'];

/** Newest first, with times in any order: most within three years, some in one minute, some after now. */
const timeline = fc
  .array(
    fc.record({
      time: fc.oneof(
        fc.integer({ min: now - 3 * 366 * 86_400_000, max: now }),
        fc.integer({ min: now - 3 * 86_400_000, max: now + 86_400_000 }),
        fc.integer({ min: now - 60_000, max: now }),
      ),
      type: fc.constantFrom(...snapshotTypes),
      pinned: fc.integer({ min: 0, max: 9 }).map((one) => one === 0),
    }),
    { minLength: 1, maxLength: 80 },
  )
  .map((all) => all.map((one, at): Candidate => ({ ...one, id: `s${all.length - at}` })));

const limit = fc.oneof(
  fc.integer({ min: 0, max: 5 }).map(String),
  fc.constantFrom('1h', '48h', '1d', '7d', '3w', '2mo', '1y'),
);

const policy = fc
  .array(fc.tuple(fc.constantFrom(...ruledTypes), fc.constantFrom(...ruleNames), limit), { maxLength: 6 })
  .map((rules) => {
    const fitting = rules.filter(([, rule, value]) =>
      rule === 'keepLast' ? /^\d+$/.test(value) : rule !== 'keepWithin' || !/^\d+$/.test(value),
    );
    const keys = fitting.map(([type, rule, value]) => [
      `pitr.retention.${type === 'snapshot' ? '' : `${type}.`}${rule.toLowerCase()}`,
      value,
    ]);
    // What remains of the defaults for each type keeps the policy from being empty.
    return new Map([['pitr.retention.keepdaily', '3'], ...keys] as [string, string][]);
  })
  .filter((config) => {
    try {
      return readPolicy(config) !== undefined;
    } catch {
      return false;
    }
  })
  .map((config) => readPolicy(config));

const asked = { candidates: timeline, rules: policy, timeZone: fc.constantFrom(...zones) };

async function keptOf(
  candidates: readonly Candidate[],
  rules: ReturnType<typeof readPolicy>,
  timeZone: string,
) {
  const decisions = await decide(candidates, { policy: rules, now, timeZone });
  return candidates.filter((_, at) => decisions[at]?.keep === true);
}

test('pruning what is left of a prune drops nothing more', async () => {
  await fc.assert(
    fc.asyncProperty(fc.record(asked), async ({ candidates, rules, timeZone }) => {
      const once = await keptOf(candidates, rules, timeZone);
      expect(await keptOf(once, rules, timeZone)).toEqual(once);
    }),
    { numRuns: 300 },
  );
});

test('the newest, pinned ones, archives and migrations always stay, and every decision has its reason', async () => {
  await fc.assert(
    fc.asyncProperty(fc.record(asked), async ({ candidates, rules, timeZone }) => {
      const decisions = await decide(candidates, { policy: rules, now, timeZone });
      expect(decisions[0]?.keep).toBe(true);
      for (const [at, { pinned, type }] of candidates.entries()) {
        const decision = decisions[at];
        expect(decision?.reasons.length).toBeGreaterThan(0);
        if (pinned || type === 'archive' || type === 'migration') expect(decision?.keep).toBe(true);
        if (decision?.keep === false) expect(decision.reasons).toHaveLength(1);
      }
    }),
    { numRuns: 300 },
  );
});

test('what a dropped snapshot is said to be represented by stays', async () => {
  await fc.assert(
    fc.asyncProperty(fc.record(asked), async ({ candidates, rules, timeZone }) => {
      const decisions = await decide(candidates, { policy: rules, now, timeZone });
      const kept = decisions.filter(({ keep }) => keep).map(({ id }) => id);
      const named = decisions.flatMap(({ keep, reasons: [first] }) => (keep ? [] : (first?.by ?? [])));
      expect(kept).toEqual(expect.arrayContaining(named));
    }),
    { numRuns: 300 },
  );
});

test('maxSize never drops what is protected, and drops no more than it must', async () => {
  await fc.assert(
    fc.asyncProperty(fc.record({ ...asked, max: fc.integer({ min: 0, max: 40 }) }), async (given) => {
      const { candidates, rules, timeZone, max } = given;
      const decisions = await decide(candidates, { policy: rules, now, timeZone });
      const sizeOf = async (kept: readonly string[]) => kept.length;
      const fitted = await fitInto(max, String(max), candidates, decisions, sizeOf);
      const count = fitted.decisions.filter(({ keep }) => keep).length;
      const before = decisions.filter(({ keep }) => keep).length;
      const least = decisions.filter(({ isProtected }) => isProtected).length;
      expect(count).toBe(Math.min(before, Math.max(max, least)));
      expect(fitted.fits).toBe(count <= max);
      for (const [at, { isProtected }] of decisions.entries())
        if (isProtected) expect(fitted.decisions[at]?.keep).toBe(true);
    }),
    { numRuns: 200 },
  );
});
