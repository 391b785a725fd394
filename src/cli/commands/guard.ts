import { ExitCode, messageOf, PitrError } from '../../errors.ts';
import { readSnapshot } from '../../timeline/catalog.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import {
  type Ended,
  guardSnapshot,
  type GuardOptions,
  restoreAfter,
  runGuarded,
} from '../../triggers/guard.ts';
import type { Arguments } from '../commands.ts';
import { openToRestore } from './restore.ts';
import type { Terminal } from '../terminal.ts';
import { planJson } from '../text/plan.ts';
import { watched } from '../watch.ts';

export async function run({ options, paths: command }: Arguments, terminal: Terminal): Promise<number> {
  if (command.length === 0)
    throw new PitrError('usage', 'Say what to run: git pitr guard -- <command>', {
      hints: ['git pitr guard -- npm run migrate'],
    });
  const context = await openToRestore(options);
  const wanted: GuardOptions = {
    command,
    migration: options['migration'] === true,
    databases: options['no-databases'] !== true,
    outputToErrors: terminal.json,
  };
  const taken = await watched(terminal, context.repository, () => guardSnapshot(context, wanted));
  terminal.remark(`git-pitr: the state before is snapshot ${taken.id}`);
  const ended = await runGuarded(wanted);
  const snapshot = taken.snapshot ?? (await readSnapshot(context.repository, taken.commit));
  const isBack =
    ended.code !== 0 && ended.problem === undefined && options['restore-on-failure'] === true
      ? await takeBack()
      : undefined;
  if (ended.code !== 0) tell(ended, taken.id, isBack !== undefined, terminal);
  terminal.result({
    command,
    code: ended.code,
    signal: ended.signal ?? null,
    snapshot,
    restored: isBack ?? null,
  });
  return isBack === 'failed' ? ExitCode.partial : endAs(ended);

  /** The plan that was carried out; 'failed' when it could not be. */
  async function takeBack() {
    try {
      const { prepared, outcome } = await watched(terminal, context.repository, () =>
        restoreAfter(context, snapshot as Snapshot),
      );
      return { plan: planJson(prepared), safety: outcome.safety };
    } catch (error) {
      terminal.warn(`the state before could not be brought back: ${messageOf(error)}`);
      return 'failed';
    }
  }
}

function tell(ended: Ended, id: string, isBack: boolean, terminal: Terminal): void {
  if (ended.problem !== undefined) {
    terminal.warn(`${ended.problem}; nothing was run`);
    return;
  }
  const how = ended.signal === undefined ? `ended with ${ended.code}` : `was ended by ${ended.signal}`;
  if (isBack)
    terminal.warn(`the command ${how}; the state before it was brought back`, [
      'git pitr undo goes forward again.',
    ]);
  else
    terminal.warn(`the command ${how}`, [
      `To take back all it did: git pitr restore --snapshot ${id} --all --staged`,
    ]);
}

/** A command that a signal ended ends us by the same one, so that whoever called sees what happened. */
function endAs({ code, signal }: Ended): number {
  if (signal !== undefined) process.kill(process.pid, signal);
  return code;
}
