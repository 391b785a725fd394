/**
 * Times that people type.
 *
 * Everything is milliseconds since 1970 UTC. A time that cannot be read in exactly one way is an error, never a
 * guess: the caller is about to overwrite files because of it. ISO dates, clock times, epoch seconds and "… ago" are
 * read here; only free English loads chrono-node, and only local times load temporal-polyfill.
 */

import type { Temporal } from 'temporal-polyfill';
import { PitrError } from '../errors.ts';
import { defaultTimeZone, formatInstant, type Instant, isTimeZone } from './instant.ts';

/**
 * What an imprecise time stands for: its last millisecond (--at, --until) or its first (--since). A date stands for
 * the whole day. A value given to the second stands for that second, because snapshots carry milliseconds while lists
 * print seconds: "14:05:20" copied from a list must find the snapshot of 14:05:20.480. A value given to the minute is
 * the exact instant 14:05:00.000, as in git: whoever types 14:05 names a moment, and the rest of that minute may
 * already hold what they want to get away from.
 */
export type Edge = 'start' | 'end';

export interface WhenOptions {
  now: Date;
  /** IANA name; the zone of the process when left out. */
  timeZone?: string;
  /** 'end' when left out. */
  edge?: Edge;
}

interface Context {
  /** As typed, for messages. */
  original: string;
  now: number;
  timeZone: string;
  edge: Edge;
}

/** A date and perhaps a time as the words give it; `second` and `millisecond` only where they were written. */
interface Wall {
  year: number;
  month: number;
  day: number;
  time?: { hour: number; minute: number; second?: number; millisecond?: number } | undefined;
}

type Groups = Record<string, string | undefined>;

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const endOfSecond = second - 1;

const clock = String.raw`(?<hour>\d\d|\d(?=:)):?(?<minute>\d\d)(?::?(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?`;
const zone = String.raw`(?<zone>z|utc|gmt|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)`;
const isoPattern = new RegExp(
  String.raw`^(?<year>\d{4})(?:-(?<month>\d\d)-(?<day>\d\d)|\/(?<m2>\d\d?)\/(?<d2>\d\d?)|(?<m3>\d\d)(?<d3>\d\d))` +
    String.raw`(?:[t ]${clock} ?${zone}?)?$`,
);
const clockPattern = new RegExp(String.raw`^(?:(?<date>today|yesterday) )?(?:at )?(?=\d{1,2}:)${clock}$`);

/**
 * Reads a time.
 *
 * Accepts ISO 8601 / RFC 3339 (local unless it has a zone, basic form too), `14:05`, `yesterday 18:00`, `now`,
 * `10m ago`, `1 day 2 hours ago`, `10.minutes.ago`, `@1763640000`, what `formatInstant` prints, English such as
 * `last friday`, and `@{…}` around any of these. "1 day ago" is a calendar day in the zone, "24 hours ago" is exact.
 *
 * Throws PitrError 'usage' for anything else, and for a time after `now`. A date that `now` is part of ends at `now`;
 * up to 999 ms after `now` are let through, so that the current second can be named.
 */
export async function parseWhen(text: string, options: WhenOptions): Promise<Instant> {
  const context: Context = {
    original: text,
    now: options.now.getTime(),
    timeZone: options.timeZone ?? defaultTimeZone(),
    edge: options.edge ?? 'end',
  };
  if (text.length > 200) throw notUnderstood(context, 'it is too long');
  let words = text.trim().replace(/\s+/g, ' ');
  words = /^@\{(.*)\}$/.exec(words)?.[1]?.trim() ?? words;
  const named = /^(.*\d) ?(?:\(([\w/+-]+)\)|\[([\w/+-]+)\])$/.exec(words);
  if (named) {
    words = named[1] ?? '';
    context.timeZone = named[2] ?? named[3] ?? '';
  }
  if (!isTimeZone(context.timeZone)) throw notUnderstood(context, `"${context.timeZone}" is not a time zone`);
  words = words
    .toLowerCase()
    .replace(/\bnoon\b/, '12:00')
    .replace(/\bmidnight\b/, '00:00');
  try {
    return { epochMs: await resolve(words, context), timeZone: context.timeZone };
  } catch (error) {
    // Temporal throws RangeError for dates that are out of its range ("99999999999 days ago").
    if (error instanceof RangeError) throw notUnderstood(context, 'it is out of range', error);
    throw error;
  }
}

