/**
 * Named steps at which a crash test may end the process, as SIGKILL does: nothing is cleaned up. A name says what has
 * just happened. `PITR_CRASH_AT=file-applied` ends it the first time, `file-applied#3` the third. Read once: this is
 * called for every file of a restore.
 */
const [wanted, turn = '1'] = process.env['PITR_CRASH_AT']?.split('#') ?? [];
let left = Number(turn);

export function crashPoint(name: string): void {
  if (wanted === undefined || name !== wanted || --left > 0) return;
  process.kill(process.pid, 'SIGKILL');
}
