/** The times that people type, through the program: what is echoed, and which snapshot it leads to. */
import { beforeAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { everything } from '../support/fingerprint.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

/** A Saturday, 14:05:30 in Berlin; the clock of all that is asked here. */
const now = '2026-11-21T13:05:30.000Z';

/** A snapshot each, in a file that says which. */
const recorded = [
  '2025-11-20T13:20:00.000Z',
  '2026-10-25T00:30:00.000Z', // 02:30 in Berlin, before the clocks go back
  '2026-10-25T01:30:00.000Z', // 02:30 again
  '2026-11-19T17:00:00.000Z',
  '2026-11-20T16:59:59.900Z',
  '2026-11-21T12:04:00.000Z',
  '2026-11-21T12:55:20.480Z',
  '2026-11-21T13:05:00.000Z',
];

let repository: TestRepository;

beforeAll(() => {
  repository = scratchRepository();
  for (const time of recorded) {
    repository.write('when.txt', time);
    pitr(repository.path, ['snapshot'], { env: { GIT_COMMITTER_DATE: time } });
  }
});

interface Asked {
  instant: { time: string; zone: string; text: string };
  snapshot: { time: string };
}

function ask(text: string, zone = 'Europe/Berlin'): Asked {
  const args = ['restore', '--at', text, '--dry-run', '--json'];
  return pitr(repository.path, args, { env: { GIT_COMMITTER_DATE: now, TZ: zone } }).json<Asked>();
}

describe('each form of a time names an instant, and leads to the newest snapshot at or before it', () => {
  it.each([
    ['RFC 3339, UTC', '2026-11-20T18:00:00Z', '2026-11-20T18:00:00.999Z', 4],
    ['RFC 3339, with an offset', '2026-11-21T14:00:00.000+01:00', '2026-11-21T13:00:00.000Z', 6],
    ['ISO 8601, local', '2026-11-21T14:00', '2026-11-21T13:00:00.000Z', 6],
    ['with a space', '2026-11-21 13:05:00', '2026-11-21T12:05:00.999Z', 5],
    ['the basic form', '20261121T1305', '2026-11-21T12:05:00.000Z', 5],
    ['a date: its whole day', '2026-11-20', '2026-11-20T22:59:59.999Z', 4],
    ['today: until now', '2026-11-21', now, 7],
    ['a time of day', '14:05', '2026-11-21T13:05:00.000Z', 7],
    ['a time of day, to the second, as a list prints it', '13:55:20', '2026-11-21T12:55:20.999Z', 6],
    ['yesterday at a time, not a moment later', 'yesterday 17:59', '2026-11-20T16:59:00.000Z', 3],
    ['yesterday', 'yesterday', '2026-11-20T22:59:59.999Z', 4],
    ['hours ago', '2 hours ago', '2026-11-21T11:05:30.000Z', 4],
    ['minutes ago, short', '10m ago', '2026-11-21T12:55:30.000Z', 6],
    ['as git spells it', '10.minutes.ago', '2026-11-21T12:55:30.000Z', 6],
    ['a year ago, over a leap of days', '1 year ago', '2025-11-21T13:05:30.000Z', 0],
    ['a selector', '@{1 hour ago}', '2026-11-21T12:05:30.000Z', 5],
    ['a selector with a date', '@{2026-11-20}', '2026-11-20T22:59:59.999Z', 4],
    ['epoch seconds as git writes them', '@1763645000', '2025-11-20T13:23:20.999Z', 0],
    ['epoch seconds with an offset', '@1763645000 +0100', '2025-11-20T13:23:20.999Z', 0],
    ['English', 'last friday 18:00', '2026-11-20T17:00:00.000Z', 4],
    ['now', 'now', now, 7],
    ['capitals and spaces', '  Yesterday   18:00 ', '2026-11-20T17:00:00.000Z', 4],
  ])('%s: "%s"', (_, text, instant, index) => {
    const asked = ask(text);
    expect(asked.instant.time).toBe(instant);
    expect(asked.snapshot.time).toBe(recorded[index]);
  });

  it('what is echoed has offset and zone, and read back leads to the same', () => {
    for (const text of ['yesterday 18:00', '10m ago', '@1763645000', '2026-11-20T18:00:00.123Z']) {
      const { instant, snapshot } = ask(text);
      expect(instant.text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})? \+01:00 \(Europe\/Berlin\)$/);
      const again = ask(instant.text, 'Asia/Tokyo');
      // A whole second is told without its fraction, and then stands for all of that second.
      expect(again.instant.time.slice(0, 19)).toBe(instant.time.slice(0, 19));
      expect(again.snapshot).toEqual(snapshot);
    }
    const shown = pitr(repository.path, ['restore', '--at', '14:05', '--dry-run'], {
      env: { GIT_COMMITTER_DATE: now, TZ: 'Europe/Berlin' },
    }).stdout;
    expect(shown).toContain('At 2026-11-21 14:05:00 +01:00 (Europe/Berlin):\n');
    expect(shown).toMatch(/^Snapshot [0-9a-f]{12} of 2026-11-21 14:05:00 \+01:00 \(30 seconds ago\)$/m);
  });

  it('the time of each snapshot, as list prints it, leads to that snapshot', () => {
    const env = { GIT_COMMITTER_DATE: now, TZ: 'Europe/Berlin' };
    const lines = pitr(repository.path, ['list'], { env }).stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(recorded.length);
    for (const line of lines) {
      const [, id, time] = /^([0-9a-f]{12}) {2}(\S+ \S+ \S+) /.exec(line) ?? [];
      const shown = pitr(repository.path, ['show', `@{${time}}`, '--json'], { env });
      expect(shown.json()).toMatchObject({ snapshot: { id } });
    }
  });
});

