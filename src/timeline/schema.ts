import { z } from 'zod';
import { maxMessage, maxReason, maxTableName } from './limits.ts';

/**
 * The note on a snapshot commit, as `refs/notes/pitr` holds it. Notes may come from elsewhere (a fetch, a bundle), so
 * everything has a shape and a limit. Unknown keys are kept: a later version may have written them.
 */

const count = z.number().int().nonnegative();
const text = (limit: number) => z.string().max(limit);
const oid = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);

const database = z.looseObject({
  name: text(64),
  engine: text(32),
  bytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  version: text(100).optional(),
  tables: z.record(text(maxTableName), count).optional(),
  time: text(40).optional(),
  path: text(20_000).optional(),
});

const reason = z.object({ path: text(20_000), reason: text(maxReason) });

const instant = text(40).refine((value) => !Number.isNaN(Date.parse(value)), 'not a time');

const squashed = z.object({
  count: z.number().int().positive(),
  from: instant,
  to: instant,
  types: z.record(text(32), count),
});

export const noteSchema = z.looseObject({
  schema: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{10,64}$/),
  message: text(maxMessage),
  pinned: z.boolean(),
  head: z.object({ branch: text(4096).nullable(), commit: oid.nullable() }),
  operation: text(64).optional(),
  changes: z.object({ added: count, modified: count, deleted: count }),
  files: count,
  bytes: count,
  databases: z.array(database).max(1000),
  skipped: z.array(reason).max(100_000),
  failedDatabases: z
    .array(z.object({ name: text(64), reason: text(4000) }))
    .max(1000)
    .default([]),
  squashed: squashed.optional(),
  verified: z
    .object({ time: text(40), ok: z.boolean(), deep: z.boolean() })
    .optional()
    .catch(undefined),
  durationMs: z.number().nonnegative().optional(),
  host: text(300).optional(),
  zone: text(100).optional(),
});

export type Note = z.infer<typeof noteSchema>;

/** Reads a note; the reason when it is none. */
export function parseNote(content: string): Note | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { problem: 'the note is not JSON' };
  }
  const parsed = noteSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return { problem: `the note is not of schema 1 (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''})` };
}
