import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { PitrError } from '../../src/errors.ts';
import { defaultTimeZone, formatAge, formatInstant } from '../../src/timeline/instant.ts';
import { type Edge, parseWhen } from '../../src/timeline/when.ts';

const loaded = vi.hoisted(() => new Set<string>());
vi.mock('chrono-node/en', async (original) => {
  loaded.add('chrono');
  return original();
});
vi.mock('temporal-polyfill', async (original) => {
  loaded.add('temporal');
  return original();
});

const berlin = 'Europe/Berlin';
const newYork = 'America/New_York';
const kolkata = 'Asia/Kolkata';
const apia = 'Pacific/Apia';

/** A Saturday, 14:05:30.250 in Berlin. */
const now = '2026-11-21T13:05:30.250Z';

interface Ask {
  now?: string;
  zone?: string;
  edge?: Edge;
}

async function when(text: string, ask: Ask = {}): Promise<string> {
  const options = { now: new Date(ask.now ?? now), timeZone: ask.zone ?? berlin };
  const instant = await parseWhen(text, ask.edge ? { ...options, edge: ask.edge } : options);
  return new Date(instant.epochMs).toISOString();
}

async function refusal(text: string, ask: Ask = {}): Promise<PitrError> {
  const outcome = await when(text, ask).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(PitrError);
  return outcome as PitrError;
}

// First in the file: what is loaded stays loaded.
describe('what the common path costs', () => {
  it('reads ages, epoch seconds and times with an offset without loading any library', async () => {
    for (const text of ['10 minutes ago', '1h30m ago', 'now', '@1763640000', '2026-11-20T14:05:20Z'])
      await when(text);
    expect([...loaded]).toEqual([]);
  });

  it('reads local dates, clock times and calendar days without loading chrono-node', async () => {
    for (const text of ['2026-11-20', '2026-11-20 14:05', '13:05', 'yesterday 18:00', 'today', '3d ago'])
      await when(text);
    await expect(when('10 bananas ago')).rejects.toThrow(PitrError);
    await expect(when('2026-13-45')).rejects.toThrow(PitrError);
    expect([...loaded]).toEqual(['temporal']);
  });
});

