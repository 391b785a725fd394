/** Counts the processes that a command starts, without a debugger: git tells of itself, and `sync` is wrapped. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type PitrResult, pitr } from './cli.ts';
import { scratchFolder } from './scratch.ts';

export interface Counted {
  result: PitrResult;
  /** Each process that was started, the program's own left out: its command line. */
  started: string[];
}

/** Runs the command and lists every process it started: git's (also those git starts itself) and `sync`. */
export function countProcesses(cwd: string, args: readonly string[]): Counted {
  const folder = scratchFolder();
  const events = path.join(folder, 'events');
  const bin = path.join(folder, 'bin');
  for (const dir of [events, bin]) mkdirSync(dir);
  // git-pitr hides GIT_TRACE2_* from git; the same setting in a global configuration file reaches it.
  const config = path.join(folder, 'gitconfig');
  writeFileSync(config, `[trace2]\n\teventTarget = ${events}\n`);
  const log = path.join(folder, 'sync');
  writeFileSync(log, '');
  const wrapper = path.join(bin, 'sync');
  writeFileSync(wrapper, `#!/bin/sh\necho "sync $*" >>'${log}'\nPATH="\${PATH#*:}"\nexec sync "$@"\n`);
  chmodSync(wrapper, 0o755);
  const result = pitr(cwd, args, {
    expectCode: 'any',
    env: { GIT_CONFIG_GLOBAL: config, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
  });
  return {
    result,
    started: [...readdirSync(events).map((name) => startOf(path.join(events, name))), ...linesOf(log)],
  };
}

/** The command line that a trace begins with (api-trace2, "start"). */
function startOf(file: string): string {
  const start = linesOf(file)
    .map((line) => JSON.parse(line) as { event: string; argv?: string[] })
    .find(({ event }) => event === 'start');
  return start?.argv?.join(' ') ?? `a trace without a start: ${file}`;
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