async function resolve(words: string, context: Context): Promise<number> {
  if (words === 'now') return context.now;

  const epoch = /^(?:@(\d+)(?:[.,](\d+))?(?: [+-]\d{4})?|(\d{5,}) [+-]\d{4})$/.exec(words);
  if (epoch) {
    const start = Number(epoch[1] ?? epoch[3]) * second + milliseconds(epoch[2] ?? '0');
    return notAfterNow(context.edge === 'end' && !epoch[2] ? start + endOfSecond : start, context);
  }

  const iso = isoPattern.exec(words)?.groups as Groups | undefined;
  if (iso) {
    const date = {
      year: Number(iso.year),
      month: numberOf(iso, 'month', 'm2', 'm3'),
      day: numberOf(iso, 'day', 'd2', 'd3'),
    };
    const offset = iso.zone === undefined ? undefined : offsetOf(iso.zone, context);
    return resolveWall({ ...date, time: timeOf(iso) }, offset, context);
  }
  // Whatever else begins like a date or is only digits must not be read in parts ("2026-13", "202611").
  if (/^\d{9,11}$/.test(words)) throw notUnderstood(context, `seconds since 1970 are written @${words}`);
  if (/^\d{4}[-/]|^\d+$/.test(words)) throw notUnderstood(context);

  const atClock = clockPattern.exec(words)?.groups as Groups | undefined;
  if (atClock || words === 'today' || words === 'yesterday') {
    const back = (atClock?.date ?? words) === 'yesterday' ? 1 : 0;
    const { year, month, day } = (await localNow(context)).toPlainDate().subtract({ days: back });
    const hint = atClock && back === 0 ? `yesterday ${words.replace(/^(today )?(at )?/, '')}` : undefined;
    return resolveWall({ year, month, day, time: atClock && timeOf(atClock) }, undefined, context, hint);
  }

  const span = spanAgo(words, context);
  return span ? subtract(span, context) : resolveEnglish(words, context);
}

/** The instant of a date and time; `offset` in milliseconds east of UTC, undefined for the context's zone. */
async function resolveWall(
  wall: Wall,
  offset: number | undefined,
  context: Context,
  hint?: string,
): Promise<number> {
  const { year, month, day: dayOfMonth, time } = wall;
  const midnight = utcOf(year, month, dayOfMonth);
  if (midnight === undefined) throw notUnderstood(context, 'there is no such date');
  if (time && (time.hour > 23 || time.minute > 59 || (time.second ?? 0) > 59)) {
    throw notUnderstood(context, 'there is no such time of day');
  }
  if (!time) {
    const { Temporal } = await import('temporal-polyfill');
    const date = new Temporal.PlainDate(year, month, dayOfMonth);
    const start = date.toZonedDateTime(context.timeZone).epochMilliseconds;
    if (context.edge === 'start') return notAfterNow(start, context);
    // Not "23:59:59.999": where clocks change at midnight that time is there twice, and a day that a zone skipped
    // (Pacific/Apia, 2011-12-30) has no times at all.
    const end = date.add({ days: 1 }).toZonedDateTime(context.timeZone).epochMilliseconds - 1;
    return start <= context.now && end > context.now ? context.now : notAfterNow(end, context);
  }
  let start: number;
  if (offset === undefined) {
    const { Temporal } = await import('temporal-polyfill');
    const plain = new Temporal.PlainDateTime(
      year,
      month,
      dayOfMonth,
      time.hour,
      time.minute,
      time.second ?? 0,
      time.millisecond ?? 0,
    );
    start = inZone(plain, context);
  } else {
    const ofDay =
      time.hour * hour + time.minute * minute + (time.second ?? 0) * second + (time.millisecond ?? 0);
    start = midnight + ofDay - offset;
  }
  const toTheSecond = time.second !== undefined && time.millisecond === undefined;
  return notAfterNow(context.edge === 'end' && toTheSecond ? start + endOfSecond : start, context, hint);
}

/**
 * A local time as an instant. One that clocks skipped (spring) resolves forward by the size of the gap. One that is
 * there twice (autumn) means the pass that takes in all the words can mean: the later for 'end', the earlier for
 * 'start', so that a snapshot listed under that time is within reach either way. The later is not meant while it has
 * yet to come.
 */