describe('each way of writing a time', () => {
  it.each<[promise: string, text: string, expected: string, ask?: Ask]>([
    ['RFC 3339 in UTC', '2026-11-20T14:05:20.480Z', '2026-11-20T14:05:20.480Z'],
    ['lower case', '2026-11-20t14:05:20.480z', '2026-11-20T14:05:20.480Z'],
    ['an offset with a colon', '2026-11-20T14:05:20.480+01:30', '2026-11-20T12:35:20.480Z'],
    ['an offset without a colon', '2026-11-20 14:05:20.480 +0130', '2026-11-20T12:35:20.480Z'],
    ['an offset of hours, west', '2026-11-20 14:05-05', '2026-11-20T19:05:00.000Z'],
    ['UTC by name', '2026-11-20 12:05 UTC', '2026-11-20T12:05:00.000Z'],
    ['no offset is local', '2026-11-20T14:05:20.480', '2026-11-20T13:05:20.480Z'],
    [
      'no offset is local, half an hour zone',
      '2026-11-20 14:05',
      '2026-11-20T08:35:00.000Z',
      { zone: kolkata },
    ],
    ['the basic form', '20261120T140520.480', '2026-11-20T13:05:20.480Z'],
    ['the basic form with an offset', '20261120T1405+0100', '2026-11-20T13:05:00.000Z'],
    ['the basic date', '20261120', '2026-11-20T22:59:59.999Z'],
    ['slashes, year first', '2026/11/20 9:05', '2026-11-20T08:05:00.000Z'],
    ['one digit of fraction', '2026-11-20 14:05:20.4', '2026-11-20T13:05:20.400Z'],
    ['a fraction of zero is exact', '2026-11-20 14:05:20.000', '2026-11-20T13:05:20.000Z'],
    ['a comma, and nanoseconds cut off', '2026-11-20 14:05:20,480999999', '2026-11-20T13:05:20.480Z'],
    ['a zone in parentheses, as echoed', '2026-11-20 14:05 (America/New_York)', '2026-11-20T19:05:00.000Z'],
    ['a zone in brackets', '2026-11-20T14:05[Asia/Kolkata]', '2026-11-20T08:35:00.000Z'],
    ['a clock time is today', '13:05', '2026-11-21T12:05:00.000Z'],
    [
      'today is that of the zone',
      '01:00',
      '2026-11-21T12:00:00.000Z',
      { zone: apia, now: '2026-11-21T13:00:00Z' },
    ],
    ['a clock time with one digit', '9:05', '2026-11-21T08:05:00.000Z'],
    ['the current second', '14:05:30', '2026-11-21T13:05:30.999Z'],
    ['yesterday at a time', 'yesterday 18:00', '2026-11-20T17:00:00.000Z'],
    ['… with "at" and capitals', ' Yesterday  at 18:00 ', '2026-11-20T17:00:00.000Z'],
    ['yesterday noon', 'yesterday noon', '2026-11-20T11:00:00.000Z'],
    ['noon', 'noon', '2026-11-21T11:00:00.000Z'],
    ['midnight is the one before', 'midnight', '2026-11-20T23:00:00.000Z'],
    ['now', 'now', now],
    ['hours ago', '2 hours ago', '2026-11-21T11:05:30.250Z'],
    ['minutes, short', '10m ago', '2026-11-21T12:55:30.250Z'],
    ['seconds, short', '90s ago', '2026-11-21T13:04:00.250Z'],
    ['hours and minutes, short', '1h30m ago', '2026-11-21T11:35:30.250Z'],
    ['days, short', '3d ago', '2026-11-18T13:05:30.250Z'],
    ['weeks, short', '2w ago', '2026-11-07T13:05:30.250Z'],
    ['git with dots', '10.minutes.ago', '2026-11-21T12:55:30.250Z'],
    ['git with many dots', '1.day.2.hours.ago', '2026-11-20T11:05:30.250Z'],
    ['days and hours', '1 day 2 hours ago', '2026-11-20T11:05:30.250Z'],
    ['… with commas and "and"', '1 day, 2 hours and 5 minutes ago', '2026-11-20T11:00:30.250Z'],
    ['a fraction of an hour', '1.5 hours ago', '2026-11-21T11:35:30.250Z'],
    ['numbers in words', 'two hours ago', '2026-11-21T11:05:30.250Z'],
    ['an hour', 'an hour ago', '2026-11-21T12:05:30.250Z'],
    ['half an hour', 'half an hour ago', '2026-11-21T12:35:30.250Z'],
    ['the last minutes', 'last 10 minutes', '2026-11-21T12:55:30.250Z'],
    ['zero', '0 seconds ago', now],
    [
      'a month back from the 31st',
      '1 month ago',
      '2026-02-28T11:00:00.000Z',
      { now: '2026-03-31T10:00:00Z' },
    ],
    [
      'a year back from a leap day',
      '1 year ago',
      '2027-02-28T11:00:00.000Z',
      { now: '2028-02-29T11:00:00Z' },
    ],
    ['epoch seconds', '@1763640000.5', '2025-11-20T12:00:00.500Z'],
    ['epoch seconds with the zone git adds', '@1763640000 +0100', '2025-11-20T12:00:00.999Z'],
    ['epoch seconds as in --date=raw', '1763640000 +0100', '2025-11-20T12:00:00.999Z'],
    ['wrapped', '@{10 minutes ago}', '2026-11-21T12:55:30.250Z'],
    ['wrapped epoch seconds', '@{@1763640000}', '2025-11-20T12:00:00.999Z'],
    ['a weekday', 'last friday', '2026-11-20T22:59:59.999Z'],
    ['a weekday on that weekday', 'last saturday', '2026-11-14T22:59:59.999Z'],
    ['a weekday and a time', 'last friday 9:30', '2026-11-20T08:30:00.000Z'],
    ['pm', '1:05 pm', '2026-11-21T12:05:00.000Z'],
    ['days ago at a time', '2 days ago at 18:00', '2026-11-19T17:00:00.000Z'],
    ['the name of a month', '20 Nov 2026', '2026-11-20T22:59:59.999Z'],
    ['day first with dots, where that is certain', '20.11.2026 14:05', '2026-11-20T13:05:00.000Z'],
    ['what git log prints', 'Fri Nov 20 14:05:20 2026 -0500', '2026-11-20T19:05:20.999Z'],
    ['RFC 2822', 'Fri, 20 Nov 2026 14:05:20 +0100', '2026-11-20T13:05:20.999Z'],
    [
      'English in the zone that was asked for',
      'last friday 9:30',
      '2026-11-20T04:00:00.000Z',
      { zone: kolkata },
    ],
  ])('%s: %s', async (_promise, text, expected, ask) => {
    expect(await when(text, ask)).toBe(expected);
  });
});

