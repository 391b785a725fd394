import type { Pruned } from '../../timeline/prune.ts';
import type { Terminal } from '../terminal.ts';
import { calendar } from './calendar.ts';
import { count, describeBytes, describeTime, titleOf } from './snapshot.ts';

/** Each snapshot with its reasons, what remains as a calendar, and what it comes to. */
export function pruneText(pruned: Pruned, dryRun: boolean, terminal: Terminal): string {
  const { snapshots, dropped } = pruned;
  if (snapshots.length === 0) return 'There is no snapshot here yet. Take the first: git pitr snapshot';
  const lines = snapshots.map(({ snapshot, keep, reasons }) => {
    const verdict = keep ? terminal.paint('green', 'keep') : terminal.paint('red', 'drop');
    const title = titleOf(snapshot) === '' ? '' : `  "${titleOf(snapshot)}"`;
    const why = reasons.map(({ text }) => text).join('; ');
    return `${verdict}  ${terminal.paint('yellow', snapshot.id)}  ${describeTime(snapshot.time)}${title}  ${why}`;
  });
  const kept = snapshots.filter(({ keep }) => keep).map(({ snapshot }) => Date.parse(snapshot.time));
  const picture = calendar(kept, pruned.timeZone);
  const stay = `${kept.length} of ${count(snapshots.length, 'snapshot')}`;
  return [...lines, '', `What remains, a digit for the snapshots of a day:`, ...picture, '', ...total()].join(
    '\n',
  );

  function total(): string[] {
    const { freed } = pruned;
    if (dropped === 0) return [`Nothing to drop: all ${count(snapshots.length, 'snapshot')} stay.`];
    const room = `${describeBytes(freed)} on the disk ${dryRun ? 'are' : 'were'} theirs alone`;
    if (dryRun)
      return [
        `${stay} would stay, and ${dropped} would go; ${room}.`,
        'This was a dry run: nothing was changed.',
      ];
    return [
      `${stay} stay; ${dropped} ${dropped === 1 ? 'was' : 'were'} folded into newer ones. git pitr undo brings ${dropped === 1 ? 'it' : 'them'} back until the next prune.`,
      `${room}: git's own gc frees them after that.`,
    ];
  }
}
