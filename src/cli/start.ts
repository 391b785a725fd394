import { type CommandModule, commands } from './commands.ts';
import { run as snapshot } from './commands/snapshot.ts';
import { beginHere, earlyStart } from './open.ts';
import { parseQuickly } from './parseQuickly.ts';
import { reporting } from './report.ts';
import { openTerminal } from './terminal.ts';

/**
 * Where the program starts. `snapshot` runs in every hook, so it has a bundle of its own and no yargs (40 ms to load);
 * `list` is asked for often, and `prune` runs after a snapshot: they have theirs too. Everything else, and every unusual
 * command line, goes to `main.ts`. Measured in docs/decisions/0003.
 */
async function start(argv: readonly string[]): Promise<number> {
  const command = commands.find(({ name }) => name === argv[0] && (name === 'snapshot' || name in apart));
  const args = command === undefined ? undefined : parseQuickly(command, argv.slice(1));
  if (args === undefined || args.options['help'] === true) return (await import('./main.ts')).main(argv);
  const terminal = openTerminal({
    json: args.options['json'] === true,
    quiet: args.options['quiet'] === true,
  });
  const code = await reporting(terminal, async () => {
    const load = apart[argv[0] ?? ''];
    if (load !== undefined) return (await load()).run(args, terminal);
    beginHere();
    return snapshot(args, terminal);
  });
  earlyStart()?.lock.release(); // when the command never came to it
  return code;
}

const apart: Readonly<Record<string, () => Promise<CommandModule>>> = {
  list: () => import('./commands/list.ts'),
  prune: () => import('./commands/prune.ts'),
};

async function run(): Promise<void> {
  process.exitCode = await start(process.argv.slice(2));
}

// No top-level await: this file becomes CommonJS, which starts 4 ms faster than an ES module.
void run();
