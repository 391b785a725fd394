import { configKeys } from '../config/keys.ts';
import { exitCodes, files, selectors, times, variables } from './about.ts';
import { type CommandSpec, commands, globalOptions } from './commands.ts';
import { optionName, usageOf } from './help.ts';

/** docs/commands.md, made from the tables that the program itself is made from (`npm run docs`). */
export function commandReference(): string {
  return [
    '# Commands',
    '',
    '<!-- Made from src/cli and src/config by `npm run docs`; do not edit. -->',
    '',
    'Every command has these options:',
    '',
    ...table(['option', 'meaning'], optionRows(globalOptions)),
    '',
    ...commands.flatMap(commandSection),
    '## Snapshots',
    '',
    'Where a command takes a `<snapshot>`:',
    '',
    ...table(['written', 'means'], codeFirst(selectors)),
    '',
    '## Times',
    '',
    'Where a command takes a `<time>`; `@{…}` around it is allowed. A time that can be read in two ways is an error.',
    '',
    ...table(['written', 'means'], codeFirst(times)),
    '',
    '## Configuration',
    '',
    'Set with `git config`; the last column says what may stand in a tracked `.pitrconfig` too.',
    '',
    ...table(
      ['key', 'default', 'meaning', '.pitrconfig'],
      configKeys.map(({ key, value, otherwise, list, tracked, describe }) => [
        `${code(key)} = ${value}${list === true ? ' (a list)' : ''}`,
        otherwise === '' ? '' : code(otherwise),
        prose(describe),
        tracked ? 'yes' : 'no',
      ]),
    ),
    '',
    '## Environment',
    '',
    ...table(['variable', 'meaning'], codeFirst(variables)),
    '',
    '## Exit codes',
    '',
    ...table(['code', 'meaning'], mapProse(exitCodes)),
    '',
    '## Files',
    '',
    ...table(['where', 'what'], codeFirst(files)),
    '',
  ].join('\n');
}

function commandSection(command: CommandSpec): string[] {
  return [
    `## git pitr ${command.name}`,
    '',
    '```',
    usageOf(command),
    '```',
    '',
    prose(command.description),
    '',
    ...(Object.keys(command.options).length === 0
      ? []
      : [...table(['option', 'meaning'], optionRows(command.options)), '']),
    '```sh',
    ...command.examples.flatMap(([example, meaning]) => [`# ${meaning}`, example]),
    '```',
    '',
    ...table(['exit code', 'meaning'], mapProse(Object.entries(command.exitCodes))),
    '',
  ];
}

function optionRows(options: CommandSpec['options']): string[][] {
  return Object.entries(options).map(([name, spec]) => [
    code(optionName(name, spec).trim()),
    prose(spec.describe),
  ]);
}

function mapProse(rows: readonly (readonly [string, string])[]): string[][] {
  return rows.map(([name, meaning]) => [name, prose(meaning)]);
}

/** Rows whose first cell is one name or several. */
function codeFirst(rows: readonly (readonly [string, string])[]): string[][] {
  return rows.map(([names, meaning]) => [names.split(', ').map(code).join(', '), prose(meaning)]);
}

function code(text: string): string {
  return `\`${text}\``;
}

/** Text as it is: `<name>` would be a tag, and `*` the start of italics. */
function prose(text: string): string {
  return text.replace(/[<*_]/g, '\\$&');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`.replaceAll('  ', ' ');
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)];
}