describe('what an imprecise time stands for', () => {
  it.each<[promise: string, text: string, end: string, start: string]>([
    ['a date is its whole day', '2026-11-20', '2026-11-20T22:59:59.999Z', '2026-11-19T23:00:00.000Z'],
    ['yesterday is its whole day', 'yesterday', '2026-11-20T22:59:59.999Z', '2026-11-19T23:00:00.000Z'],
    ['today ends now', 'today', now, '2026-11-20T23:00:00.000Z'],
    ['the date of today ends now', '2026-11-21', now, '2026-11-20T23:00:00.000Z'],
    ['English dates too', 'nov 20', '2026-11-20T22:59:59.999Z', '2026-11-19T23:00:00.000Z'],
    ['a minute is its first instant', '13:05', '2026-11-21T12:05:00.000Z', '2026-11-21T12:05:00.000Z'],
    ['a second is all of it', '13:05:20', '2026-11-21T12:05:20.999Z', '2026-11-21T12:05:20.000Z'],
    [
      'an ISO second is all of it',
      '2026-11-20T14:05:20Z',
      '2026-11-20T14:05:20.999Z',
      '2026-11-20T14:05:20.000Z',
    ],
    ['an epoch second is all of it', '@1763640000', '2025-11-20T12:00:00.999Z', '2025-11-20T12:00:00.000Z'],
    ['milliseconds are exact', '13:05:20.480', '2026-11-21T12:05:20.480Z', '2026-11-21T12:05:20.480Z'],
  ])('%s: %s', async (_promise, text, end, start) => {
    expect(await when(text)).toBe(end);
    expect(await when(text, { edge: 'end' })).toBe(end);
    expect(await when(text, { edge: 'start' })).toBe(start);
  });
});

