import { ExitCode } from '../errors.ts';
import { type CommandModule, type CommandSpec, findCommand } from './commands.ts';
import { parseFully, unknownCommand } from './parse.ts';
import { reporting } from './report.ts';
import { openTerminal, type Terminal } from './terminal.ts';

/** The whole program: finds the command and runs it. `start.ts` comes before it, for what hooks run. */

const modules: Readonly<Record<string, () => Promise<CommandModule>>> = {
  init: () => import('./commands/init.ts'),
  snapshot: () => import('./commands/snapshot.ts'),
  list: () => import('./commands/list.ts'),
  show: () => import('./commands/show.ts'),
  diff: () => import('./commands/diff.ts'),
  restore: () => import('./commands/restore.ts'),
  undo: () => import('./commands/undo.ts'),
};

export async function main(argv: readonly string[]): Promise<number> {
  const beforePaths = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const terminal = openTerminal({
    json: beforePaths.includes('--json'),
    quiet: beforePaths.includes('--quiet') || beforePaths.includes('-q'),
  });
  return reporting(terminal, () => dispatch(argv, beforePaths, terminal));
}

async function dispatch(
  argv: readonly string[],
  beforePaths: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === 'version') {
    terminal.print(`git-pitr ${(await import('./version.ts')).version}`);
    return ExitCode.done;
  }
  if (name === undefined || name === '-h' || name === '--help' || name === 'help') {
    const { helpFor, overview } = await import('./help.ts');
    const about = name === 'help' && rest[0] !== undefined ? findCommand(rest[0]) : undefined;
    terminal.print(about === undefined ? overview() : helpFor(about));
    return ExitCode.done;
  }
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  if (beforePaths.slice(1).some((word) => word === '-h' || word === '--help')) {
    terminal.print((await import('./help.ts')).helpFor(command));
    return ExitCode.done;
  }
  const module = await moduleOf(command);
  return module.run(await parseFully(command, rest), terminal);
}

function moduleOf(command: CommandSpec): Promise<CommandModule> {
  const load = modules[command.name];
  if (load === undefined) throw unknownCommand(command.name);
  return load();
}
