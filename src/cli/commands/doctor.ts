import { ExitCode } from '../../errors.ts';
import { examine } from '../../doctor/doctor.ts';
import type { Finding } from '../../doctor/finding.ts';
import type { Arguments } from '../commands.ts';
import { openHere } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { count } from '../text/snapshot.ts';
import { watched } from '../watch.ts';

const colours = { damage: 'red', warning: 'yellow', advice: 'cyan' } as const;

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const repair = options['repair'] === true;
  const findings = await watched(terminal, repository, () => examine(repository, config, repair));
  for (const finding of findings) for (const line of lines(finding, terminal)) terminal.print(line);
  const left = findings.filter(({ severity, repaired }) => severity === 'damage' && repaired === undefined);
  const mended = findings.filter(({ repaired }) => repaired !== undefined);
  terminal.print(
    left.length > 0
      ? `${count(left.length, 'damage', 'damages')} left${mended.length > 0 ? `, ${mended.length} mended` : ''}.`
      : mended.length > 0
        ? `${mended.length} mended; no damage is left.`
        : 'No damage was found.',
  );
  if (!repair && left.length > 0)
    terminal.print('Nothing was changed. What can be mended: git pitr doctor --repair');
  terminal.result({ ok: left.length === 0, repair, findings });
  return left.length > 0 ? ExitCode.integrity : ExitCode.done;
}

function lines({ severity, what, reason, remedy, repaired }: Finding, terminal: Terminal): string[] {
  return [
    `${terminal.paint(colours[severity], `${severity}:`)} ${what}`,
    `  why:    ${reason}`,
    repaired === undefined ? `  remedy: ${remedy}` : `  ${terminal.paint('green', 'mended:')} ${repaired}`,
  ];
}
