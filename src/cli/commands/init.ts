import { ExitCode } from '../../errors.ts';
import { accept, propose, type Proposal } from '../../init/propose.ts';
import { confirm } from '../ask.ts';
import type { Arguments } from '../commands.ts';
import { openHere } from '../open.ts';
import type { Terminal } from '../terminal.ts';

export async function run({ options }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const proposals = await propose(repository, config);
  const accepted = options['yes'] === true ? proposals : await ask(proposals, terminal);
  await accept(repository, accepted);
  terminal.print(summary(proposals, accepted, terminal));
  terminal.result({
    proposals: proposals.map(({ key, value, reason }) => ({
      key,
      value,
      reason,
      accepted: accepted.some((proposal) => proposal.key === key && proposal.value === value),
    })),
  });
  return ExitCode.done;
}

async function ask(proposals: readonly Proposal[], terminal: Terminal): Promise<Proposal[]> {
  const accepted: Proposal[] = [];
  if (!terminal.interactive) return accepted;
  for (const proposal of proposals) {
    terminal.print(`Found: ${proposal.reason}`);
    if (await confirm(`  ${commandOf(proposal)}?`)) accepted.push(proposal);
  }
  return accepted;
}

/** As a shell takes it: `.env*` bare would become the names of the files it matches. */
function commandOf({ key, value, add }: Proposal): string {
  return `git config ${add ? '--add ' : ''}${quoted(key)} ${quoted(value)}`;
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function summary(proposals: readonly Proposal[], accepted: readonly Proposal[], terminal: Terminal): string {
  if (proposals.length === 0)
    return 'Nothing to configure: no unregistered database and no ignored .env file was found.\nTake a snapshot: git pitr snapshot';
  const lines = proposals.map((proposal) => {
    const done = accepted.includes(proposal);
    return `${done ? terminal.paint('green', 'set  ') : 'found'} ${proposal.reason}\n        ${commandOf(proposal)}`;
  });
  if (accepted.length === 0) lines.push('Nothing was changed. git pitr init --yes accepts all of it.');
  else lines.push('Take a snapshot now: git pitr snapshot');
  return lines.join('\n');
}