describe('zones', () => {
  it.each([
    ['Europe/Berlin', '2026-11-20T17:00:00.000Z'],
    ['America/New_York', '2026-11-20T23:00:00.000Z'],
    ['Australia/Adelaide', '2026-11-20T07:30:00.000Z'],
    ['Pacific/Kiritimati', '2026-11-21T04:00:00.000Z'],
    ['UTC', '2026-11-20T18:00:00.000Z'],
  ])('"yesterday 18:00" is read, and told back, in %s', (zone, expected) => {
    const { instant } = ask('yesterday 18:00', zone);
    expect(instant.time).toBe(expected);
    expect(instant.zone).toBe(zone);
    expect(instant.text).toContain(` 18:00:00 `);
    expect(instant.text).toContain(`(${zone})`);
  });

  it('a time with an offset is the same instant everywhere', () => {
    const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Adelaide'];
    const times = zones.map((zone) => ask('2026-11-20 18:00 +05:30', zone).instant.time);
    expect(new Set(times)).toEqual(new Set(['2026-11-20T12:30:00.000Z']));
  });
});

describe('clock changes', () => {
  it('a time that is there twice (autumn) means the later pass, and an offset tells them apart', () => {
    expect(ask('2026-10-25 02:30').snapshot.time).toBe(recorded[2]);
    expect(ask('2026-10-25 02:30 +02:00')).toMatchObject({
      instant: { time: '2026-10-25T00:30:00.000Z' },
      snapshot: { time: recorded[1] },
    });
    expect(ask('2026-10-25 02:30 +01:00').snapshot.time).toBe(recorded[2]);
    expect(ask('2026-10-25 02:30 +02:00').instant.text).toContain('+02:00');
  });

  it('a time that clocks skipped (spring) is after the gap, as a clock that nobody set shows it', () => {
    const { instant } = ask('2026-03-29 02:30');
    expect(instant.time).toBe('2026-03-29T01:30:00.000Z');
    expect(instant.text).toBe('2026-03-29 03:30:00 +02:00 (Europe/Berlin)');
  });

  it('a day ago is the same time of day, 24 hours ago are 24 hours', () => {
    const env = { GIT_COMMITTER_DATE: '2026-10-25T11:00:00.000Z', TZ: 'Europe/Berlin' };
    const at = (text: string) =>
      pitr(repository.path, ['restore', '--at', text, '--dry-run', '--json'], { env }).json<Asked>().instant
        .time;
    expect(at('1 day ago')).toBe('2026-10-24T10:00:00.000Z');
    expect(at('24 hours ago')).toBe('2026-10-24T11:00:00.000Z');
    // All 25 hours of that day.
    expect(at('2026-10-24')).toBe('2026-10-24T21:59:59.999Z');
  });
});

