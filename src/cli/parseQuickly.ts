import { parseArgs } from 'node:util';
import { type Arguments, type CommandSpec, globalOptions } from './commands.ts';

/**
 * The quick way for commands that hooks run: Node's own parser with the same option table (yargs costs 40 ms to load).
 * Gives undefined for anything out of the ordinary, which `parseFully` then explains.
 */
export function parseQuickly(command: CommandSpec, argv: readonly string[]): Arguments | undefined {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, ...globalOptions }).map(([name, spec]) => [
      name,
      {
        type: spec.type,
        multiple: spec.many ?? false,
        ...(spec.alias === undefined ? {} : { short: spec.alias }),
      },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: command.maxOperands > 0,
      strict: true,
    });
    return { options: values as Arguments['options'], operands: positionals, paths: [] };
  } catch {
    return undefined;
  }
}
