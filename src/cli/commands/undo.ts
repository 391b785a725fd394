import { ExitCode } from '../../errors.ts';
import type { Context } from '../../restore/request.ts';
import { prepareUndo } from '../../restore/undo.ts';
import { pruneToUndo, undoPrune } from '../../timeline/undoPrune.ts';
import type { Arguments } from '../commands.ts';
import type { Terminal } from '../terminal.ts';
import { describeTime } from '../text/snapshot.ts';
import { watched } from '../watch.ts';
import { carryOutPrepared, openToRestore } from './restore.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const context = await openToRestore(options);
  if ((await pruneToUndo(context.repository)) !== undefined) return undoLastPrune(context, options, terminal);
  const { refsToUndo, undoRefs } = await import('./restoreRefs.ts');
  const onRefs = refsToUndo(context);
  if (onRefs !== undefined) return undoRefs(context, onRefs, options, terminal);
  const keepChanges = options['keep-changes'] === true;
  const prepared = await watched(terminal, context.repository, () => prepareUndo(context, { keepChanges }));
  terminal.print(
    `Back to snapshot ${terminal.paint('yellow', prepared.snapshot.id)} of ${describeTime(prepared.snapshot.time)}, the state before the last restore.`,
  );
  return carryOutPrepared(context, prepared, options, terminal);
}

async function undoLastPrune(
  { repository, config }: Context,
  options: Arguments['options'],
  terminal: Terminal,
): Promise<number> {
  const dryRun = options['dry-run'] === true;
  const { record, before, after, applied } = await watched(terminal, repository, () =>
    undoPrune(repository, config, { dryRun }),
  );
  const what =
    record.kind === 'prune'
      ? `the prune of ${describeTime(record.time)} ${dryRun ? 'would be' : 'was'} taken back`
      : `the prune that was taken back ${dryRun ? 'would be' : 'was'} done again`;
  terminal.print(`${dryRun ? 'Dry run' : 'Done'}: ${what}. Snapshots: ${before} before, ${after} after.`);
  if (!dryRun) terminal.print('git pitr undo goes back to how it was.');
  const { time, automatic, kind } = record;
  terminal.result({ prune: { kind, time, automatic }, before, after, applied });
  return ExitCode.done;
}
