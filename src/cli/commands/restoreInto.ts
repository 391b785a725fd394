import { ExitCode, PitrError } from '../../errors.ts';
import { restoreIntoFolder } from '../../restore/into.ts';
import type { Context, RestoreRequest } from '../../restore/request.ts';
import type { Arguments } from '../commands.ts';
import type { Terminal } from '../terminal.ts';
import { watched } from '../watch.ts';
import { count, describeTime } from '../text/snapshot.ts';

/** `restore --into DIR` */
export async function restoreInto(
  context: Context,
  request: RestoreRequest,
  folder: string,
  terminal: Terminal,
  options: Arguments['options'],
): Promise<number> {
  if (folder === '') throw new PitrError('usage', '--into takes the name of a folder.');
  const pointless = ['staged', 'keep-changes', 'keep-new'].find((name) => options[name] === true);
  if (pointless !== undefined)
    throw new PitrError(
      'usage',
      `--${pointless} has no meaning with --into: the working copy is not touched.`,
    );
  const [part] = request.databases.tables?.keys() ?? [];
  if (part !== undefined)
    throw new PitrError('usage', '--into writes whole databases, not single tables.', {
      hints: [`Give the database alone: --db ${part}`],
    });
  if (options['dry-run'] === true)
    throw new PitrError(
      'usage',
      '--into writes only into a new or empty folder, so there is no --dry-run for it.',
      { hints: ['Without --into, --dry-run shows what differs from now.'] },
    );
  const { snapshot, into, files, databases } = await watched(terminal, context.repository, () =>
    restoreIntoFolder(context, request, folder),
  );
  terminal.print(
    `Wrote ${count(files, 'file')} of snapshot ${snapshot.id} (${describeTime(snapshot.time)}) into ${into}.`,
  );
  for (const { name, path } of databases) terminal.print(`  database ${name}: ${path}`);
  terminal.result({ snapshot, into, files, databases, applied: true });
  return ExitCode.done;
}
