import { badValue, parseSize } from '../config/values.ts';
import { PitrError } from '../errors.ts';
import { parseSpan, type Span } from './span.ts';

/**
 * What retention keeps. Each rule names snapshots to keep, and a snapshot that one of them names stays. Every value is a
 * count or a length of time; `0` switches a rule off.
 */

export const ruleNames = [
  'keepLast',
  'keepWithin',
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'keepYearly',
] as const;

export type RuleName = (typeof ruleNames)[number];

/** So many (snapshots, or periods that have one), or those back to a moment. */
export type Limit = { kind: 'count'; count: number } | { kind: 'span'; span: Span };

/** The rules that are on. */
export type Rules = Partial<Record<RuleName, Limit>>;

/** The types with rules; the others are never dropped. */
export const ruledTypes = ['snapshot', 'safety', 'incremental'] as const;

export type RuledType = (typeof ruledTypes)[number];

export interface Policy {
  rules: Record<RuledType, Rules>;
  /** Bytes; absent without a limit. */
  maxSize?: number;
  /** Prune by itself after a snapshot. */
  auto: boolean;
}

/** What holds where nothing is configured, written as it would be in the configuration. */
export const retentionDefaults: Readonly<Record<RuledType, Readonly<Partial<Record<RuleName, string>>>>> = {
  snapshot: {
    keepWithin: '24h',
    keepHourly: '48',
    keepDaily: '30',
    keepWeekly: '12',
    keepMonthly: '12',
    keepYearly: '3',
  },
  safety: { keepLast: '20', keepWithin: '7d' },
  incremental: { keepWithin: '48h' },
};

const prefix = 'pitr.retention.';

/**
 * The policy that the configuration asks for, or the one of `--policy`, which replaces the rules for snapshots of type
 * `snapshot`.
 * @param git the git configuration, keys as git normalises them
 * Error: `usage`, for a value that is not understood and for a policy that would keep nothing.
 */
export function readPolicy(git: ReadonlyMap<string, string>, given?: string): Policy {
  const rules = Object.fromEntries(
    ruledTypes.map((type) => [type, readRules(type, retentionDefaults[type])]),
  ) as Policy['rules'];
  const policy: Policy = { rules, auto: true };
  for (const [key, value] of git) if (key.startsWith(prefix)) applyKey(policy, key, value);
  if (given !== undefined) applyGiven(policy, given);
  refuseEmpty(policy);
  return policy;
}

/** How a rule is called in the configuration and in reasons: `keepDaily`, `safety.keepLast`. */
export function ruleTitle(type: RuledType, rule: RuleName): string {
  return type === 'snapshot' ? rule : `${type}.${rule}`;
}

export function limitText(limit: Limit): string {
  return limit.kind === 'count' ? String(limit.count) : limit.span.text;
}

function readRules(type: RuledType, values: Readonly<Partial<Record<RuleName, string>>>): Rules {
  const rules: Rules = {};
  for (const [rule, value] of Object.entries(values)) setRule(rules, type, rule as RuleName, value);
  return rules;
}

function setRule(rules: Rules, type: RuledType, rule: RuleName, value: string): void {
  const limit = parseLimit(`${prefix}${ruleTitle(type, rule)}`, rule, value);
  if (limit === undefined) delete rules[rule];
  else rules[rule] = limit;
}

/** Undefined for "off". */
function parseLimit(key: string, rule: RuleName, value: string): Limit | undefined {
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) {
    if (Number(text) === 0) return undefined;
    if (rule !== 'keepWithin') return { kind: 'count', count: Number(text) };
  }
  const span = parseSpan(text);
  if (rule === 'keepLast' || span === undefined)
    throw badValue(
      key,
      value,
      {
        keepLast: 'a count, such as 20 (for a length of time there is keepWithin)',
        keepWithin: 'a length of time, such as 24h, 7d, 4w, 6mo or 1y',
      }[rule as string] ?? 'a count, such as 30, or a length of time, such as 48h, 90d, 12w, 6mo or 3y',
    );
  return span.isNothing ? undefined : { kind: 'span', span };
}

