import type { SnapshotType } from '../timeline/snapshot.ts';
import { type PeriodNames, type PeriodRule, periodNames } from './periods.ts';
import { limitText, type Policy, type RuledType, type RuleName, type Rules, ruleTitle } from './policy.ts';
import { startOf } from './span.ts';

/** Which snapshots stay and which go, and why. Pure: the same snapshots, policy and moment give the same decisions. */

/** What retention looks at of a snapshot. */
export interface Candidate {
  id: string;
  /** Milliseconds since 1970. */
  time: number;
  type: SnapshotType;
  pinned: boolean;
  /** Why it must stay whatever the rules say, beside being pinned: a sentence. */
  needed?: string;
}

export interface Reason {
  /** `newest`, `pinned`, `type`, `needed`, `maxSize`, `none`, or a rule such as `keepDaily` or `safety.keepLast`. */
  rule: string;
  /** The hour, day, week, month or year that the rule is about. */
  bucket?: string;
  /** Of a dropped snapshot: the one that stands for its bucket. */
  by?: string;
  text: string;
}

export interface Decision {
  id: string;
  keep: boolean;
  /** What keeps it, all of it; or the one thing that says why it goes. */
  reasons: Reason[];
  /** False for one that stays only because a rule says so: `maxSize` may drop it. */
  isProtected: boolean;
}

export interface DecisionContext {
  policy: Policy;
  /** Milliseconds since 1970. */
  now: number;
  timeZone: string;
}

/**
 * Decides for each snapshot.
 * @param candidates newest first, as the timeline has them; their times need not be in that order
 */
export async function decide(
  candidates: readonly Candidate[],
  context: DecisionContext,
): Promise<Decision[]> {
  const decisions = candidates.map(
    ({ id }): Decision => ({
      id,
      keep: false,
      reasons: [],
      isProtected: false,
    }),
  );
  const names = periodNames(context.timeZone);
  protect(candidates, decisions);
  for (const type of ['snapshot', 'safety', 'incremental'] as const) {
    const group: Member[] = [];
    for (const [at, candidate] of candidates.entries()) {
      const decision = decisions[at];
      if (candidate.type === type && decision !== undefined) group.push({ candidate, decision });
    }
    await applyRules(type, context.policy.rules[type], group, names, context);
  }
  for (const decision of decisions)
    decision.keep = decision.reasons.some(({ by, rule }) => by === undefined && rule !== 'none');
  return decisions;
}

interface Member {
  candidate: Candidate;
  decision: Decision;
}

function protect(candidates: readonly Candidate[], decisions: readonly Decision[]): void {
  for (const [at, { type, pinned, needed }] of candidates.entries()) {
    const decision = decisions[at];
    if (decision === undefined) continue;
    if (at === 0) decision.reasons.push({ rule: 'newest', text: 'the newest is never dropped' });
    if (pinned) decision.reasons.push({ rule: 'pinned', text: 'pinned' });
    if (type === 'archive' || type === 'migration')
      decision.reasons.push({ rule: 'type', text: `of type ${type}` });
    if (needed !== undefined) decision.reasons.push({ rule: 'needed', text: needed });
    decision.isProtected = decision.reasons.length > 0;
  }
}

/** The rules of one type, on its snapshots alone; each for itself, and what one of them names stays. */
async function applyRules(
  type: RuledType,
  rules: Rules,
  group: readonly Member[],
  names: PeriodNames,
  context: DecisionContext,
): Promise<void> {
  // Not `sort` by time alone: of two with one time, the one recorded later is the newer.
  const byTime = group.toSorted((a, b) => b.candidate.time - a.candidate.time);
  const covered: Covered[] = [];
  for (const [name, limit] of Object.entries(rules) as [RuleName, NonNullable<Rules[RuleName]>][]) {
    const title = ruleTitle(type, name);
    const count = limit.kind === 'count' ? limit.count : Number.POSITIVE_INFINITY;
    const start =
      limit.kind === 'span'
        ? await startOf(limit.span, context.now, context.timeZone)
        : Number.NEGATIVE_INFINITY;
    if (name === 'keepLast') {
      for (const [at, { decision }] of group.slice(0, count).entries())
        decision.reasons.push({ rule: title, text: `${title} ${at + 1} of ${count}` });
    } else if (name === 'keepWithin') {
      for (const { candidate, decision } of byTime)
        if (candidate.time >= start)
          decision.reasons.push({ rule: title, text: `${title} ${limitText(limit)}` });
    } else {
      const kept = new Map<string, string>();
      let counted = 0;
      for (const { candidate, decision } of byTime) {
        if (candidate.time < start) break;
        const bucket = names(candidate.time, name);
        if (kept.has(bucket)) continue;
        // What a clock that was ahead has dated must not take the place of what is really the newest.
        const isAhead = candidate.time > context.now;
        if (!isAhead && ++counted > count) break;
        kept.set(bucket, candidate.id);
        const which = limit.kind === 'span' ? `within ${limitText(limit)}` : `${counted} of ${count}`;
        const text = `${title} ${isAhead ? 'after now' : which} (${bucket})`;
        decision.reasons.push({ rule: title, bucket, text });
      }
      covered.push({ rule: name, title, kept });
    }
  }
  const beyond: Reason = { rule: 'none', text: `beyond ${allRules(type, rules)}` };
  covered.sort((a, b) => finestFirst.indexOf(a.rule) - finestFirst.indexOf(b.rule));
  for (const { candidate, decision } of group)
    if (decision.reasons.length === 0)
      decision.reasons.push(representedBy(candidate, covered, names) ?? beyond);
}

interface Covered {
  rule: PeriodRule;
  title: string;
  /** Bucket -> the snapshot that stands for it. */
  kept: ReadonlyMap<string, string>;
}

const finestFirst: readonly RuleName[] = [
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'keepYearly',
];

/** The one that stands for the finest of its periods that a rule reaches. */
function representedBy(
  { time }: Candidate,
  finest: readonly Covered[],
  names: PeriodNames,
): Reason | undefined {
  for (const { rule, title, kept } of finest) {
    const bucket = names(time, rule);
    const by = kept.get(bucket);
    if (by !== undefined)
      return { rule: title, bucket, by, text: `${title} keeps ${by}, the newest of ${bucket}` };
  }
  return undefined;
}

function allRules(type: RuledType, rules: Rules): string {
  const all = Object.entries(rules).map(
    ([rule, limit]) => `${ruleTitle(type, rule as RuleName)} ${limitText(limit)}`,
  );
  return all.join(', ');
}
