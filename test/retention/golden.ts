/**
 * Cases as text: what there is, the policy, and what becomes of each snapshot and why.
 *
 *     == name of the case
 *     zone Europe/Berlin
 *     now 2026-03-29 12:00
 *     policy keepHourly=3              as for --policy; or `set keepDaily 7`, as in the configuration
 *     max 300 100                      maxSize, and the size of each snapshot
 *     show kept                        of many, only those that stay
 *     + 2026-03-29 01:30 safety pinned needed     a snapshot, in the order of recording; times of the zone, or with offset
 *     + every 30m 2026-03-28 20:00 to 2026-03-29 04:00 incremental
 *
 * and then the decisions, newest first.
 */
import { Temporal } from 'temporal-polyfill';
import { type Candidate, decide, type Decision } from '../../src/retention/decide.ts';
import { fitInto } from '../../src/retention/maxSize.ts';
import { readPolicy } from '../../src/retention/policy.ts';
import { periodNames } from '../../src/retention/periods.ts';
import type { SnapshotType } from '../../src/timeline/snapshot.ts';

export interface Case {
  name: string;
  /** The lines that say what is asked. */
  asked: string[];
  expected: string[];
}

export function parseCases(text: string): Case[] {
  return text
    .split(/^== /m)
    .slice(1)
    .map((part) => {
      const [name = '', ...lines] = part.trimEnd().split('\n');
      const isAnswer = (line: string) => /^(keep|drop|error|left) /.test(line);
      return {
        name,
        asked: lines.filter((line) => !isAnswer(line)),
        expected: lines.filter(isAnswer),
      };
    });
}

export function printCases(head: string, cases: readonly Case[]): string {
  const parts = cases.map(
    ({ name, asked, expected }) =>
      `== ${name}\n${[...asked.filter((line) => line !== ''), ...expected].join('\n')}\n`,
  );
  return `${head}${parts.join('\n')}`;
}

interface Asked {
  zone: string;
  now: number;
  policy: string | undefined;
  config: Map<string, string>;
  onlyKept: boolean;
  sizeOfEach: number;
  /** Oldest first. */
  recorded: Candidate[];
}

/** The decisions on a case, as lines. */
export async function answer({ asked }: Case): Promise<string[]> {
  const { zone, now, policy: given, config, recorded, onlyKept, sizeOfEach } = read(asked);
  const candidates = recorded.toReversed();
  try {
    const policy = readPolicy(config, given);
    const context = { policy, now, timeZone: zone };
    let decisions = await decide(candidates, context);
    const left: string[] = [];
    if (policy.maxSize !== undefined) {
      const sizeOf = async (kept: readonly string[]) => kept.length * sizeOfEach;
      const fitted = await fitInto(policy.maxSize, String(policy.maxSize), candidates, decisions, sizeOf);
      decisions = fitted.decisions;
      if (!fitted.fits) left.push('left over: what is protected does not fit');
    }
    const names = periodNames(zone);
    const lines = decisions.map((decision, at) => line(decision, candidates[at], names));
    return [...(onlyKept ? summary(lines) : lines), ...left];
  } catch (error) {
    return [`error ${(error as Error).message}`];
  }
}

function line(
  { id, keep, reasons }: Decision,
  candidate: Candidate | undefined,
  names: ReturnType<typeof periodNames>,
): string {
  const time = candidate?.time ?? 0;
  const [day = '', , offset = ''] = names(time, 'keepHourly').split(' ');
  const east =
    (offset.startsWith('-') ? -1 : 1) * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4)));
  const clock = new Date(time + east * 60_000).toISOString().slice(11, -1).replace('.000', '');
  return `${keep ? 'keep' : 'drop'} ${id} ${day} ${clock} ${offset}: ${reasons.map(({ text }) => text).join('; ')}`;
}

function summary(lines: readonly string[]): string[] {
  const kept = lines.filter((text) => text.startsWith('keep'));
  return [...kept, `drop ${lines.length - kept.length} others`];
}

function read(lines: readonly string[]): Asked {
  const asked: Asked = {
    zone: 'UTC',
    now: 0,
    policy: undefined,
    config: new Map(),
    onlyKept: false,
    sizeOfEach: 0,
    recorded: [],
  };
  for (const text of lines) {
    const [, word = '', rest = ''] = /^(\S+) ?(.*)$/.exec(text) ?? [];
    const [first = '', second = ''] = rest.split(' ');
    if (word === 'zone') asked.zone = rest;
    else if (word === 'now') asked.now = moment(rest, asked.zone);
    else if (word === 'policy') asked.policy = rest;
    else if (word === 'set') asked.config.set(keyOf(first), second);
    else if (word === 'max') {
      asked.config.set('pitr.retention.maxsize', first);
      asked.sizeOfEach = Number(second);
    } else if (word === 'show') asked.onlyKept = true;
    else if (word === '+') add(asked, rest);
    else if (text !== '' && word !== '#') throw new Error(`not understood: ${text}`);
  }
  return asked;
}

/** As git normalises a key: the last part in small letters. */
function keyOf(name: string): string {
  return `pitr.retention.${name}`.replace(/[^.]+$/, (last) => last.toLowerCase());
}

function add(asked: Asked, text: string): void {
  const every = /^every (\S+) (.+?) to (\S+ \S+?)((?: [a-z]+)*)$/.exec(text);
  if (every !== null) {
    const step = Temporal.Duration.from(`PT${every[1]?.toUpperCase() ?? ''}`).total('milliseconds');
    const end = moment(every[3] ?? '', asked.zone);
    for (let time = moment(every[2] ?? '', asked.zone); time <= end; time += step)
      one(asked, time, (every[4] ?? '').trim().split(' '));
    return;
  }
  const [, time = '', marks = ''] = /^(\S+ [\d:.]+(?: ?[+-]\d\d:\d\d)?)(.*)$/.exec(text) ?? [];
  one(asked, moment(time, asked.zone), marks.trim().split(' '));
}

function one(asked: Asked, time: number, marks: readonly string[]): void {
  const type = marks.find((mark) => !['', 'pinned', 'needed'].includes(mark)) ?? 'snapshot';
  asked.recorded.push({
    id: `s${asked.recorded.length + 1}`,
    time,
    type: type as SnapshotType,
    pinned: marks.includes('pinned'),
    ...(marks.includes('needed') ? { needed: 'git pitr undo needs it' } : {}),
  });
}

function moment(text: string, zone: string): number {
  const [, wall = '', offset] = /^(.*?\d)(?: ?([+-]\d\d:\d\d))?$/.exec(text) ?? [];
  const iso = wall.replace(' ', 'T');
  if (offset !== undefined) return Temporal.Instant.from(`${iso}${offset}`).epochMilliseconds;
  return Temporal.PlainDateTime.from(iso).toZonedDateTime(zone).epochMilliseconds;
}
