import { currentTime } from '../../system/clock.ts';
import { formatAge, formatInstant, type Instant } from '../../timeline/instant.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import type { Terminal } from '../terminal.ts';

/** Snapshots as text. */

export function describeTime(time: string): string {
  const date = new Date(time);
  const pad = (value: number) => String(value).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())} ${zone}`;
}

export function describeBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}

function describeChanges({ added, modified, deleted }: Snapshot['changes']): string {
  return `+${added} ~${modified} -${deleted}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

function withArticle(word: string): string {
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`;
}

/** The first line of a message: in a list a second one could pass for a snapshot. */
function titleOf({ message }: Snapshot): string {
  return message.split(/[\r\n]/, 1)[0] ?? '';
}

/** Which snapshot a time or a selector led to: what every command that goes to one says first. */
export function snapshotEcho(snapshot: Snapshot, instant: Instant | undefined, terminal: Terminal): string {
  const age = formatAge(Date.parse(snapshot.time), currentTime());
  const title = titleOf(snapshot) === '' ? '' : `: ${titleOf(snapshot)}`;
  const found = `Snapshot ${terminal.paint('yellow', snapshot.id)} of ${describeTime(snapshot.time)} (${age} ago)${title}`;
  return instant === undefined ? found : `At ${formatInstant(instant)}:\n${found}`;
}

/** One line of `list`. */
export function snapshotLine(snapshot: Snapshot, terminal: Terminal): string {
  const databases = snapshot.databases.map(({ name }) => name).join(',');
  const marks = [
    snapshot.pinned ? 'pinned' : '',
    snapshot.operation === undefined ? '' : `in ${withArticle(snapshot.operation)}`,
    databases === '' ? '' : `db:${databases}`,
    snapshot.skipped.length > 0 ? `${snapshot.skipped.length} left out` : '',
  ].filter(Boolean);
  const changes = describeChanges(snapshot.changes).padEnd(12);
  const kind = `${snapshot.type}${snapshot.trigger === 'manual' ? '' : `/${snapshot.trigger}`}`.padEnd(18);
  const tail = [titleOf(snapshot), marks.length > 0 ? `[${marks.join(' ')}]` : ''].filter(Boolean).join(' ');
  return `${terminal.paint('yellow', snapshot.id)}  ${describeTime(snapshot.time)}  ${kind}  ${changes}  ${tail}`.trimEnd();
}

/** What only the note says. */
function noteLines({ head, files, bytes, changes }: Snapshot): string[] {
  return [
    `HEAD:      ${head.branch ?? 'detached'}${head.commit === null ? ' (no commit yet)' : ` at ${head.commit.slice(0, 10)}`}`,
    `Files:     ${files}, ${describeBytes(bytes)}`,
    `Changes:   ${changes.added} added, ${changes.modified} modified, ${changes.deleted} deleted against the snapshot before`,
  ];
}

/** All of a snapshot, for `show`. */
export function snapshotDetails(snapshot: Snapshot, terminal: Terminal): string {
  const lines = [
    `${terminal.paint('yellow', `snapshot ${snapshot.id}`)}${snapshot.pinned ? ' (pinned)' : ''}`,
    `Time:      ${describeTime(snapshot.time)}`,
    `Type:      ${snapshot.type}, triggered by ${snapshot.trigger}`,
    ...(snapshot.operation === undefined
      ? []
      : [`State:     in the middle of ${withArticle(snapshot.operation)}`]),
    `Commit:    ${snapshot.commit}`,
    ...(snapshot.fromTrailers === true ? [] : noteLines(snapshot)),
  ];
  if (snapshot.verified !== undefined) {
    const { time, ok, deep } = snapshot.verified;
    lines.push(
      `Verified:  ${describeTime(time)}${deep ? ', deep' : ''}: ${ok ? 'whole' : terminal.paint('red', 'damaged')}`,
    );
  }
  for (const { name, engine, bytes, sha256 } of snapshot.databases)
    lines.push(`Database:  ${name} (${engine}), ${describeBytes(bytes)}, sha256 ${sha256.slice(0, 16)}`);
  for (const { name, reason } of snapshot.failedDatabases)
    lines.push(terminal.paint('red', `Not recorded: database ${name}: ${reason}`));
  for (const { path, reason } of snapshot.skipped)
    lines.push(terminal.paint('yellow', `Left out:  ${path}: ${reason}`));
  if (snapshot.fromTrailers === true)
    lines.push(
      terminal.paint(
        'yellow',
        'Its note is lost: this is what its commit message says. Its files and databases can be restored.',
      ),
    );
  if (snapshot.message !== '') lines.push('', ...snapshot.message.split('\n').map((line) => `    ${line}`));
  return lines.join('\n');
}
