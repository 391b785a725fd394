/** Lengths of time in rules: hours are exact, days and longer are the calendar's, as in "7 days ago". */

export interface Span {
  /** As it was written. */
  text: string;
  /** Milliseconds. */
  exact: number;
  days: number;
  months: number;
  isNothing: boolean;
}

const hour = 3_600_000;

const units: Readonly<Record<string, { exact?: number; days?: number; months?: number }>> = {
  s: { exact: 1000 },
  min: { exact: 60_000 },
  h: { exact: hour },
  d: { days: 1 },
  w: { days: 7 },
  mo: { months: 1 },
  y: { months: 12 },
};

/** Reads `48h`, `7d`, `4w`, `6mo`, `1y`. Not `m`, which may be minutes or months: `min` and `mo` are neither. */
export function parseSpan(text: string): Span | undefined {
  const [, digits, name = ''] = /^(\d{1,6})\s*([a-z]+)$/i.exec(text) ?? [];
  const unit = units[name.toLowerCase()];
  if (digits === undefined || unit === undefined) return undefined;
  const count = Number(digits);
  const { exact = 0, days = 0, months = 0 } = unit;
  return {
    text,
    exact: count * exact,
    days: count * days,
    months: count * months,
    isNothing: count === 0,
  };
}

/** The moment so long before another, in milliseconds. A moment before all calendars is as good as the first of 1970. */
export async function startOf(span: Span, nowMs: number, timeZone: string): Promise<number> {
  if (span.days === 0 && span.months === 0) return nowMs - span.exact;
  const { Temporal } = await import('temporal-polyfill');
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timeZone);
  try {
    return now.subtract({ days: span.days, months: span.months }).epochMilliseconds;
  } catch (error) {
    if (error instanceof RangeError) return 0;
    throw error;
  }
}
