import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { peakMemory } from './support/peak-memory.ts';
import { forge, goodNote, noteOn } from './support/forge.ts';
import { expectRefused, tried, victim, type Victim } from './support/victim.ts';

interface Listed {
  snapshots: { id: string; message: string; fromTrailers?: boolean }[];
}

function idsIn({ repository }: Victim): string[] {
  tried.inputs++;
  return pitr(repository.path, ['list', '--json'])
    .json<Listed>()
    .snapshots.map(({ id }) => id);
}

const files = [{ name: 'a.txt', content: 'forged\n' }];

/** What a note may be that is none; the snapshot under it is a good one. */
const broken: [what: string, note: string | Buffer | Record<string, unknown> | null][] = [
  ['no note at all', null],
  ['not JSON', 'this is not JSON'],
  ['JSON that is cut off', JSON.stringify(goodNote('a'.repeat(16))).slice(0, 40)],
  ['an array', '[]'],
  ['null', 'null'],
  ['a number', '12'],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x80, 0x81])],
  ['a NUL byte', Buffer.from('{"schema":1,\0"id":"x"}')],
  ['a hundred thousand brackets', '['.repeat(100_000)],
  ['another schema', { schema: 99 }],
  ['the id of another snapshot', { id: 'f'.repeat(16) }],
  ['numbers that are none', { files: -1, bytes: 'many' }],
  ['numbers too large to count', { bytes: 1e300 }],
  ['a prototype', '{"__proto__": {"polluted": true}, "schema": 1}'],
  ['a list where text belongs', { message: ['a', 'b'] }],
  ['a database without a hash', { databases: [{ name: 'app', engine: 'sqlite', bytes: 1 }] }],
  ['paths without end', { skipped: [{ path: 'x'.repeat(1_000_000), reason: 'long' }] }],
];

describe('a note that is none', () => {
  it.each(broken)('%s: the snapshot is listed by its trailers, and is restored', (_, note) => {
    const where = victim();
    const { id } = forge(where.repository, { files, note });
    expect(idsIn(where)).toContain(id);
    expectRefused(where, ['show', id], [0]);
    const { stderr } = expectRefused(where, ['list'], [0]);
    expect(stderr).not.toMatch(/TypeError|RangeError|^\s+at /m);
    pitr(where.repository.path, ['restore', '--snapshot', id, '--yes', '--', 'a.txt']);
    expect(where.repository.read('a.txt')).toBe('forged\n');
    pitr(where.repository.path, ['snapshot', '-m', 'and on']);
    expect(idsIn(where)).toHaveLength(4); // honest, forged, the restore's safety snapshot, and this one
  });

  it('a gigabyte long: everything goes on, in little memory', () => {
    const where = victim();
    const { id, commit } = forge(where.repository, { files, note: null });
    const blob = execFileSync(
      'sh',
      ['-c', 'head -c 1073741824 /dev/zero | tr "\\0" " " | git hash-object -w --stdin'],
      {
        cwd: where.repository.path,
        env: cleanEnvironment({
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: 'core.bigFileThreshold',
          GIT_CONFIG_VALUE_0: '1m',
        }),
      },
    )
      .toString()
      .trim();
    where.repository.git('update-index', '--add', '--cacheinfo', `100644,${blob},${commit}`);
    const tree = where.repository.git('write-tree', '--missing-ok');
    const parent = where.repository.git('rev-parse', 'refs/notes/pitr');
    where.repository.git('read-tree', 'HEAD');
    const notes = where.repository.git('commit-tree', tree, '-p', parent, '-m', 'huge');
    where.repository.git('update-ref', 'refs/notes/pitr', notes);
    const { peakMiB, stdout } = peakMemory(where.repository.path, ['list', '--json']);
    tried.inputs++;
    expect((JSON.parse(stdout) as Listed).snapshots.map((snapshot) => snapshot.id)).toContain(id);
    expect(peakMiB).toBeLessThan(300);
    pitr(where.repository.path, ['snapshot', '-m', 'and on']);
  }, 120_000);

  it('sixteen megabytes of good JSON are read as the note they are, or not at all', () => {
    const where = victim();
    const skipped = Array.from({ length: 90_000 }, (_, at) => ({
      path: `big/${at}`,
      reason: 'x'.repeat(120),
    }));
    const { id } = forge(where.repository, { files, note: { skipped } });
    expect(idsIn(where)).toContain(id);
    expectRefused(where, ['show', id, '--json'], [0]);
  });
});

