import { type CommandSpec, commands, globalOptions, type OptionSpec } from './commands.ts';

/** Help texts, made from the command table. */

export function helpFor(command: CommandSpec): string {
  const lines = [`usage: ${usageOf(command)}`, '', ...wrap(command.description, 78), '', 'Options:'];
  const options = Object.entries({ ...command.options, ...globalOptions });
  const names = options.map(([name, spec]) => optionName(name, spec));
  const width = Math.max(...names.map((name) => name.length)) + 2;
  for (const [index, [, spec]] of options.entries()) {
    const [first = '', ...rest] = wrap(spec.describe, 78 - width);
    lines.push(
      `  ${(names[index] ?? '').padEnd(width)}${first}`,
      ...rest.map((line) => ' '.repeat(width + 2) + line),
    );
  }
  lines.push('', 'Examples:');
  for (const [example, meaning] of command.examples) lines.push(`  ${example}`, `      ${meaning}`);
  lines.push('', 'Exit codes:');
  for (const [code, meaning] of Object.entries(command.exitCodes)) {
    const [first = '', ...rest] = wrap(meaning, 73);
    lines.push(`  ${code.padStart(3)}  ${first}`, ...rest.map((line) => ' '.repeat(7) + line));
  }
  return `${lines.join('\n')}\n`;
}

/** `git pitr show [<options>] [<snapshot>]` */
export function usageOf(command: CommandSpec): string {
  return `git pitr ${command.name} [<options>] ${command.operands}`.trimEnd();
}

/** `-m, --message <message>` */
export function optionName(name: string, spec: OptionSpec): string {
  const short = spec.alias === undefined ? '    ' : `-${spec.alias}, `;
  return `${short}--${name}${spec.value === undefined ? '' : ` <${spec.value}>`}`;
}

export function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 2;
  return [
    'usage: git pitr <command> [<options>]',
    '',
    'Brings a Git working copy, and the databases beside it, back to a point in time.',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    '',
    'git pitr <command> -h shows the options, examples and exit codes of a command.',
    '',
  ].join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
