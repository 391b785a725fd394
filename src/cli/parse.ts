import { PitrError } from '../errors.ts';
import { type Arguments, type CommandSpec, globalOptions, type OptionSpec } from './commands.ts';
import { parseQuickly } from './parseQuickly.ts';
import { distance } from './suggest.ts';

/** Command lines to `Arguments`. */

/** An option as it was typed: its name with the dashes, and its value where it has one. */
interface Given {
  name: string;
  value?: string | undefined;
}

/**
 * The options of a command line, each on its own, apart from their values: the `-h` of `-m -h` is a message, and a
 * hook whose snapshot only printed a help text would be noticed too late.
 */
export function givenOptions(command: CommandSpec | undefined, argv: readonly string[]): Given[] {
  const specs: Record<string, OptionSpec> = { ...command?.options, ...globalOptions };
  const valued = new Set<string>();
  for (const [name, { type, alias }] of Object.entries(specs))
    if (type === 'string') for (const word of [`--${name}`, `-${alias ?? name}`]) valued.add(word);
  const given: Given[] = [];
  for (let at = 0; at < argv.length && argv[at] !== '--'; at++) {
    const found = optionsOf(argv[at] ?? '', valued);
    given.push(...found);
    const last = found.at(-1);
    if (last !== undefined && last.value === undefined && valued.has(last.name)) last.value = argv[++at];
  }
  return given;
}

/** `--name=value`; `-qf`, which is `-q -f`; `-mtext`, which is `-m` with its value. */
function optionsOf(word: string, valued: ReadonlySet<string>): Given[] {
  if (word.startsWith('--')) {
    const equals = word.indexOf('=');
    return [equals === -1 ? { name: word } : { name: word.slice(0, equals), value: word.slice(equals + 1) }];
  }
  const given: Given[] = [];
  const letters = word.startsWith('-') ? word.slice(1) : '';
  for (const [at, letter] of letters.split('').entries()) {
    const rest = letters.slice(at + 1);
    if (rest !== '' && (rest.startsWith('=') || valued.has(`-${letter}`)))
      return [...given, { name: `-${letter}`, value: rest.replace(/^=/, '') }];
    given.push({ name: `-${letter}` });
  }
  return given;
}

/** Parses a command line. Error: `usage`, saying what is wrong and what was probably meant. */
export async function parse(command: CommandSpec, argv: readonly string[]): Promise<Arguments> {
  return parseQuickly(command, argv) ?? (await parseFully(command, argv));
}

/** Parses with yargs. Error: `usage`, as above. */
async function parseFully(command: CommandSpec, argv: readonly string[]): Promise<Arguments> {
  refuseValues(command, argv);
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
      // As in git, what follows an option that takes a value is its value: `-m -fix`.
      'nargs-eats-options': true,
    });
  for (const [name, spec] of Object.entries({ ...command.options, ...globalOptions })) {
    parser.option(name, {
      type: spec.type,
      ...(spec.type === 'string' ? { nargs: 1 } : {}),
      ...(spec.alias === undefined ? {} : { alias: spec.alias }),
    });
  }
  let problem: string | undefined;
  parser.fail((message, error) => {
    problem = message || error?.message || 'wrong arguments';
  });
  const parsed = (await parser.parse([...argv])) as Record<string, unknown>;
  if (problem !== undefined) throw usage(command, ...explain(command, problem));
  return shape(command, parsed);
}

/** yargs would read `--dry-run=yes` as "no dry run", and restore. */
function refuseValues(command: CommandSpec, argv: readonly string[]): void {
  const specs = Object.entries({ ...command.options, ...globalOptions });
  for (const { name, value } of givenOptions(command, argv)) {
    const flag = specs.some(
      ([long, { type, alias }]) => type === 'boolean' && (name === `--${long}` || name === `-${alias}`),
    );
    if (flag && value !== undefined) throw usage(command, `${name} takes no value, but was given "${value}"`);
  }
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
  if (after.length > 0 && !command.paths)
    throw usage(command, `there are no paths to give: ${after.join(' ')}`);
  return { options, operands, paths: after };
}

function usage(command: CommandSpec, problem: string, ...hints: string[]): PitrError {
  return new PitrError('usage', `git pitr ${command.name}: ${problem}.`, {
    hints: [...hints, `git pitr ${command.name} -h shows its options.`],
  });
}

/** What yargs says, in words that name the option as it is typed, and what was probably meant. */
function explain(command: CommandSpec, problem: string): [problem: string, ...hints: string[]] {
  const specs = Object.entries({ ...command.options, ...globalOptions });
  const typed = (name: string) => (name.length === 1 ? `-${name}` : `--${name}`);
  const missing = /^Not enough arguments following: (.+)$/.exec(problem)?.[1];
  if (missing !== undefined) {
    const [, spec] = specs.find(([name, { alias }]) => name === missing || alias === missing) ?? [];
    return [`${typed(missing)} needs a value: ${typed(missing)} <${spec?.value ?? 'value'}>`];
  }
  const unknown = /^Unknown arguments?: (.+)$/.exec(problem)?.[1]?.split(', ');
  if (unknown === undefined) return [problem.replace(/\s+/g, ' ').replace(/\.$/, '')];
  const near = specs.flatMap(([name]) =>
    unknown.some((word) => word.length > 1 && (name.startsWith(word) || distance(name, word) <= 2))
      ? [`--${name}`]
      : [],
  );
  return [
    `there is no option ${unknown.map(typed).join(', ')}`,
    ...(near.length > 0 ? [`Did you mean ${near.join(' or ')}?`] : []),
  ];
}