function applyKey(policy: Policy, key: string, value: string): void {
  const name = key.slice(prefix.length);
  if (name === 'maxsize') return setMaxSize(policy, `${prefix}maxSize`, value);
  if (name === 'auto') {
    policy.auto = parseSwitch(`${prefix}auto`, value);
    return;
  }
  const { type, rule } = ruleOf(name, key);
  setRule(policy.rules[type], type, rule, value);
}

/** Error: `usage` for a name that is no rule: a rule that is misspelt would be one that does not hold. */
function ruleOf(name: string, key: string): { type: RuledType; rule: RuleName } {
  const [, first, last = ''] = /^(?:(.+)\.)?([^.]+)$/.exec(name) ?? [];
  const type = ruledTypes.find((candidate) => candidate === (first ?? 'snapshot'));
  const rule = ruleNames.find((candidate) => candidate.toLowerCase() === last.toLowerCase());
  if (type !== undefined && rule !== undefined) return { type, rule };
  const never = first === 'archive' || first === 'migration';
  throw new PitrError(
    'usage',
    never
      ? `${key} is no rule: snapshots of type ${first} are never dropped.`
      : `${key} is no rule of retention; nothing was changed.`,
    {
      hints: [
        `Rules: ${ruleNames.join(', ')}; for one type ${ruledTypes.map((one) => `${one}.keepLast`).join(', ')} and so on; and maxSize.`,
      ],
    },
  );
}

function setMaxSize(policy: Policy, key: string, value: string): void {
  const bytes = parseSize(value, key);
  if (bytes === 0) delete policy.maxSize;
  else policy.maxSize = bytes;
}

function parseSwitch(key: string, value: string): boolean {
  // git lists a key without a value as an empty one, and means yes.
  if (/^(true|yes|on|1|)$/i.test(value.trim())) return true;
  if (/^(false|no|off|0)$/i.test(value.trim())) return false;
  throw badValue(key, value, 'true or false');
}

const periods: Readonly<Record<string, RuleName>> = {
  h: 'keepHourly',
  d: 'keepDaily',
  w: 'keepWeekly',
  m: 'keepMonthly',
  y: 'keepYearly',
};

/** "7d 4w 12m": a number of days, weeks and months; also "keepLast=5 safety.keepWithin=14d maxSize=2g". */
function applyGiven(policy: Policy, given: string): void {
  const words = given.split(/[\s,]+/).filter((word) => word !== '');
  policy.rules.snapshot = {};
  for (const word of words) {
    const [, count, unit = ''] = /^(\d{1,9})([hdwmy]?)$/i.exec(word) ?? [];
    const [, name, value = ''] = /^([\w.]+)=(.*)$/.exec(word) ?? [];
    if (count !== undefined) {
      setRule(policy.rules.snapshot, 'snapshot', periods[unit.toLowerCase()] ?? 'keepLast', count);
    } else if (name?.toLowerCase() === 'maxsize') setMaxSize(policy, '--policy maxSize', value);
    else if (name !== undefined) {
      const { type, rule } = ruleOf(name, `--policy ${name}`);
      setRule(policy.rules[type], type, rule, value);
    } else
      throw new PitrError('usage', `--policy "${given}": "${word}" is no rule; nothing was changed.`, {
        hints: [
          'Write "7d 4w 12m" for the newest of 7 days, of 4 weeks and of 12 months; h is hours, y years, a bare number the last so many.',
          'Or name the rules: "keepWithin=48h keepDaily=30 safety.keepLast=5".',
        ],
      });
  }
}

/** A slip of the pen must not empty a timeline (restic #3529 let one pass with exit code 0). */
function refuseEmpty(policy: Policy): void {
  for (const type of ruledTypes) {
    if (Object.keys(policy.rules[type]).length > 0) continue;
    throw new PitrError(
      'usage',
      `The policy has no rule for snapshots of type ${type}, so it would drop all of them; nothing was changed.`,
      {
        hints: [
          `Set at least one: git config ${prefix}${ruleTitle(type, 'keepLast')} 10`,
          'pitr.retention.auto = false switches pruning off, if that is what was meant.',
        ],
      },
    );
  }
}
