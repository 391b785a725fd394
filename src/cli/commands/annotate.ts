import { ExitCode, PitrError } from '../../errors.ts';
import { refuseWhileInterrupted } from '../../restore/journal.ts';
import { currentTime } from '../../system/clock.ts';
import { annotate, type Annotation } from '../../timeline/annotate.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { selectSnapshot } from '../../timeline/select.ts';
import type { Arguments, CommandModule } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { describeTime } from '../text/snapshot.ts';

/** `pin`, `unpin` and `annotate`. */

export const pin: CommandModule = {
  run: (args, terminal) => change(args, terminal, { pinned: true }, ['Pinned', 'was pinned already']),
};

export const unpin: CommandModule = {
  run: (args, terminal) => change(args, terminal, { pinned: false }, ['Unpinned', 'was not pinned']),
};

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const message = text(args.options['message']);
  if (message === undefined)
    throw new PitrError('usage', 'Say what the snapshot is: -m <message>.', {
      hints: ['git pitr annotate latest -m "before the upgrade"'],
    });
  return change(args, terminal, { message }, ['Annotated', 'says that already']);
}

async function change(
  { operands }: Arguments,
  terminal: Terminal,
  annotation: Annotation,
  [done, already]: readonly [string, string],
): Promise<number> {
  const selector = operands[0];
  if (selector === undefined)
    throw new PitrError('usage', 'Say which snapshot: its id, latest, latest~2 or "@{10 minutes ago}".', {
      hints: ['List them: git pitr list'],
    });
  const { repository, config } = await openHere();
  refuseWhileInterrupted(repository);
  const { snapshots } = await readCatalog(repository);
  const chosen = await selectSnapshot(snapshots, selector, new Date(currentTime()));
  const { snapshot, changed } = await annotate(repository, config, chosen, annotation);
  const name = `${terminal.paint('yellow', snapshot.id)} of ${describeTime(snapshot.time)}`;
  terminal.print(changed ? `${done} ${name}.` : `${name} ${already}.`);
  terminal.result({ changed, snapshot });
  return ExitCode.done;
}
