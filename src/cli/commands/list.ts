import { ExitCode, PitrError } from '../../errors.ts';
import { placeOf } from '../../git/pathspecs.ts';
import type { BytePath } from '../../git/paths.ts';
import type { Repository } from '../../git/repository.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { filterSnapshots, type SnapshotFilter } from '../../timeline/filter.ts';
import { parseWhen } from '../../timeline/when.ts';
import { currentTime } from '../../system/clock.ts';
import type { Arguments } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { snapshotLine } from '../text/snapshot.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository } = await openHere();
  const { snapshots, problems } = await readCatalog(repository);
  const found = await filterSnapshots(repository, snapshots, await filterOf(options, repository));
  // Not a write for each: 60 ms of 10,000 lines. Not all as one text either.
  for (let at = 0; at < found.length; at += 500)
    terminal.print(
      found
        .slice(at, at + 500)
        .map((snapshot) => snapshotLine(snapshot, terminal))
        .join('\n'),
    );
  if (snapshots.length === 0)
    terminal.print('There is no snapshot here yet. Take the first: git pitr snapshot');
  else if (found.length === 0) terminal.print(`None of the ${snapshots.length} snapshots fits.`);
  for (const { commit, problem } of problems)
    terminal.warn(commit === '' ? problem : `commit ${commit.slice(0, 12)}: ${problem}`);
  terminal.result({ snapshots: found });
  return ExitCode.done;
}

async function filterOf(options: Arguments['options'], repository: Repository): Promise<SnapshotFilter> {
  const now = new Date(currentTime());
  const since = text(options['since']);
  const until = text(options['until']);
  const path = text(options['path']);
  const number = text(options['number']);
  if (number !== undefined && !/^\d{1,9}$/.test(number))
    throw new PitrError('usage', `-n takes a number, not "${number}".`);
  const entries = {
    sinceMs: since === undefined ? undefined : (await parseWhen(since, { now, edge: 'start' })).epochMs,
    untilMs: until === undefined ? undefined : (await parseWhen(until, { now, edge: 'end' })).epochMs,
    type: text(options['type']),
    trigger: text(options['trigger']),
    path: path === undefined ? undefined : requirePlace(repository, path),
    text: text(options['grep']),
    limit: number === undefined ? undefined : Number(number),
  };
  return Object.fromEntries(
    Object.entries(entries).filter(([, value]) => value !== undefined),
  ) as SnapshotFilter;
}

function requirePlace(repository: Repository, given: string): BytePath {
  const place = placeOf(repository, given);
  if (place !== undefined) return place;
  throw new PitrError('usage', `"${given}" is outside of the working tree ${repository.worktree}.`);
}
