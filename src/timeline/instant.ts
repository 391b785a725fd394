/** How an instant is told to a person, and in which zone. Everything is milliseconds since 1970 UTC. */

/** One moment, and the IANA zone in which the person reads it. */
export interface Instant {
  epochMs: number;
  timeZone: string;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** The zone of the process: TZ, else the system's; UTC where there is none that has a name. */
export function defaultTimeZone(): string {
  const name: string | undefined = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name === undefined || name === 'Etc/Unknown' ? 'UTC' : name;
}

/** True for a name that the zone database of this machine knows. */
export function isTimeZone(name: string): boolean {
  try {
    return Boolean(offsetFormat(name));
  } catch {
    return false;
  }
}

const offsetFormats = new Map<string, Intl.DateTimeFormat>();

/** Making one takes longer than ten thousand uses of it; a list of snapshots needs one zone. */
function offsetFormat(timeZone: string): Intl.DateTimeFormat {
  let format = offsetFormats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
    offsetFormats.set(timeZone, format);
  }
  return format;
}

/**
 * "2026-11-20 14:05:20.480 +01:00 (Europe/Berlin)": never without offset and zone, since a restore hangs on it.
 * A fraction of zero is left out. `parseWhen` reads it back.
 */
export function formatInstant({ epochMs, timeZone }: Instant): string {
  const name = offsetName(epochMs, timeZone);
  const wall = new Date(epochMs + eastOf(name))
    .toISOString()
    .replace('T', ' ')
    .replace(/(\.000)?Z$/, '');
  return `${wall} ${name} (${timeZone})`;
}

/** Milliseconds east of UTC of a zone's clocks at a moment. */
export function offsetAt(epochMs: number, timeZone: string): number {
  return eastOf(offsetName(epochMs, timeZone));
}

/** "+01:00", before standard time "+00:53:28". */
function offsetName(epochMs: number, timeZone: string): string {
  const name =
    offsetFormat(timeZone)
      .formatToParts(epochMs)
      .find((part) => part.type === 'timeZoneName')?.value ?? '';
  // "GMT+01:00", and plain "GMT" for zero in some versions of ICU.
  return name.replace(/^GMT/, '') || '+00:00';
}

function eastOf(offset: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = (offset.match(/\d\d/g) ?? []).map(Number);
  return (offset.startsWith('-') ? -1 : 1) * (hours * hour + minutes * minute + seconds * second);
}

/** "12 seconds", "3 minutes", "2 hours 5 minutes", "1 day 3 hours", "4 days": rounded down; nothing below zero. */
export function formatAge(fromMs: number, toMs: number): string {
  const age = Math.max(0, toMs - fromMs);
  const count = (value: number, unit: string) => `${value} ${unit}${value === 1 ? '' : 's'}`;
  const whole = (unit: number, within = Number.POSITIVE_INFINITY) => Math.floor((age % within) / unit);
  const two = (first: string, rest: number, unit: string) => (rest ? `${first} ${count(rest, unit)}` : first);
  if (age < minute) return count(whole(second), 'second');
  if (age < hour) return count(whole(minute), 'minute');
  if (age < day) return two(count(whole(hour), 'hour'), whole(minute, hour), 'minute');
  if (age < 2 * day) return two('1 day', whole(hour, day), 'hour');
  return count(whole(day), 'day');
}
