import path from 'node:path';
import { ExitCode, PitrError } from '../../errors.ts';
import { type Shell, shellFunction, shells } from '../../triggers/shell.ts';
import type { Arguments } from '../commands.ts';
import type { Terminal } from '../terminal.ts';

export function run({ operands }: Arguments, terminal: Terminal): Promise<number> {
  const shell = shells.find((one) => one === operands[0]);
  if (shell === undefined)
    throw new PitrError('usage', `Say for which shell: ${shells.join(', ')}.`, {
      hints: ['eval "$(git pitr shell-init bash)" in ~/.bashrc'],
    });
  const text = shellFunction(shell satisfies Shell, process.execPath, path.resolve(process.argv[1] ?? ''));
  terminal.print(text);
  terminal.result({ shell, text });
  return Promise.resolve(ExitCode.done);
}
