import { realpathSync } from 'node:fs';
import path from 'node:path';
import { ExitCode, PitrError } from '../../errors.ts';
import {
  type HookName,
  hookNames,
  type HookProgram,
  type HookState,
  hookStates,
  installHooks,
  uninstallHooks,
} from '../../triggers/hooks.ts';
import type { Arguments } from '../commands.ts';
import { openHere } from '../open.ts';
import type { Terminal } from '../terminal.ts';

export async function run({ options, operands }: Arguments, terminal: Terminal): Promise<number> {
  const { repository, config } = await openHere();
  const [what] = operands;
  const only = namesOf((options['only'] ?? []) as readonly string[]);
  let states: HookState[];
  if (what === 'install') {
    states = await installHooks(repository, config, only, thisProgram());
  } else if (what === 'uninstall') states = await uninstallHooks(repository);
  else if (what === 'status') states = await hookStates(repository);
  else throw new PitrError('usage', 'Say what to do: git pitr hooks install, uninstall or status.');
  for (const state of states) terminal.print(describe(state, terminal));
  terminal.result({ hooks: states });
  return states.some(({ problem }) => problem !== undefined) ? ExitCode.failed : ExitCode.done;
}

/** Hooks start it by the name it was started by: a link in a bin folder survives an upgrade. */
function thisProgram(): HookProgram {
  const script = path.resolve(process.argv[1] ?? '');
  const template = path.join(path.dirname(realpathSync(script)), '../hooks/git-pitr-hook');
  return { node: process.execPath, script, template };
}

function namesOf(given: readonly string[]): readonly HookName[] {
  if (given.length === 0) return hookNames;
  return given
    .flatMap((list) => list.split(','))
    .map((name) => {
      const known = hookNames.find((one) => one === name);
      if (known === undefined)
        throw new PitrError('usage', `git-pitr has no hook "${name}".`, {
          hints: [`Hooks: ${hookNames.join(', ')}.`],
        });
      return known;
    });
}

function describe({ name, installed, problem, beside }: HookState, terminal: Terminal): string {
  const besides = {
    script: ', and the script that was there',
    program: ', and the program that was there',
    nothing: '',
  };
  const text = installed ? `installed${besides[beside]}` : 'not installed';
  const shown = problem === undefined ? text : terminal.paint('red', `does not work: ${problem}`);
  return `${name.padEnd(17)} ${shown}`;
}
