import { isSnapshotType, type Snapshot, type SnapshotType, triggerPattern } from './snapshot.ts';

/** The commit message of a snapshot: a subject for people, then the trailers that alone rebuild a usable catalog. */

export interface Trailers {
  id: string;
  type: SnapshotType;
  trigger: string;
  /** RFC 3339, UTC, milliseconds. */
  time: string;
  schema: number;
  /** The commit that keeps what the refs pointed to (anchor.ts). */
  anchor?: string;
  subject: string;
}

export function formatMessage(
  snapshot: Pick<Snapshot, 'id' | 'type' | 'trigger' | 'time' | 'message' | 'changes' | 'anchor'>,
): string {
  const trailers = [
    `Pitr-Id: ${snapshot.id}`,
    `Pitr-Type: ${snapshot.type}`,
    `Pitr-Trigger: ${snapshot.trigger}`,
    `Pitr-Time: ${snapshot.time}`,
    'Pitr-Schema: 1',
    ...(snapshot.anchor === undefined ? [] : [`Pitr-Anchor: ${snapshot.anchor}`]),
  ];
  return `${formatSubject(snapshot)}\n\n${trailers.join('\n')}\n`;
}

function formatSubject({ type, message, changes }: Pick<Snapshot, 'type' | 'message' | 'changes'>): string {
  // Only the first line: a message must not be able to look like trailers.
  const first =
    message
      .split(/[\r\n]/, 1)[0]
      ?.trim()
      .slice(0, 200) ?? '';
  if (first !== '') return `${type}: ${first}`;
  return `${type}: ${changes.added} added, ${changes.modified} modified, ${changes.deleted} deleted`;
}

/** What `formatMessage` writes, which is what nearly every message is: told in a fifth of the time. */
const usual =
  /\n\nPitr-Id: ([0-9a-f]{10,64})\nPitr-Type: ([a-z]+)\nPitr-Trigger: ([\w:.-]{1,72})\nPitr-Time: ([\d:.TZ-]{24})\nPitr-Schema: 1\s*$/;

/** Reads the trailers of a commit message; undefined when it is not a snapshot's. Never trusts what it finds. */
export function parseMessage(text: string): Trailers | undefined {
  const start = text.lastIndexOf('\n\nPitr-Id: ');
  const [, id = '', type = '', trigger = '', time = ''] =
    start === -1 ? [] : (usual.exec(text.slice(start)) ?? []);
  if (!isSnapshotType(type) || !triggerPattern.test(trigger) || !isTime(time)) return parseUnusual(text);
  const lineEnd = text.indexOf('\n');
  return { id, type, trigger, time, schema: 1, subject: text.slice(0, lineEnd) };
}

function parseUnusual(text: string): Trailers | undefined {
  const paragraphs = text.trimEnd().split(/\n\n+/);
  const block = paragraphs.at(-1) ?? '';
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const match = /^(Pitr-[A-Za-z]+): (.{1,200})$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined || fields.has(match[1])) return undefined;
    fields.set(match[1], match[2]);
  }
  const id = fields.get('Pitr-Id') ?? '';
  const type = fields.get('Pitr-Type') ?? '';
  const trigger = fields.get('Pitr-Trigger') ?? '';
  const time = fields.get('Pitr-Time') ?? '';
  const schema = Number(fields.get('Pitr-Schema'));
  if (
    !/^[0-9a-f]{10,64}$/.test(id) ||
    !isSnapshotType(type) ||
    !triggerPattern.test(trigger) ||
    !isTime(time)
  )
    return undefined;
  if (!Number.isInteger(schema) || schema < 1) return undefined;
  const anchor = fields.get('Pitr-Anchor') ?? '';
  return {
    id,
    type,
    trigger,
    time,
    schema,
    ...(/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(anchor) ? { anchor } : {}),
    subject: (paragraphs[0] ?? '').split('\n')[0] ?? '',
  };
}

function isTime(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/.test(text) && !Number.isNaN(Date.parse(text));
}