describe('nonsense is exit 2, and never now', () => {
  it.each([
    '',
    ' ',
    'soonish',
    'banana',
    '10',
    '10 minutes',
    '5m',
    '-5m',
    '0',
    'NaN',
    'null',
    'undefined',
    '@',
    '@{}',
    '@{@{now}}',
    '@-5',
    '@12x',
    '25:00',
    '24:01',
    '14:60',
    '14:05:61',
    '2026-13-01',
    '2026-02-30',
    '2026-11-31',
    '2026-11',
    '5/4/2026',
    '3/4',
    '1763640000',
    '2026-11-20T14:05:00+25:00',
    '14:05 Mars/Crater',
    '10 bananas ago',
    '1.5 days ago',
    'ten ago',
    'ago',
    'last week',
    'this morning',
    'latest',
    'HEAD',
    'now now',
    'in 5 minutes',
    '2026-11-20; rm -rf .',
    '$(date)',
    '٢٠٢٦-١١-٢٠',
    '9'.repeat(400),
    '99999999999 days ago',
  ])('--at %j', (text) => {
    const refused = pitr(repository.path, ['restore', '--force', '--json', `--at=${text}`], {
      env: { GIT_COMMITTER_DATE: now, TZ: 'Europe/Berlin' },
      expectCode: 2,
    });
    expect(refused.json()).toMatchObject({ error: { kind: 'usage' } });
    expect(refused.stderr).toContain('Count back: "10 minutes ago"');
    expect(repository.read('when.txt')).toBe(recorded.at(-1));
  });

  it.each([
    ['tomorrow', ''],
    ['2026-11-22', ''],
    ['2999-01-01', ''],
    ['14:06', 'yesterday 14:06'],
    ['today 23:00', 'yesterday 23:00'],
    ['2026-11-21T13:05:31.500Z', ''],
    ['@1800000000', ''],
  ])('a time to come (%s) is refused, told what it was taken for', (text, hint) => {
    const before = everything(repository.path);
    const refused = pitr(repository.path, ['restore', '--force', '--json', '--at', text], {
      env: { GIT_COMMITTER_DATE: now, TZ: 'Europe/Berlin' },
      expectCode: 2,
    });
    expect(refused.stderr).toMatch(/is in the future \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    expect(refused.stderr).toContain(hint);
    expect(everything(repository.path)).toEqual(before);
  });

  it.each(['--since', '--until'])('list %s takes the same times, and refuses the same', (option) => {
    const env = { GIT_COMMITTER_DATE: now, TZ: 'Europe/Berlin' };
    const found = (text: string) =>
      pitr(repository.path, ['list', option, text, '--json'], { env })
        .json<{ snapshots: { time: string }[] }>()
        .snapshots.map(({ time }) => recorded.indexOf(time))
        .toReversed();
    expect(found('yesterday')).toEqual(option === '--since' ? [4, 5, 6, 7] : [0, 1, 2, 3, 4]);
    expect(found('2026-10-25 02:30')).toEqual(option === '--since' ? [1, 2, 3, 4, 5, 6, 7] : [0, 1, 2]);
    pitr(repository.path, ['list', option, 'soonish'], { env, expectCode: 2 });
  });
});

it.each([
  ['epoch seconds', '@1763640000', '2025-11-20T12:00:00.000Z'],
  ['epoch seconds and offset', '1763640000 +0100', '2025-11-20T12:00:00.000Z'],
  ['RFC 3339', '2025-11-20T12:00:00.250Z', '2025-11-20T12:00:00.250Z'],
  ['as git log --date=iso prints', '2025-11-20 13:00:00 +0100', '2025-11-20T12:00:00.000Z'],
  ['as git log prints', 'Thu Nov 20 13:00:00 2025 +0100', '2025-11-20T12:00:00.000Z'],
  ['RFC 2822', 'Thu, 20 Nov 2025 13:00:00 +0100', '2025-11-20T12:00:00.000Z'],
])('GIT_COMMITTER_DATE sets the time of a snapshot as it sets that of a commit: %s', (_, date, expected) => {
  const own = scratchRepository({ files: { 'a.txt': 'a\n' } });
  const env = { GIT_COMMITTER_DATE: date };
  expect(pitr(own.path, ['snapshot', '--json'], { env }).json()).toMatchObject({
    snapshot: { time: expected },
  });
  const seconds = own.git('log', '-1', '--format=%ct', 'refs/pitr/main');
  expect(Number(seconds)).toBe(Math.floor(Date.parse(expected) / 1000));
});
