import { prepareUndo } from '../../restore/undo.ts';
import type { Arguments } from '../commands.ts';
import type { Terminal } from '../terminal.ts';
import { describeTime } from '../text/snapshot.ts';
import { watched } from '../watch.ts';
import { carryOutPrepared, openToRestore } from './restore.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const context = await openToRestore(options);
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
