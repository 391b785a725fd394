import { offsetAt } from '../timeline/instant.ts';
import type { RuleName } from './policy.ts';

/**
 * The hour, day, ISO week, month and year of a moment, as the clock on the wall of a zone shows them.
 *
 * A timeline has tens of thousands of moments, and a zone's offset is slow to ask for (20 µs; a ZonedDateTime more). No
 * zone ever changed its clocks and changed them back within six hours: where both ends agree, so does all in between.
 */

export type PeriodRule = Exclude<RuleName, 'keepLast' | 'keepWithin'>;

/** Names the periods that a moment is in, under one zone. */
export type PeriodNames = (epochMs: number, rule: PeriodRule) => string;

const hours6 = 6 * 3_600_000;
const day = 86_400_000;

export function periodNames(timeZone: string): PeriodNames {
  const offset = offsets(timeZone);
  // Each moment is asked about for every rule.
  const walls = new Map<number, { east: number; date: string }>();
  const wallOf = (epochMs: number) => {
    const east = offset(epochMs);
    const found = { east, date: new Date(epochMs + east).toISOString() };
    walls.set(epochMs, found);
    return found;
  };
  return (epochMs, rule) => {
    const { east, date } = walls.get(epochMs) ?? wallOf(epochMs);
    if (rule === 'keepYearly') return date.slice(0, -20);
    if (rule === 'keepMonthly') return date.slice(0, -17);
    if (rule === 'keepWeekly') return isoWeek(new Date(epochMs + east));
    if (rule === 'keepDaily') return date.slice(0, -14);
    // Clocks that are set back show an hour twice; each is an hour of its own.
    return `${date.slice(0, -14)} ${date.slice(-13, -11)}:00 ${offsetText(east)}`;
  };
}

/** Milliseconds east of UTC. */
function offsets(timeZone: string): (epochMs: number) => number {
  const known = new Map<number, number>();
  const atStart = (block: number) => {
    const found = known.get(block) ?? offsetAt(block * hours6, timeZone);
    known.set(block, found);
    return found;
  };
  return (epochMs) => {
    const block = Math.floor(epochMs / hours6);
    const start = atStart(block);
    return start === atStart(block + 1) ? start : offsetAt(epochMs, timeZone);
  };
}

/** "2026-W53": a week belongs to the year that holds its Thursday (ISO 8601). */
function isoWeek(wall: Date): string {
  const midnight = Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate());
  const thursday = new Date(midnight + (3 - ((wall.getUTCDay() + 6) % 7)) * day);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * day)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function offsetText(east: number): string {
  const minutes = Math.floor(Math.abs(east) / 60_000);
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${east < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}
