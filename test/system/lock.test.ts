/** The lock of a line: who gets it when its holder has died, is another machine's, or is no holder at all. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PitrError } from '../../src/errors.ts';
import { type Lock, takeLock, tryLock } from '../../src/system/lock.ts';
import { thisProcess } from '../../src/system/processes.ts';
import { bundle, removeBundle } from '../databases/support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

function lockFile(): string {
  return path.join(scratchFolder(), 'lock');
}

function write(file: string, holder: unknown): void {
  writeFileSync(file, typeof holder === 'string' ? holder : JSON.stringify(holder));
}

/** A lock as another process has written it. */
function holder(changes: Record<string, unknown> = {}) {
  return { ...thisProcess(), nonce: 'abc123', purpose: 'snapshot', since: 1, ...changes };
}

function age(file: string, seconds: number): void {
  const then = new Date(Date.now() - seconds * 1000);
  utimesSync(file, then, then);
}

async function take(file: string, timeout = 0): Promise<Lock> {
  const lock = await takeLock(file, { purpose: 'restore', timeout });
  onTestFinished(() => lock.release());
  return lock;
}

async function failure(work: Promise<unknown>): Promise<PitrError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof PitrError) return error;
  throw new Error('it did not fail as it should', { cause: error });
}

/** A process that lives until it is told otherwise, or the test ends. */
async function otherProcess(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1e6)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

function startTimeOf(pid: number | undefined): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

describe('a lock that nobody holds', () => {
  test('is taken, names its holder, and is gone after release', async () => {
    const file = lockFile();
    const lock = await take(file);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      pid: process.pid,
      host: hostname(),
      purpose: 'restore',
    });
    expect(lock.diedSince).toBeUndefined();
    lock.release();
    expect(readdirSync(path.dirname(file))).toEqual([]);
  });

  test('is not removed by a release that comes after another has taken it', async () => {
    const file = lockFile();
    const lock = await take(file);
    write(file, holder({ nonce: 'other' }));
    lock.release();
    expect(existsSync(file)).toBe(true);
  });
});

describe('a lock of a live process', () => {
  test('is waited for, and then the error says who holds it', async () => {
    const file = lockFile();
    const child = await otherProcess();
    write(file, holder({ pid: child.pid, started: startTimeOf(child.pid) }));
    age(file, 100_000);
    const began = Date.now();
    const error = await failure(take(file, 300));
    expect(Date.now() - began).toBeGreaterThanOrEqual(300);
    expect(error).toMatchObject({ kind: 'busy', exitCode: 6 });
    expect(error.message).toContain(`snapshot, process ${child.pid} on ${hostname()}`);
    expect(error.hints.join('\n')).toContain(file);
    expect(tryLock(file, 'snapshot')).toBeUndefined();
    expect(readdirSync(path.dirname(file))).toEqual(['lock']);
  });

  test('is taken in the moment in which it is released', async () => {
    const file = lockFile();
    const first = await take(file);
    const second = take(file, 10_000);
    first.release();
    expect((await second).diedSince).toBeUndefined();
  });
});

describe('a lock whose holder is dead is taken over', () => {
  test('when the process has ended', async () => {
    const file = lockFile();
    const child = await otherProcess();
    const mark = holder({ pid: child.pid, started: startTimeOf(child.pid), since: 12_345 });
    child.kill('SIGKILL');
    await once(child, 'close');
    write(file, mark);
    expect((await take(file)).diedSince).toBe(12_345);
    expect(readdirSync(path.dirname(file))).toEqual(['lock']);
  });

  test('when its pid belongs to another process now', async () => {
    const file = lockFile();
    const child = await otherProcess();
    write(file, holder({ pid: child.pid, started: '1' }));
    expect((await take(file)).diedSince).toBe(1);
  });

  test('when it is a zombie that nobody waits for', async () => {
    const file = lockFile();
    // A shell that starts a child and becomes something that never waits for it.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 1000'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(String(output));
    const state = () => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    while (state() !== 'Z') await new Promise((resolve) => setImmediate(resolve));
    write(file, holder({ pid, started: startTimeOf(pid) }));
    expect((await take(file)).diedSince).toBe(1);
  });

  test('when one that was taking it over has died over it', async () => {
    const file = lockFile();
    write(file, holder({ pid: 2 ** 22 + 1, nonce: 'abc123' }));
    write(`${file}.abc123.0`, holder({ pid: 2 ** 22 + 2, nonce: 'def456' }));
    expect((await take(file)).diedSince).toBe(1);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test('but not while another is taking it over, however long that is stopped', async () => {
    const file = lockFile();
    const child = await otherProcess();
    write(file, holder({ pid: 2 ** 22 + 1 }));
    write(`${file}.abc123.0`, holder({ pid: child.pid, started: startTimeOf(child.pid), nonce: 'def456' }));
    expect(await failure(take(file, 100))).toMatchObject({ kind: 'busy' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: 2 ** 22 + 1 });
  });
});

describe('a lock that cannot be looked into', () => {
  const cases: [string, unknown][] = [
    ['another host', holder({ host: 'elsewhere', pid: 1 })],
    [
      'another pid namespace (a sandbox with the name of the host)',
      holder({ namespace: '1', pid: 2 ** 22 + 1 }),
    ],
  ];

  test.each(cases)('of %s is left alone as long as it is refreshed', async (_, mark) => {
    const file = lockFile();
    write(file, mark);
    age(file, 60);
    expect(await failure(take(file, 50))).toMatchObject({ kind: 'busy' });
  });

  test.each(cases)('of %s is taken over when it was not for two minutes', async (_, mark) => {
    const file = lockFile();
    write(file, mark);
    age(file, 130);
    expect((await take(file)).diedSince).toBe(1);
  });

  test.each([
    ['empty', ''],
    ['cut off', '{"pid": 12'],
    ['of zeros', '\0'.repeat(200)],
    ['null', 'null'],
    ['a number', '5'],
    ['without a holder', '{}'],
    ['with a nonce that leads elsewhere', JSON.stringify(holder({ nonce: '../../x' }))],
  ])('%s is taken over once it has been so for a moment', async (_, text) => {
    const file = lockFile();
    write(file, text);
    expect(await failure(take(file, 50))).toMatchObject({ kind: 'busy' });
    age(file, 5);
    await take(file);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
    expect(readdirSync(path.dirname(file))).toEqual(['lock']);
  });
});

test('a held lock is refreshed only by its holder, and many that want it get it one at a time', async () => {
  const folder = scratchFolder();
  const file = path.join(folder, 'lock');
  // Stale to begin with: the takeover is part of the race.
  write(file, holder({ pid: 2 ** 22 + 1 }));
  const program = await bundle(path.join(import.meta.dirname, 'support/lock-child.ts'));
  onTestFinished(() => removeBundle(program));
  const children = Array.from({ length: 8 }, () =>
    spawn(process.execPath, [program, file, path.join(folder, 'inside')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'close'))[0] as number));
  expect(codes).toEqual(codes.map(() => 0));
  expect(readFileSync(path.join(folder, 'inside.log'), 'utf8').split('\n').filter(Boolean)).toHaveLength(
    8 * 10,
  );
  expect(readdirSync(folder)).toEqual(['inside.log']);
});
