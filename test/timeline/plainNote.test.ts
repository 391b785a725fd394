import fc from 'fast-check';
import { expect, test } from 'vitest';
import { plainNote } from '../../src/timeline/plainNote.ts';
import { noteSchema } from '../../src/timeline/schema.ts';

const good = {
  schema: 1,
  id: '0123456789ab',
  message: 'a message',
  pinned: false,
  head: { branch: 'main', commit: 'a'.repeat(40) },
  changes: { added: 1, modified: 2, deleted: 3 },
  files: 4,
  bytes: 5,
  databases: [{ name: 'app', engine: 'sqlite', bytes: 1, sha256: 'b'.repeat(64), tables: { t: 1 } }],
  skipped: [{ path: 'x', reason: 'too large' }],
  failedDatabases: [{ name: 'db', reason: 'busy' }],
  operation: 'merge',
  squashed: {
    count: 2,
    from: '2026-11-01T00:00:00.000Z',
    to: '2026-11-02T00:00:00.000Z',
    types: { safety: 2 },
  },
  durationMs: 1.5,
  host: 'h',
  zone: 'UTC',
};

const odd = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, -1, 1.5, 1e300, Number.NaN, '', 'x', [], {}, [null], true),
  fc.string({ maxLength: 50 }),
  fc.constant('y'.repeat(70_000)),
  fc.anything({ maxDepth: 2 }),
);

/** A note of which one part, at any depth, is something else. */
const changed = fc
  .tuple(fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 3 }), odd, fc.boolean())
  .map(([way, value, adds]) => {
    const note = structuredClone(good) as Record<string, unknown>;
    let at: Record<string, unknown> = note;
    for (const [depth, step] of way.entries()) {
      const keys = Object.keys(at);
      const key = keys[step % Math.max(1, keys.length)] ?? 'new';
      const next = at[key];
      if (depth === way.length - 1 || typeof next !== 'object' || next === null) {
        at[adds ? `${key}2` : key] = value;
        break;
      }
      at = next as Record<string, unknown>;
    }
    return note;
  });

test('the quick check takes what git-pitr writes, and nothing that the schema does not take as it is', () => {
  expect(plainNote(good)).toBe(good);
  let taken = 0;
  fc.assert(
    fc.property(changed, (note) => {
      const quick = plainNote(note);
      if (quick === undefined) return;
      taken++;
      const { success, data } = noteSchema.safeParse(note);
      expect(success).toBe(true);
      expect(plain(data)).toEqual(plain(quick));
    }),
    { numRuns: 3000 },
  );
  expect(taken).toBeGreaterThan(20);
});

/** As it would come out of JSON. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