describe('calendars and clock changes', () => {
  it.each<[promise: string, text: string, expected: string, ask: Ask]>([
    [
      'spring, Berlin: a skipped time goes forward',
      '2026-03-29 02:30',
      '2026-03-29T01:30:00.000Z',
      { zone: berlin },
    ],
    ['… for both edges', '2026-03-29 02:30', '2026-03-29T01:30:00.000Z', { zone: berlin, edge: 'start' }],
    [
      'spring, New York: a skipped time goes forward',
      '2026-03-08 02:30',
      '2026-03-08T07:30:00.000Z',
      { zone: newYork },
    ],
    ['autumn, Berlin: the later for end', '2026-10-25 02:30', '2026-10-25T01:30:00.000Z', { zone: berlin }],
    [
      'autumn, Berlin: the earlier for start',
      '2026-10-25 02:30',
      '2026-10-25T00:30:00.000Z',
      { zone: berlin, edge: 'start' },
    ],
    [
      'autumn, New York: the later for end',
      '2026-11-01 01:30:20',
      '2026-11-01T06:30:20.999Z',
      { zone: newYork },
    ],
    [
      'autumn, New York: the earlier for start',
      '2026-11-01 01:30:20',
      '2026-11-01T05:30:20.000Z',
      { zone: newYork, edge: 'start' },
    ],
    [
      'autumn: the later pass is not meant before it came',
      '02:30',
      '2026-10-25T00:30:00.000Z',
      { now: '2026-10-25T00:45:00Z' },
    ],
    ['autumn: nothing ago is now', '0 days ago', '2026-10-25T00:45:00.000Z', { now: '2026-10-25T00:45:00Z' }],
    [
      'autumn: an offset leaves no doubt',
      '2026-10-25 02:30 +02:00',
      '2026-10-25T00:30:00.000Z',
      { zone: berlin },
    ],
    ['a day ago is a calendar day', '1 day ago', '2026-03-28T11:00:00.000Z', { now: '2026-03-29T10:00:00Z' }],
    ['24 hours ago are hours', '24 hours ago', '2026-03-28T10:00:00.000Z', { now: '2026-03-29T10:00:00Z' }],
    [
      'a day ago into the skipped hour',
      '1 day ago',
      '2026-03-29T01:30:00.000Z',
      { now: '2026-03-30T00:30:00Z' },
    ],
    ['a week ago over a change', '1 week ago', '2026-10-22T09:00:00.000Z', { now: '2026-10-29T10:00:00Z' }],
    ['a day of 23 hours ends with its last', '2026-03-29', '2026-03-29T21:59:59.999Z', { zone: berlin }],
    ['a day of 25 hours ends with its last', '2026-10-25', '2026-10-25T22:59:59.999Z', { zone: berlin }],
    [
      'a day without midnight starts when it does',
      '2026-04-24',
      '2026-04-23T22:00:00.000Z',
      { zone: 'Africa/Cairo', edge: 'start' },
    ],
    ['Apia east of the date line', '2011-12-29', '2011-12-30T09:59:59.999Z', { zone: apia }],
    [
      'Apia: the skipped day ends with the one before',
      '2011-12-30',
      '2011-12-30T09:59:59.999Z',
      { zone: apia },
    ],
    [
      'Apia: the skipped day starts with the one after',
      '2011-12-30',
      '2011-12-30T10:00:00.000Z',
      { zone: apia, edge: 'start' },
    ],
    [
      'Apia: a time on the skipped day goes forward',
      '2011-12-30 14:00',
      '2011-12-31T00:00:00.000Z',
      { zone: apia },
    ],
    [
      'Apia: a day ago over the skipped day',
      '2 days ago',
      '2011-12-30T22:00:00.000Z',
      { zone: apia, now: '2011-12-31T22:00:00Z' },
    ],
    [
      'yesterday over the end of a year',
      'yesterday',
      '2026-12-31T18:29:59.999Z',
      { zone: kolkata, now: '2027-01-01T00:00:00Z' },
    ],
    ['the end of a year', '2025-12-31', '2026-01-01T04:59:59.999Z', { zone: newYork }],
    ['a leap day', '2024-02-29', '2024-02-29T22:59:59.999Z', { zone: berlin }],
    [
      'the day before March in a leap year',
      'yesterday 12:00',
      '2028-02-29T11:00:00.000Z',
      { now: '2028-03-01T10:00:00Z' },
    ],
  ])('%s: %s', async (_promise, text, expected, ask) => {
    expect(await when(text, ask)).toBe(expected);
  });
});

describe('what is not a time', () => {
  it('says how seconds since 1970 are written', async () => {
    await expect(parseWhen('1763640000', { now: new Date() })).rejects.toThrow(
      '"1763640000" is not a time git-pitr understands: seconds since 1970 are written @1763640000.',
    );
  });

  it.each([
    '',
    ' ',
    'blah',
    'ago',
    '10 bananas ago',
    '10 ago',
    '10',
    '10 minutes',
    '-5 minutes',
    '+5 minutes',
    '- 5 minutes ago',
    '2026',
    '2026-11',
    '202611',
    '2026-13-45',
    '2026-02-30',
    '2025-02-29',
    '2026-11-20 25:00',
    '2026-11-20 14:60',
    '2026-11-20T14:05:60Z',
    '2026-11-20 14:05 +99:00',
    '2026-11-20 14:05 or so',
    '2026-11-20 blah',
    '2026-324',
    '25:00',
    '14:65',
    '14:05:61',
    'yesterday 25:00',
    'an hour and a half ago',
    'two and a half hours ago',
    '1.5 days ago',
    'half a day ago',
    'a few minutes ago',
    'some time ago',
    'in 5 minutes',
    '5 minutes from now',
    '5 minutes before yesterday',
    '2 hours ago blah',
    'blah 2 hours ago',
    'last friday or so',
    'friday 9am to 5pm',
    'yesterday and today',
    'last week',
    'last month',
    'november',
    'this morning',
    'yesterday evening',
    'last night',
    '05/11/2026',
    '05.11.2026',
    '5/11',
    '20-11-26',
    'thu nov 20 2026',
    'nov 31 2026',
    'nov 20 2026 25:00',
    '@',
    '@{}',
    '@{blah}',
    '@-5',
    '@blah',
    'HEAD@{1}',
    '@{1}',
    '99999999999999999999 days ago',
    '99999999999999999999 minutes ago',
    `${'9'.repeat(190)}h ago`,
    '@99999999999999999999',
    '2026-11-20 14:05 (Europe/Nowhere)',
    '2026-11-20T14:05[blah]',
    'x'.repeat(5000),
    '\u0000',
    '０１:００',
  ])('is refused with examples, never taken as now: %j', async (text) => {
    for (const edge of ['end', 'start'] as const) {
      const error = await refusal(text, { edge });
      expect(error.kind).toBe('usage');
      expect(error.message).toContain('is not a time git-pitr understands');
      expect(error.message.length).toBeLessThan(250);
      expect(error.hints).toHaveLength(3);
    }
  });

  it('says which part is wrong', async () => {
    expect((await refusal('2026-13-45')).message).toContain('no such date');
    expect((await refusal('25:00')).message).toContain('no such time of day');
    expect((await refusal('05/11/2026')).message).toContain('day and month');
    expect((await refusal('1.5 days ago')).message).toContain('whole numbers');
  });

  it('is refused when the zone is unknown', async () => {
    expect((await refusal('10 minutes ago', { zone: 'Mars/Olympus' })).message).toContain(
      '"Mars/Olympus" is not a time zone',
    );
  });
});

