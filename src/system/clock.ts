import { environmentOf } from '../git/environment.ts';
import { readlinkSync } from 'node:fs';
import { PitrError } from '../errors.ts';

/**
 * The current instant, in milliseconds since the epoch.
 *
 * `GIT_COMMITTER_DATE` sets it, as it sets git's: `@1763640000`, `1763640000 +0100`, RFC 3339 (with milliseconds), RFC
 * 2822, and the dates that git itself prints. Other spellings that git knows are refused rather than guessed.
 */
export function currentTime(): number {
  const given = environmentOf('GIT_COMMITTER_DATE');
  if (given === undefined || given.trim() === '') return Date.now();
  const epoch = /^@?(\d{1,12})(?: [+-]\d{4})?$/.exec(given.trim());
  if (epoch?.[1] !== undefined) return Number(epoch[1]) * 1000;
  const parsed = parseCommitterDate(given.trim());
  if (Number.isNaN(parsed)) {
    throw new PitrError('usage', `GIT_COMMITTER_DATE is not a time that git-pitr reads: "${given}"`, {
      hints: ['Write it as @<seconds since 1970> or as 2026-11-20T14:05:00.000Z.'],
    });
  }
  return parsed;
}

const isoDate = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}:?\d{2})?$/;
/** As `git log` prints dates: `Fri Nov 20 14:05:20 2026 +0100`. */
const gitDate = /^(?:\w{3},? )?(\w{3}) (\d{1,2}) (\d{2}:\d{2}:\d{2}) (\d{4}) ([+-]\d{4})$/;
/** RFC 2822: `Fri, 20 Nov 2026 14:05:20 +0100`. */
const mailDate = /^(?:\w{3},? )?(\d{1,2}) (\w{3}) (\d{4}) (\d{2}:\d{2}:\d{2}) ([+-]\d{4})$/;

function parseCommitterDate(text: string): number {
  const [, date, time, zone = ''] = isoDate.exec(text) ?? [];
  if (date !== undefined && time !== undefined)
    return Date.parse(`${date}T${time}${zone.replace(/^([+-]\d\d):?/, '$1:')}`);
  const [, month, day, clock, year, offset] = gitDate.exec(text) ?? [];
  if (month !== undefined) return Date.parse(`${day} ${month} ${year} ${clock} ${offset}`);
  return mailDate.test(text) ? Date.parse(text) : Number.NaN;
}

/** The name of the local time zone. Asking Intl costs 12 ms at its first use: that is the last resort. */
export function timeZoneName(): string {
  const given = process.env['TZ'];
  if (given !== undefined && /^[A-Z][A-Za-z_]+(\/[A-Za-z_+-]+)*$/.test(given)) return given;
  try {
    const name = /zoneinfo\/(.+)$/.exec(readlinkSync('/etc/localtime'))?.[1];
    if (given === undefined && name !== undefined) return name;
  } catch {
    // not a link, or not there
  }
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
