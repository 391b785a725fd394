import { PitrError } from '../errors.ts';
import { type Arguments, type CommandSpec, commands, globalOptions } from './commands.ts';

/** Command lines to `Arguments`. */

/** Parses with yargs. Error: `usage`, saying what is wrong and what was probably meant. */
export async function parseFully(command: CommandSpec, argv: readonly string[]): Promise<Arguments> {
  const { default: yargs } = await import('yargs');
  const parser = yargs([])
    .scriptName('git pitr')
    .help(false)
    .version(false)
    .exitProcess(false)
    .showHelpOnFail(false)
    .strictOptions()
    .parserConfiguration({
      'populate--': true,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'boolean-negation': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
    });
  for (const [name, spec] of Object.entries({ ...command.options, ...globalOptions })) {
    parser.option(name, {
      type: spec.type,
      requiresArg: spec.type === 'string',
      ...(spec.alias === undefined ? {} : { alias: spec.alias }),
    });
  }
  let problem: string | undefined;
  parser.fail((message, error) => {
    problem = message || error?.message || 'wrong arguments';
  });
  const parsed = (await parser.parse([...argv])) as Record<string, unknown>;
  if (problem !== undefined) throw usage(command, problem);
  return shape(command, parsed);
}

function shape(command: CommandSpec, parsed: Record<string, unknown>): Arguments {
  const options: Record<string, boolean | string | readonly string[] | undefined> = {};
  for (const [name, spec] of Object.entries({ ...command.options, ...globalOptions })) {
    const value = parsed[name] as boolean | string | (boolean | string)[] | undefined;
    if (spec.many === true) options[name] = value === undefined ? [] : [value].flat().map(String);
    else if (Array.isArray(value) && spec.type === 'string')
      throw usage(command, `--${name} was given more than once`);
    else options[name] = Array.isArray(value) ? value.some(Boolean) : value;
  }
  const operands = (parsed['_'] as unknown[]).map(String);
  const after = ((parsed['--'] as unknown[] | undefined) ?? []).map(String);
  if (operands.length > command.maxOperands)
    throw usage(command, `too many arguments: ${operands.slice(command.maxOperands).join(' ')}`);
  if (after.length > 0 && !command.paths) throw usage(command, `it takes no paths: ${after.join(' ')}`);
  return { options, operands, paths: after };
}

function usage(command: CommandSpec, problem: string): PitrError {
  const text = problem.replace(/\n+/g, ' ');
  return new PitrError('usage', `git pitr ${command.name}: ${text.charAt(0).toLowerCase()}${text.slice(1)}`, {
    hints: [`git pitr ${command.name} -h shows its options.`],
  });
}

/** Error for a command that is none, naming the nearest. */
export function unknownCommand(name: string): PitrError {
  const near = commands.filter((command) => distance(command.name, name) <= 2).map((command) => command.name);
  const hints = near.length > 0 ? [`Did you mean: git pitr ${near.join(' or git pitr ')}?`] : [];
  return new PitrError('usage', `"${name}" is not a git pitr command.`, {
    hints: [...hints, 'git pitr -h lists the commands.'],
  });
}

/** Edit distance (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, char] of a.split('').entries()) {
    const next = [i + 1];
    for (const [j, other] of b.split('').entries()) {
      next.push(
        Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (char === other ? 0 : 1)),
      );
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
