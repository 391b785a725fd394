import { type ConfigKey, configKeys } from '../config/keys.ts';
import { exitCodes, files, selectors, times, variables } from './about.ts';
import { type CommandSpec, commands, globalOptions } from './commands.ts';
import { optionName, usageOf } from './help.ts';

/**
 * docs/man/git-pitr.1, made from the tables that the program itself is made from (`npm run docs`). git shows it for
 * `git help pitr` and `git pitr --help`. Its language is man(7).
 */
export function manPage(version: string): string {
  return [
    '.\\" Made from src/cli and src/config by "npm run docs"; do not edit.',
    `.TH GIT\\-PITR 1 "" "git\\-pitr ${version}" "Git Manual"`,
    ...heading('NAME'),
    text('git-pitr - bring a Git working copy, and the databases beside it, back to a point in time'),
    ...heading('SYNOPSIS'),
    '.nf',
    ...commands.map((command) => mono(usageOf(command))),
    '.fi',
    ...heading('DESCRIPTION'),
    text(
      'Records snapshots of the working tree byte for byte (tracked, untracked and staged), of the refs, and consistent copies of registered SQLite databases, as commits on a ref of their own in your repository. Brings files and databases back to one of them. Every restore first records the present state, and git pitr undo goes back to it. HEAD, the branches and the index are not touched, unless you ask for the index.',
    ),
    ...heading('COMMON OPTIONS'),
    ...optionList(globalOptions),
    ...heading('COMMANDS'),
    ...commands.flatMap(commandSection),
    ...heading('SNAPSHOTS'),
    text('Where a command takes a <snapshot>:'),
    ...definitions(selectors),
    ...heading('TIMES'),
    text(
      'Where a command takes a <time>; @{...} around it is allowed. A time that can be read in two ways is an error.',
    ),
    ...definitions(times),
    ...heading('CONFIGURATION'),
    text('Set with git config. A tracked .pitrconfig may set those marked so.'),
    ...definitions(configKeys.map((key) => [key.key, aboutKey(key)])),
    '.PP',
    ...heading('ENVIRONMENT'),
    ...definitions(variables),
    ...heading('FILES'),
    ...definitions(files),
    ...heading('EXIT STATUS'),
    ...definitions(exitCodes),
    ...heading('SEE ALSO'),
    text('git(1), git-config(1), gitignore(5)'),
    '',
  ].join('\n');
}

function commandSection(command: CommandSpec): string[] {
  return [
    `.SS ${mono(usageOf(command))}`,
    text(command.description),
    ...optionList(command.options),
    '.PP',
    'Examples:',
    ...command.examples.flatMap(([example, meaning]) => ['.TP', mono(example), text(meaning)]),
    '.PP',
    'Exit status:',
    ...definitions(Object.entries(command.exitCodes)),
  ];
}

function aboutKey({ value, otherwise, list, tracked, describe }: ConfigKey): string {
  const facts = [
    `A ${value}`,
    ...(list === true ? ['a list'] : []),
    ...(otherwise === '' ? [] : [`default ${otherwise}`]),
    ...(tracked ? ['also in .pitrconfig'] : []),
  ];
  return `${describe} (${facts.join('; ')}.)`;
}

function heading(name: string): string[] {
  return [`.SH ${name}`];
}

function optionList(options: CommandSpec['options']): string[] {
  return definitions(
    Object.entries(options).map(([name, spec]) => [optionName(name, spec).trim(), spec.describe]),
  );
}

function definitions(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, meaning]) => ['.TP', mono(name), text(meaning)]);
}

/** Something to be typed: bold, and every dash a dash that can be copied. */
function mono(code: string): string {
  return `\\fB${escaped(code).replaceAll('-', '\\-')}\\fP`;
}

/** A paragraph, on one line. A dot or quote at its start would be a request. */
function text(paragraph: string): string {
  return escaped(paragraph)
    .replace(/(^|[\s(])-(?=-?[a-zA-Z])/g, '$1\\-')
    .replace(/(\\-)-/g, '\\-\\-')
    .replace(/^[.']/, '\\&$&');
}

/** Characters that roff would take for its own, or print as other ones. */
function escaped(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replaceAll('`', '\\(ga')
    .replaceAll('"', '\\(dq')
    .replaceAll("'", '\\(aq');
}
