import { ExitCode } from '../errors.ts';
import { type CommandModule, type CommandSpec, findCommand } from './commands.ts';
import { givenOptions, parse } from './parse.ts';
import { reporting } from './report.ts';
import { unknownCommand } from './suggest.ts';
import { openTerminal, type Terminal } from './terminal.ts';

/** The whole program: finds the command and runs it. `start.ts` comes before it, for what hooks run. */

const modules: Readonly<Record<string, () => Promise<CommandModule>>> = {
  init: () => import('./commands/init.ts'),
  snapshot: () => import('./commands/snapshot.ts'),
  list: () => import('./commands/list.ts'),
  show: () => import('./commands/show.ts'),
  diff: () => import('./commands/diff.ts'),
  history: () => import('./commands/history.ts'),
  restore: () => import('./commands/restore.ts'),
  refs: () => import('./commands/refs.ts'),
  verify: () => import('./commands/verify.ts'),
  doctor: () => import('./commands/doctor.ts'),
  undo: () => import('./commands/undo.ts'),
  prune: () => import('./commands/prune.ts'),
  pin: async () => (await import('./commands/annotate.ts')).pin,
  unpin: async () => (await import('./commands/annotate.ts')).unpin,
  annotate: () => import('./commands/annotate.ts'),
  guard: () => import('./commands/guard.ts'),
  hooks: () => import('./commands/hooks.ts'),
  'shell-init': () => import('./commands/shellInit.ts'),
};

export async function main(argv: readonly string[]): Promise<number> {
  const words = givenOptions(findCommand(argv[0] ?? ''), argv.slice(1)).map(({ name }) => name);
  const terminal = openTerminal({
    json: words.includes('--json'),
    quiet: words.includes('--quiet') || words.includes('-q'),
  });
  return reporting(terminal, () => dispatch(argv, words, terminal));
}

async function dispatch(
  argv: readonly string[],
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === 'version')
    return show(`git-pitr ${(await import('./version.ts')).version}`);
  if (name === undefined || name === '-h' || name === '--help' || name === 'help') {
    const about = name === 'help' ? rest.find((word) => !word.startsWith('-')) : undefined;
    const { helpFor, overview } = await import('./help.ts');
    return show(about === undefined ? overview() : helpFor(requireCommand(about)));
  }
  const command = requireCommand(name);
  if (words.includes('-h') || words.includes('--help'))
    return show((await import('./help.ts')).helpFor(command));
  const module = await moduleOf(command);
  return module.run(await parse(command, rest), terminal);
}

function requireCommand(name: string): CommandSpec {
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  return command;
}

/** Text that was asked for by name, and so is printed under --json and --quiet too. */
function show(text: string): number {
  openTerminal({ json: false, quiet: false }).print(text);
  return ExitCode.done;
}

function moduleOf(command: CommandSpec): Promise<CommandModule> {
  const load = modules[command.name];
  if (load === undefined) throw unknownCommand(command.name);
  return load();
}
