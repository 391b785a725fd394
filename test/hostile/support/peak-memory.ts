import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { command } from '../../support/cli.ts';
import { cleanEnvironment } from '../../support/environment.ts';
import { scratchFolder } from '../../support/scratch.ts';

/** Runs a command and tells the most memory that its Node process had resident, in MiB (VmHWM at its end). */
export function peakMemory(cwd: string, args: readonly string[]): { peakMiB: number; stdout: string } {
  const report = path.join(scratchFolder(), 'peak');
  const hook = path.join(scratchFolder(), 'hook.cjs');
  const script = `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(report)}, String(process.resourceUsage().maxRSS)))`;
  execFileSync('tee', [hook], { input: script, stdio: ['pipe', 'ignore', 'inherit'] });
  const stdout = execFileSync(process.execPath, ['--require', hook, command, ...args], {
    cwd,
    env: cleanEnvironment(),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  return { peakMiB: Number(readFileSync(report, 'utf8')) / 1024, stdout };
}
