import { PitrError } from '../errors.ts';
import type { Snapshot } from '../timeline/snapshot.ts';

/** A part of all snapshots. By their ids: the parts stay the same while others come and go, and together are all. */
export interface Subset {
  /** From 1 to `of`. */
  part: number;
  of: number;
}

/** `1/7`, or `today/7`: another part each day (in UTC). Error: `usage`. */
export function parseSubset(text: string, epochMs: number): Subset {
  const [, which = '', number = ''] = /^(today|\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  const of = Number(number);
  const part = which === 'today' ? (Math.floor(epochMs / 86_400_000) % of) + 1 : Number(which);
  if (of >= 1 && part >= 1 && part <= of) return { part, of };
  throw new PitrError('usage', `--subset takes a part such as 1/7 or today/7, not "${text}".`);
}

export function isInSubset({ id }: Pick<Snapshot, 'id'>, { part, of }: Subset): boolean {
  return Number.parseInt(id.slice(0, 10), 16) % of === part - 1;
}
