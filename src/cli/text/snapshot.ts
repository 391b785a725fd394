import { currentTime } from '../../system/clock.ts';
import { formatAge, formatInstant, type Instant } from '../../timeline/instant.ts';
import type { Snapshot, Squashed } from '../../timeline/snapshot.ts';
import type { Terminal } from '../terminal.ts';

/** Snapshots as text. */

export function describeTime(time: string): string {
  const epochMs = Date.parse(time);
  const { east, text } = offsetOf(epochMs);
  const local = epochMs + east;
  const hour = Math.floor(local / 3_600_000);
  const inHour = local - hour * 3_600_000;
  return `${hourText(hour)}:${two[Math.floor(inHour / 60_000)]}:${two[Math.floor(inHour / 1000) % 60]} ${text}`;
}

const two = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, '0'));

/** "2026-11-20 14", by hours since 1970 of the clock on the wall. */
const hours = new Map<number, string>();

function hourText(hour: number): string {
  const known = hours.get(hour);
  if (known !== undefined) return known;
  const text = new Date(hour * 3_600_000).toISOString().slice(0, -11).replace('T', ' ');
  hours.set(hour, text);
  return text;
}

interface Offset {
  /** Milliseconds east of UTC. */
  east: number;
  text: string;
}

/** By quarters of an hour since 1970: where clocks change, they change at the end of one. A list asks 10,000 times. */
const offsets = new Map<number, Offset>();

function offsetOf(epochMs: number): Offset {
  const quarter = Math.floor(epochMs / 900_000);
  const known = offsets.get(quarter);
  if (known !== undefined) return known;
  const minutes = -new Date(epochMs).getTimezoneOffset();
  const pad = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const text = `${minutes < 0 ? '-' : '+'}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`;
  const found = { east: minutes * 60_000, text };
  offsets.set(quarter, found);
  return found;
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
export function titleOf({ message }: Snapshot): string {
  const end = message.search(/[\r\n]/);
  return end === -1 ? message : message.slice(0, end);
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
  const { id, time, type, trigger, changes } = snapshot;
  const changed = describeChanges(changes).padEnd(12);
  const kind = (trigger === 'manual' ? type : `${type}/${trigger}`).padEnd(18);
  const marks = isPlain(snapshot) ? '' : marksOf(snapshot);
  const title = titleOf(snapshot);
  const tail = title === '' || marks === '' ? title + marks : `${title} ${marks}`;
  return `${terminal.paint('yellow', id)}  ${describeTime(time)}  ${kind}  ${changed}  ${tail}`.trimEnd();
}

/** True when there is nothing to mark, which is so for most of 10,000. */
function isPlain({ pinned, operation, databases, squashed, skipped }: Snapshot): boolean {
  return (
    !pinned &&
    operation === undefined &&
    squashed === undefined &&
    databases.length === 0 &&
    skipped.length === 0
  );
}

function marksOf({ pinned, operation, databases, squashed, skipped }: Snapshot): string {
  const marks = [
    pinned ? 'pinned' : '',
    operation === undefined ? '' : `in ${withArticle(operation)}`,
    databases.length === 0 ? '' : `db:${databases.map(({ name }) => name).join(',')}`,
    squashed === undefined ? '' : describeSquashed(squashed),
    skipped.length > 0 ? `${skipped.length} left out` : '',
  ];
  return `[${marks.filter(Boolean).join(' ')}]`;
}

/** "+166 folded, 2026-11-01 to 2026-11-03": what a prune dropped between this one and the one before it. */
function describeSquashed({ count: folded, from, to }: Squashed): string {
  const [first, last] = [from, to].map((time) => describeTime(time).slice(0, 10));
  return `+${folded} folded, ${first === last ? first : `${first} to ${last}`}`;
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
  if (snapshot.squashed !== undefined) {
    const { count: folded, from, to, types } = snapshot.squashed;
    const each = Object.entries(types).map(([type, number]) => `${number} ${type}`);
    lines.push(
      `Folded in: ${count(folded, 'snapshot')} from ${describeTime(from)} to ${describeTime(to)} (${each.join(', ')})`,
    );
  }
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
