import { periodNames } from '../../retention/periods.ts';

/**
 * A line a month, a column a day, newest month first: how many there are of each day ("+" for ten and more). Months
 * with none are left out, and a line of dots says so.
 * @param times milliseconds since 1970
 */
export function calendar(times: readonly number[], timeZone: string): string[] {
  const names = periodNames(timeZone);
  const months = new Map<string, number[]>();
  for (const time of times.toSorted((a, b) => b - a)) {
    const [, month = '', day = ''] = /^(.+)-(\d\d)$/.exec(names(time, 'keepDaily')) ?? [];
    const days = months.get(month) ?? Array.from({ length: daysOf(month) }, () => 0);
    days[Number(day) - 1] = (days[Number(day) - 1] ?? 0) + 1;
    months.set(month, days);
  }
  const lines: string[] = [];
  let last: string | undefined;
  for (const [month, days] of months) {
    if (last !== undefined && indexOf(last) - indexOf(month) > 1) lines.push('   …');
    lines.push(`${month}  ${days.map(digit).join('')}`);
    last = month;
  }
  return lines;
}

function digit(found: number): string {
  return found === 0 ? '·' : found < 10 ? String(found) : '+';
}

function daysOf(month: string): number {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number, 0)).getUTCDate();
}

/** Months since the year 0. */
function indexOf(month: string): number {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return year * 12 + number;
}
