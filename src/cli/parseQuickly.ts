import { parseArgs } from 'node:util';
import { type Arguments, type CommandSpec, globalOptions } from './commands.ts';

/**
 * Node's own parser with the same option table: yargs costs 40 ms to load, and takes the path of
 * `--dry-run true` for a value. Gives undefined for anything out of the ordinary, which `parseFully` then explains.
 */
export function parseQuickly(command: CommandSpec, argv: readonly string[]): Arguments | undefined {
  const specs = Object.entries({ ...command.options, ...globalOptions });
  const options = Object.fromEntries(
    specs.map(([name, { type, many, alias }]) => [
      name,
      { type, multiple: many ?? false, ...(alias === undefined ? {} : { short: alias }) },
    ]),
  );
  try {
    const { values, tokens } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
    const seen = new Set<string>();
    for (const token of tokens) {
      if (token.kind !== 'option' || token.value === undefined || options[token.name]?.multiple === true)
        continue;
      if (seen.has(token.name)) return undefined;
      seen.add(token.name);
    }
    const end = tokens.find(({ kind }) => kind === 'option-terminator')?.index ?? argv.length;
    const words = tokens.filter((token) => token.kind === 'positional');
    const operands = words.filter(({ index }) => index < end).map(({ value }) => value);
    const paths = words.filter(({ index }) => index > end).map(({ value }) => value);
    if (operands.length > command.maxOperands || (paths.length > 0 && !command.paths)) return undefined;
    return { options: values as Arguments['options'], operands, paths };
  } catch {
    return undefined;
  }
}
