import { type RowVersion, rowHistory } from '../../databases/rowHistory.ts';
import { namedPart } from '../../databases/scope.ts';
import { ExitCode, PitrError } from '../../errors.ts';
import type { Arguments } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { columnsText, differenceText, rowJson } from '../text/rows.ts';
import { describeTime } from '../text/snapshot.ts';
import { watched } from '../watch.ts';

/** `history --db NAME.TABLE --key K`: each version of a row. */
export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const named = text(options['db']);
  const key = (options['key'] ?? []) as readonly string[];
  if (named === undefined || key.length === 0)
    throw new PitrError('usage', 'Say which row: --db <name>.<table> --key <value>.', {
      hints: ['git pitr history --db shop.orders --key 42'],
    });
  const { database, table } = namedPart(config, named);
  if (table === undefined)
    throw new PitrError('usage', `Say which table of "${database.name}": --db ${database.name}.<table>.`);
  const versions = await watched(terminal, repository, () =>
    rowHistory(repository, config, database.name, table, key),
  );
  if (versions.length === 0)
    throw new PitrError(
      'noMatch',
      `No snapshot holds a row with the key ${key.join(', ')} in the table "${table}" of "${database.name}".`,
    );
  const newestFirst = versions.toReversed();
  for (const [at, version] of newestFirst.entries())
    terminal.print(versionLine(version, newestFirst[at + 1], terminal));
  terminal.result({
    database: database.name,
    table,
    key,
    versions: newestFirst.map(({ row, first, last }) => ({
      row: row === undefined ? null : rowJson(row),
      from: { id: first.id, time: first.time },
      until: { id: last.id, time: last.time },
    })),
  });
  return ExitCode.done;
}

function versionLine({ row, first }: RowVersion, older: RowVersion | undefined, terminal: Terminal): string {
  const before = older?.row;
  const [colour, word] =
    row === undefined
      ? (['red', 'removed'] as const)
      : before === undefined
        ? (['green', 'added'] as const)
        : (['yellow', 'changed'] as const);
  const what = row === undefined ? '' : before === undefined ? columnsText(row) : differenceText(before, row);
  return `${terminal.paint('yellow', first.id)}  ${describeTime(first.time)}  ${terminal.paint(colour, word.padEnd(7))}  ${what}`.trimEnd();
}
