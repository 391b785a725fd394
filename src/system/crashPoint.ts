/**
 * Named steps at which a crash test may end the process, as SIGKILL does: nothing is cleaned up. Without
 * `PITR_CRASH_AT` this is one comparison.
 */
export function crashPoint(name: string): void {
  if (process.env['PITR_CRASH_AT'] === name) process.kill(process.pid, 'SIGKILL');
}