describe('what has not happened yet', () => {
  it.each([
    '2026-11-21 14:06',
    '2026-11-21T13:05:31.251Z',
    '2026-11-22',
    'tomorrow',
    'next friday',
    'tomorrow 9:00',
    '@1863640000',
  ])('is refused and told with its instant: %s', async (text) => {
    const error = await refusal(text);
    expect(error.kind).toBe('usage');
    expect(error.message).toMatch(
      /^".+" is in the future \(20\d\d-\d\d-\d\d \d\d:\d\d:.*\(Europe\/Berlin\)\)\.$/,
    );
  });

  it('offers the same time of yesterday', async () => {
    const error = await refusal('18:00');
    expect(error.message).toContain('2026-11-21 18:00:00 +01:00 (Europe/Berlin)');
    expect(error.hints[0]).toBe('For the day before: "yesterday 18:00".');
    expect((await refusal('today at 18:00')).hints[0]).toContain('"yesterday 18:00"');
    await expect(when('yesterday 18:00')).resolves.toBe('2026-11-20T17:00:00.000Z');
  });

  it('lets the current second through, and nothing after it', async () => {
    expect(await when('2026-11-21T13:05:31.249Z')).toBe('2026-11-21T13:05:31.249Z');
    await refusal('14:05:31');
  });
});

describe('an instant told back', () => {
  it.each<[promise: string, iso: string, zone: string, expected: string]>([
    [
      'has its fraction, offset and zone',
      '2026-11-20T13:05:20.480Z',
      berlin,
      '2026-11-20 14:05:20.480 +01:00 (Europe/Berlin)',
    ],
    [
      'leaves out a fraction of zero',
      '2026-11-20T13:05:00Z',
      berlin,
      '2026-11-20 14:05:00 +01:00 (Europe/Berlin)',
    ],
    ['knows summer time', '2026-07-01T12:00:00Z', newYork, '2026-07-01 08:00:00 -04:00 (America/New_York)'],
    [
      'knows half hours, over midnight',
      '2026-12-31T18:30:00Z',
      kolkata,
      '2027-01-01 00:00:00 +05:30 (Asia/Kolkata)',
    ],
    ['knows UTC', '2026-11-20T13:05:20Z', 'UTC', '2026-11-20 13:05:20 +00:00 (UTC)'],
    [
      'knows offsets with seconds',
      '1970-01-01T00:44:30Z',
      'Africa/Monrovia',
      '1970-01-01 00:00:00 -00:44:30 (Africa/Monrovia)',
    ],
  ])('%s', (_promise, iso, timeZone, expected) => {
    expect(formatInstant({ epochMs: Date.parse(iso), timeZone })).toBe(expected);
  });

  it('tells both passes of an autumn hour apart', () => {
    const [first, second] = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'].map((iso) =>
      formatInstant({ epochMs: Date.parse(iso), timeZone: berlin }),
    );
    expect([first, second]).toEqual([
      '2026-10-25 02:30:00 +02:00 (Europe/Berlin)',
      '2026-10-25 02:30:00 +01:00 (Europe/Berlin)',
    ]);
  });

  it('uses the zone of the process unless told otherwise', async () => {
    const instant = await parseWhen('now', { now: new Date(now) });
    expect(instant).toEqual({ epochMs: Date.parse(now), timeZone: defaultTimeZone() });
    expect(() => formatInstant(instant)).not.toThrow();
  });
});