function inZone(plain: Temporal.PlainDateTime, context: Context): number {
  const earlier = plain.toZonedDateTime(context.timeZone, { disambiguation: 'compatible' }).epochMilliseconds;
  const later = plain.toZonedDateTime(context.timeZone, { disambiguation: 'later' }).epochMilliseconds;
  return context.edge === 'start' || later > context.now ? earlier : later;
}

async function localNow(context: Context): Promise<Temporal.ZonedDateTime> {
  const { Temporal } = await import('temporal-polyfill');
  return Temporal.Instant.fromEpochMilliseconds(context.now).toZonedDateTimeISO(context.timeZone);
}

const calendarUnits = ['years', 'months', 'weeks', 'days'] as const;
type CalendarUnit = (typeof calendarUnits)[number];

/** `exact` is milliseconds; the rest are counts of calendar units. */
type Span = Record<CalendarUnit | 'exact', number>;

const units: readonly [names: RegExp, unit: CalendarUnit | number][] = [
  [/^(s|secs?|seconds?)$/, second],
  [/^(m|mins?|minutes?)$/, minute],
  [/^(h|hrs?|hours?)$/, hour],
  [/^(d|days?)$/, 'days'],
  [/^(w|wks?|weeks?)$/, 'weeks'],
  [/^(mo|months?)$/, 'months'],
  [/^(y|yrs?|years?)$/, 'years'],
];
const numberWords = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');

/** Reads "1 day 2 hours ago", "1h30m ago", "10.minutes.ago", "last 10 minutes"; undefined when it is not of that kind. */
function spanAgo(words: string, context: Context): Span | undefined {
  const body = /^(.+?)[ .]?\b(?:ago|earlier)$/.exec(words)?.[1] ?? /^(?:last|past) (\d.*)$/.exec(words)?.[1];
  if (body === undefined) return undefined;
  const part = new RegExp(
    String.raw`(?:(\d+(?:\.\d+)?)[ .]?|(half an?|an?|${numberWords.join('|')})[ .])([a-z]+)(?:,? and |, ?|[ .])?`,
    'y',
  );
  const span: Span = { years: 0, months: 0, weeks: 0, days: 0, exact: 0 };
  while (part.lastIndex < body.length) {
    const [, digits, word = '', name = ''] = part.exec(body) ?? [];
    const unit = units.find(([names]) => names.test(name))?.[1];
    if (unit === undefined) throw notUnderstood(context);
    const count = digits
      ? Number(digits)
      : word.startsWith('half')
        ? 0.5
        : Math.max(1, numberWords.indexOf(word) + 1);
    if (typeof unit === 'number') span.exact += Math.round(count * unit);
    else if (Number.isInteger(count)) span[unit] += count;
    // A part of a day, a month or a year is no fixed length.
    else throw notUnderstood(context, `${name} are counted in whole numbers`);
  }
  return span;
}

async function subtract({ exact, ...calendar }: Span, context: Context): Promise<number> {
  let from = context.now;
  if (calendarUnits.some((unit) => calendar[unit] > 0)) {
    from = inZone((await localNow(context)).toPlainDateTime().subtract(calendar), context);
  }
  return notAfterNow(from - exact, context);
}