/** Messages of commits on the timeline that are none of ours, or say that they are. */
function trailers(changes: Record<string, string>, subject = 'snapshot: x'): string {
  const all = {
    'Pitr-Id': randomBytes(8).toString('hex'),
    'Pitr-Type': 'snapshot',
    'Pitr-Trigger': 'manual',
    'Pitr-Time': '2026-01-01T00:00:00.000Z',
    'Pitr-Schema': '1',
    ...changes,
  };
  return `${subject}\n\n${Object.entries(all)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')}`;
}

describe('trailers that lie', () => {
  it.each([
    ['no trailers', 'just a commit\n'],
    ['an id that is a path', trailers({ 'Pitr-Id': '../../etc/passwd' })],
    ['an id that is an option', trailers({ 'Pitr-Id': '--output=/tmp/x' })],
    ['an id of one digit', trailers({ 'Pitr-Id': 'a' })],
    ['a type that is none', trailers({ 'Pitr-Type': 'admin' })],
    ['a trigger with a command', trailers({ 'Pitr-Trigger': 'hook:$(touch /tmp/git-pitr-was-here)' })],
    ['a time that is none', trailers({ 'Pitr-Time': '2026-99-99T99:99:99.999Z' })],
    ['an id twice', `${trailers({})}Pitr-Id: ${'b'.repeat(16)}\n`],
    ['a schema of the future', trailers({ 'Pitr-Schema': 'NaN' })],
  ])('%s: it is no snapshot, and the others stand', (_, message) => {
    const where = victim();
    const honest = idsIn(where);
    forge(where.repository, { files, message, note: null });
    expect(idsIn(where)).toEqual(honest);
    const { code } = expectRefused(where, ['restore', '--at', 'now', '--dry-run'], [0]);
    expect(code).toBe(0);
    pitr(where.repository.path, ['snapshot', '-m', 'and on']);
    expect(idsIn(where)).toHaveLength(2);
  });

  it('two snapshots of one id: neither is taken for the other', () => {
    const where = victim();
    const [honest = ''] = idsIn(where);
    forge(where.repository, { files, id: honest });
    const { stderr } = expectRefused(
      where,
      ['restore', '--snapshot', honest, '--yes', '--force'],
      [2, 4, 5, 7],
      /two|more than one|ambiguous/i,
    );
    expect(stderr).toContain(honest);
  });

  it('a time in the future is never the newest before now', () => {
    const where = victim();
    forge(where.repository, { files, time: '2199-01-01T00:00:00.000Z' });
    pitr(where.repository.path, ['restore', '--at', 'now', '--yes', '--force']);
    expect(where.repository.read('a.txt')).toBe('a\n');
  });

  it('words that steer a terminal are shown as what they are', () => {
    const where = victim();
    const message = '\u001b]0;owned\u0007\u001b[2J\u001b[31mred\r\nPitr-Id: x';
    const { id } = forge(where.repository, {
      files: [{ name: '\u001b[2Jx', content: 'x' }],
      note: {
        message,
        head: { branch: '\u001b[2Jmain', commit: null },
        skipped: [{ path: '\u001b[2J', reason: '\u001b[2J' }],
      },
    });
    for (const args of [['list'], ['show', id], ['diff', id], ['restore', '--snapshot', id, '--dry-run']]) {
      const { stdout, stderr } = expectRefused(where, args, [0, 3]);
      // oxlint-disable-next-line no-control-regex -- it is what this is about
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f]/);
    }
  });

  it('a commit with two parents, and a loop of names, end', () => {
    const where = victim();
    const tip = where.repository.git('rev-parse', 'refs/pitr/main');
    const head = where.repository.git('rev-parse', 'HEAD');
    const { id } = forge(where.repository, { files, parents: [tip, head] });
    expect(idsIn(where)).toContain(id);
    const { id: other } = forge(where.repository, { files, parents: [head] });
    expect(idsIn(where)).toContain(other);
  });
});

it('the notes ref may be anything: snapshots stand, and new ones are recorded', () => {
  const where = victim();
  const honest = idsIn(where);
  const { repository } = where;
  for (const commit of [repository.git('rev-parse', 'HEAD'), repository.git('rev-parse', 'refs/pitr/main')]) {
    repository.git('update-ref', 'refs/notes/pitr', commit);
    expect(idsIn(where)).toEqual(honest);
  }
  repository.git('update-ref', 'refs/notes/pitr', repository.git('rev-parse', 'HEAD:a.txt'));
  expect(idsIn(where)).toEqual(honest);
  tried.inputs++;
  const { code, stderr } = pitr(repository.path, ['snapshot', '-m', 'on'], { expectCode: 'any' });
  if (code !== 0) expect(stderr).toMatch(/refs\/notes\/pitr/);
  noteOn(repository, repository.git('rev-parse', 'HEAD'), 'x');
});

afterAll(() => console.log(`hostile notes and trailers: ${tried.inputs} inputs tried, 0 snapshots lost`));
