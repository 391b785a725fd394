import { ExitCode } from '../../errors.ts';
import { collectGarbage } from '../../git/gc.ts';
import { limitText, type Policy, readPolicy } from '../../retention/policy.ts';
import { type Pruned, pruneTimeline } from '../../timeline/prune.ts';
import type { Arguments } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { pruneText } from '../text/prune.ts';
import { count } from '../text/snapshot.ts';
import { watched } from '../watch.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const dryRun = options['dry-run'] === true;
  const policy = text(options['policy']);
  const pruned = await watched(terminal, repository, () =>
    pruneTimeline(repository, config, { policy, dryRun }),
  );
  if (!terminal.json && !terminal.quiet) terminal.print(pruneText(pruned, dryRun, terminal));
  if (!pruned.fits)
    terminal.warn(`what is left is more than pitr.retention.maxSize, and all of it is protected`, [
      'git pitr unpin lets a snapshot go; see docs/retention.md for what else is protected.',
    ]);
  const gc = options['gc'] === true && !dryRun;
  if (gc) await watched(terminal, repository, () => collectGarbage(repository));
  if (terminal.json) terminal.result({ ...pruneJson(pruned), dryRun, gc });
  return pruned.fits ? ExitCode.done : ExitCode.partial;
}

function pruneJson({ snapshots, policy, now, timeZone, dropped, freed, fits, applied }: Pruned) {
  return {
    now: new Date(now).toISOString(),
    zone: timeZone,
    policy: policyJson(policy),
    kept: snapshots.length - dropped,
    dropped,
    bytes: freed,
    fits,
    applied,
    snapshots: snapshots.map(({ snapshot, keep, reasons }) => {
      const { id, time, type, message, pinned } = snapshot;
      return { id, time, type, message, pinned, keep, reasons };
    }),
  };
}

function policyJson({ rules, maxSize }: Policy) {
  const shown = Object.entries(rules).map(([type, limits]) => [
    type,
    Object.fromEntries(Object.entries(limits).map(([rule, limit]) => [rule, limitText(limit)])),
  ]);
  return { ...Object.fromEntries(shown), maxSize: maxSize ?? null };
}

/** After a snapshot, when it is due. It is no reason for the snapshot to fail. */
export async function pruneByItself(terminal: Terminal): Promise<void> {
  const { repository, config } = await openHere();
  if (!readPolicy(config.git).auto) return;
  const { dropped, applied } = await pruneTimeline(repository, config, { automatic: true });
  if (applied)
    terminal.remark(
      `Pruned: ${count(dropped, 'older snapshot')} folded into newer ones (git pitr prune --dry-run says by which rules).`,
    );
}