/** Everything else, through chrono-node, as far as it leaves nothing to guess. */
async function resolveEnglish(typed: string, context: Context): Promise<number> {
  const numeric = /(?<![\d:])(\d{1,2})[./-](\d{1,2})(?:[./-](\d+))?(?![\d:])/.exec(typed);
  if (numeric && (numeric[3]?.length !== 4 || (Number(numeric[1]) <= 12 && Number(numeric[2]) <= 12))) {
    throw notUnderstood(context, 'day and month can be taken for each other; write year-month-day');
  }
  // git's own date format ("Fri Nov 20 14:05:20 2026 +0100") ends in an offset that chrono does not reach.
  const [, words = typed, zoneText] = /^(.*:\d\d.*?) ([+-]\d{4})$/.exec(typed) ?? [];
  // The English part alone: all languages together take 80 ms more to load.
  const chrono = await import('chrono-node/en');
  // chrono computes in the zone of the process. Give it a clock there that shows what ours shows here, and read back
  // only year to millisecond. What it derives with instants ("5 minutes before …") would be wrong: refused below.
  const here = await localNow(context);
  const reference = new Date(here.year, here.month - 1, here.day, here.hour, here.minute, here.second);
  const results = chrono.casual.parse(words, reference, { forwardDate: false });
  const [result] = results;
  if (!result || results.length > 1 || result.end || result.text.length !== words.length)
    throw notUnderstood(context);

  const { start } = result;
  const has = (part: Parameters<typeof start.isCertain>[0]) => start.isCertain(part);
  const value = (part: Parameters<typeof start.get>[0]) => start.get(part) ?? 0;
  if (start.tags().has('result/relativeDateAndTime')) throw notUnderstood(context);
  const timed = has('hour');
  // "last week", "may", "yesterday evening" name no moment, and chrono would make one up.
  const vague =
    start.tags().has('result/relativeDate') || /\b(morning|afternoon|evening|night|tonight)\b/.test(words);
  if (!timed && (vague || !(has('day') || has('weekday'))))
    throw notUnderstood(context, 'it names no day or time');

  const wall = { year: value('year'), month: value('month'), day: value('day') };
  const weekday = new Date(utcOf(wall.year, wall.month, wall.day) ?? Number.NaN).getUTCDay();
  if (has('weekday') && weekday !== value('weekday') % 7)
    throw notUnderstood(context, 'that date is another weekday');
  const time = timed
    ? {
        hour: value('hour'),
        minute: value('minute'),
        ...(has('second') && { second: value('second') }),
        ...(has('millisecond') && { millisecond: value('millisecond') }),
      }
    : undefined;
  const written = has('timezoneOffset') ? value('timezoneOffset') * minute : undefined;
  return resolveWall({ ...wall, time }, zoneText ? offsetOf(zoneText, context) : written, context);
}

function timeOf({ hour, minute, second, fraction }: Groups): Wall['time'] {
  if (hour === undefined) return undefined;
  return {
    hour: Number(hour),
    minute: Number(minute),
    ...(second !== undefined && { second: Number(second) }),
    ...(fraction !== undefined && { millisecond: milliseconds(fraction) }),
  };
}

function numberOf(groups: Groups, ...names: string[]): number {
  return Number(names.map((name) => groups[name]).find((value) => value !== undefined));
}

/** The digits after the decimal point, in whole milliseconds; what is finer is cut off. */
function milliseconds(fraction: string): number {
  return Number(fraction.slice(0, 3).padEnd(3, '0'));
}

/** Milliseconds east of UTC of "z", "+01", "+0130", "-00:44:30". */
function offsetOf(text: string, context: Context): number {
  if (/^[a-z]/.test(text)) return 0;
  const [hours = 0, minutes = 0, seconds = 0] = (text.match(/\d\d/g) ?? []).map(Number);
  if (hours > 23 || minutes > 59 || seconds > 59)
    throw notUnderstood(context, `${text} is not an offset from UTC`);
  return (text.startsWith('-') ? -1 : 1) * (hours * hour + minutes * minute + seconds * second);
}

/** Midnight UTC of a date; undefined for one that is not in the calendar. */
function utcOf(year: number, month: number, dayOfMonth: number): number | undefined {
  const pad = (value: number, width: number) => String(value).padStart(width, '0');
  const text = `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)}`;
  const ms = Date.parse(`${text}T00:00:00Z`);
  // V8 turns February 30 into March 2.
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(text) ? ms : undefined;
}

function notAfterNow(epochMs: number, context: Context, hint?: string): number {
  if (!Number.isFinite(new Date(epochMs).getTime())) throw notUnderstood(context, 'it is out of range');
  if (epochMs <= context.now + endOfSecond) return epochMs;
  const resolved = formatInstant({ epochMs, timeZone: context.timeZone });
  throw new PitrError('usage', `${quote(context.original)} is in the future (${resolved}).`, {
    hints: [
      ...(hint ? [`For the day before: "${hint}".`] : []),
      `Times without an offset are read in ${context.timeZone}; "2026-11-20T14:05:20Z" gives one.`,
    ],
  });
}

function notUnderstood(context: Context, reason?: string, cause?: unknown): PitrError {
  const message = `${quote(context.original)} is not a time git-pitr understands${reason ? `: ${reason}` : ''}.`;
  return new PitrError('usage', message, {
    hints: [
      'Count back: "10 minutes ago", "1h30m ago", "2d ago".',
      'Give a time of day: "14:05", "yesterday 18:00", "last friday 9:30".',
      'Give a date: "2026-11-20", "2026-11-20 14:05", "2026-11-20T14:05:20+01:00".',
    ],
    cause,
  });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