describe('an age', () => {
  it.each([
    [0, '0 seconds'],
    [-5000, '0 seconds'],
    [1999, '1 second'],
    [59_999, '59 seconds'],
    [60_000, '1 minute'],
    [180_000, '3 minutes'],
    [3_600_000, '1 hour'],
    [7_500_000, '2 hours 5 minutes'],
    [86_400_000, '1 day'],
    [97_200_000, '1 day 3 hours'],
    [4 * 86_400_000 + 7_200_000, '4 days'],
  ])('of %i ms is "%s"', (ms, expected) => {
    expect(formatAge(1_000_000, 1_000_000 + ms)).toBe(expected);
  });
});

describe('for any instant and zone', () => {
  const zones = fc.constantFrom(
    berlin,
    newYork,
    kolkata,
    apia,
    'UTC',
    'Australia/Lord_Howe',
    'Africa/Monrovia',
    'America/Sao_Paulo',
  );
  const instants = fc.integer({ min: 0, max: Date.parse('2026-11-21T13:00:00Z') });
  const edges = fc.constantFrom<Edge>('end', 'start');
  const read = async (text: string, timeZone: string, edge: Edge) =>
    (await parseWhen(text, { now: new Date(now), timeZone, edge })).epochMs;

  it('ISO with an offset reads back as the same instant', async () => {
    await fc.assert(
      fc.asyncProperty(instants, zones, edges, async (epochMs, timeZone, edge) => {
        expect(await read(new Date(epochMs).toISOString(), timeZone, edge)).toBe(epochMs);
      }),
    );
  });

  it('what formatInstant prints reads back, from another zone too, as the same instant and zone', async () => {
    await fc.assert(
      fc.asyncProperty(instants, zones, zones, async (epochMs, timeZone, elsewhere) => {
        const instant = { epochMs, timeZone };
        const echoed = formatInstant(instant);
        expect(await parseWhen(echoed, { now: new Date(now), timeZone: elsewhere, edge: 'start' })).toEqual(
          instant,
        );
      }),
    );
  });

  it('a local time without offset lies between its two edges, less than two hours apart', async () => {
    await fc.assert(
      fc.asyncProperty(instants, zones, async (epochMs, timeZone) => {
        const local = formatInstant({ epochMs, timeZone }).slice(0, 19);
        const [start, end] = [await read(local, timeZone, 'start'), await read(local, timeZone, 'end')];
        expect(start).toBeLessThanOrEqual(epochMs);
        expect(end).toBeGreaterThanOrEqual(epochMs);
        expect(end - start).toBeLessThan(2 * 3_600_000);
      }),
    );
  });

  it('the day of an instant holds it', async () => {
    await fc.assert(
      fc.asyncProperty(instants, zones, async (epochMs, timeZone) => {
        const date = formatInstant({ epochMs, timeZone }).slice(0, 10);
        expect(await read(date, timeZone, 'start')).toBeLessThanOrEqual(epochMs);
        expect(await read(date, timeZone, 'end')).toBeGreaterThanOrEqual(epochMs);
      }),
    );
  });

  it('any text gives an instant that is not in the future, or a usage error', async () => {
    const words = fc.constantFrom(
      'last',
      'friday',
      'ago',
      'yesterday',
      'at',
      '9',
      '14:05',
      'nov',
      '20',
      '2026',
      'hours',
      '3',
      'before',
      'pm',
      '-',
      '@',
      '.',
    );
    const texts = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.array(words, { maxLength: 6 }).map((parts) => parts.join(' ')),
    );
    await fc.assert(
      fc.asyncProperty(texts, zones, edges, async (text, timeZone, edge) => {
        const outcome: unknown = await read(text, timeZone, edge).catch((error: unknown) => error);
        if (typeof outcome === 'number') expect(outcome).toBeLessThanOrEqual(Date.parse(now) + 999);
        else expect(outcome).toMatchObject({ name: 'PitrError', kind: 'usage' });
      }),
      { numRuns: 500 },
    );
  });
});
