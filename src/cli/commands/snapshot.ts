import { statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { ExitCode, messageOf, PitrError } from '../../errors.ts';
import type { Repository } from '../../git/repository.ts';
import { writeCache } from '../../system/files.ts';
import type { Snapshot, SnapshotType } from '../../timeline/snapshot.ts';
import { isSnapshotType, snapshotTypes, triggerPattern } from '../../timeline/snapshot.ts';
import { takeSnapshot, type TakeOptions } from '../../timeline/take.ts';
import type { Arguments } from '../commands.ts';
import { earlyStart, openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { watched } from '../watch.ts';
import { displayPath } from '../../git/paths.ts';
import { refuseWhileInterrupted } from '../../restore/journal.ts';
import { count, describeBytes, describeTime } from '../text/snapshot.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const type = typeOf(text(options['type']));
  const trigger = triggerOf(text(options['trigger']));
  const { repository, config } = await openHere();
  refuseWhileInterrupted(repository);
  const label = text(options['message']);
  const wanted: TakeOptions = {
    type,
    trigger,
    ...(label === undefined ? {} : { label }),
    pinned: options['pin'] === true,
    allowEmpty: options['allow-empty'] === true,
    databases: options['no-databases'] !== true,
    force: options['force'] === true,
    early: earlyStart(),
  };
  const taken = await watched(terminal, repository, () => takeSnapshot(repository, config, wanted));
  terminal.print(
    taken.snapshot === undefined
      ? `Nothing changed since ${terminal.paint('yellow', taken.id)} of ${describeTime(taken.time)}.`
      : describeCreated(taken.snapshot, terminal),
  );
  for (const { path, reason } of taken.capture.skipped)
    terminal.remark(`left out: ${displayPath(path)}: ${reason}`);
  for (const { name, reason, hints } of taken.failedDatabases)
    terminal.warn(`the database ${name} was not recorded: ${reason}`, hints);
  if (terminal.json) {
    const snapshot = taken.snapshot ?? (await existing(taken.commit, repository));
    const failedDatabases = taken.failedDatabases.map(({ name, reason }) => ({ name, reason }));
    terminal.result({ created: taken.created, snapshot: { ...snapshot, failedDatabases } });
  }
  if (taken.created && isPruneDue(repository)) await pruneAfter(repository, terminal);
  return taken.failedDatabases.length > 0 ? ExitCode.partial : ExitCode.done;
}

const day = 24 * 3600 * 1000;

/** One look at a file's time: this runs in every hook. The first day there is nothing to prune. */
function isPruneDue({ lineDir }: Repository): boolean {
  const stamp = path.join(lineDir, 'prune-stamp');
  const stat = statSync(stamp, { throwIfNoEntry: false });
  if (stat === undefined) writeCache(stamp, '');
  return stat !== undefined && Math.abs(Date.now() - stat.mtimeMs) > day;
}

/** The snapshot is recorded: whatever is wrong with pruning is told, and tried again tomorrow. */
async function pruneAfter({ lineDir }: Repository, terminal: Terminal): Promise<void> {
  try {
    // First: one that fails is not tried again with every snapshot.
    utimesSync(path.join(lineDir, 'prune-stamp'), new Date(), new Date());
    await (await import('./prune.ts')).pruneByItself(terminal);
  } catch (error) {
    terminal.warn(`the daily prune was not done: ${messageOf(error)}`, [
      'git pitr prune --dry-run shows what it would do; pitr.retention.auto = false switches it off.',
    ]);
  }
}

async function existing(commit: string, repository: Repository): Promise<Snapshot> {
  const { readSnapshot } = await import('../../timeline/catalog.ts');
  const snapshot = await readSnapshot(repository, commit);
  if (snapshot === undefined)
    throw new PitrError('integrity', `The newest snapshot ${commit} cannot be read.`);
  return snapshot;
}

function typeOf(given: string | undefined): SnapshotType {
  if (given === undefined) return 'snapshot';
  if (isSnapshotType(given)) return given;
  throw new PitrError('usage', `"${given}" is not a type of snapshot.`, {
    hints: [`Types: ${snapshotTypes.join(', ')}.`],
  });
}

function triggerOf(given: string | undefined): string {
  if (given === undefined) return 'manual';
  if (triggerPattern.test(given)) return given;
  throw new PitrError('usage', `"${given}" is not a trigger.`, {
    hints: ['Triggers: manual, watch, guard, agent, hook:<name>, schedule:<name>.'],
  });
}

function describeCreated(snapshot: Snapshot, terminal: Terminal): string {
  const { added, modified, deleted } = snapshot.changes;
  const lines = [
    `Recorded ${terminal.paint('yellow', snapshot.id)} at ${describeTime(snapshot.time)}: ${added} added, ${modified} modified, ${deleted} deleted; ${count(snapshot.files, 'file')}, ${describeBytes(snapshot.bytes)}.`,
  ];
  for (const database of snapshot.databases)
    lines.push(`  database ${database.name} (${database.engine}), ${describeBytes(database.bytes)}`);
  return lines.join('\n');
}
