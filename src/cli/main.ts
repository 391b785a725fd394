import { ExitCode, messageOf, PitrError } from '../errors.ts';
import { type Arguments, type CommandSpec, findCommand } from './commands.ts';
import { beginHere } from './open.ts';
import { parseFully, parseQuickly, unknownCommand } from './parse.ts';
import { openTerminal } from './terminal.ts';

/** The `git-pitr` program: finds the command, runs it, and maps every error to its exit code in one place. */

/** Commands that hooks run and that take no operands: they start without loading yargs. */
const quick = new Set(['snapshot']);

async function main(argv: readonly string[]): Promise<number> {
  const beforePaths = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const terminal = openTerminal({
    json: beforePaths.includes('--json'),
    quiet: beforePaths.includes('--quiet') || beforePaths.includes('-q'),
  });
  try {
    return await dispatch(argv, beforePaths, terminal);
  } catch (error) {
    const known = error instanceof PitrError ? error : unexpected(error);
    terminal.fail(known);
    return known.exitCode;
  }
}

async function dispatch(
  argv: readonly string[],
  beforePaths: readonly string[],
  terminal: ReturnType<typeof openTerminal>,
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
  if (quick.has(name)) beginHere();
  const module = command.load();
  module.catch(() => {}); // awaited below; a parse error comes first
  const args = await parse(command, rest);
  return (await module).run(args, terminal);
}

async function parse(command: CommandSpec, argv: readonly string[]): Promise<Arguments> {
  const quickly = quick.has(command.name) ? parseQuickly(command, argv) : undefined;
  return quickly ?? parseFully(command, argv);
}

/** An error nobody foresaw: a defect, or the machine (disk, memory). */
function unexpected(error: unknown): PitrError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const known =
    code === undefined
      ? undefined
      : {
          ENOSPC: 'The disk is full.',
          EROFS: 'The file system is read-only.',
          EACCES: 'Permission was denied.',
        }[code];
  const hints =
    known === undefined
      ? ['This is a defect of git-pitr; PITR_DEBUG=1 shows where.']
      : ['Nothing was recorded or restored beyond what was reported.'];
  if (process.env['PITR_DEBUG'] !== undefined) hints.push(error instanceof Error ? (error.stack ?? '') : '');
  return new PitrError('failed', known === undefined ? messageOf(error) : `${known} (${messageOf(error)})`, {
    hints,
    cause: error,
  });
}

process.exitCode = await main(process.argv.slice(2));
