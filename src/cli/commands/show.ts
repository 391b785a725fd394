import { ExitCode } from '../../errors.ts';
import { currentTime } from '../../system/clock.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { selectSnapshot } from '../../timeline/select.ts';
import type { Arguments } from '../commands.ts';
import { openHere } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { snapshotDetails } from '../text/snapshot.ts';

export async function run({ operands }: Arguments, terminal: Terminal): Promise<number> {
  const { repository } = await openHere();
  const { snapshots } = await readCatalog(repository);
  const snapshot = await selectSnapshot(snapshots, operands[0] ?? 'latest', new Date(currentTime()));
  terminal.print(snapshotDetails(snapshot, terminal));
  terminal.result({ snapshot });
  return ExitCode.done;
}
