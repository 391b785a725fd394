import type { Socket } from 'node:net';
import { PitrError } from '../errors.ts';
import { ByteSource } from './byteSource.ts';
import { objectStore } from './objectStore.ts';
import type { Repository } from './repository.ts';
import { type RunningGit, startGit } from './run.ts';

/**
 * Reading objects through one `git cat-file` a repository: a restore asks for states, sizes and contents in turn, and
 * a process for each question would be half of all it starts. Format: git-cat-file(1), BATCH OUTPUT.
 */

export interface ObjectInfo {
  oid: string;
  type: string;
  size: number;
}

/** Takes one object; what it leaves of the content is passed over. */
type Taker = (
  at: number,
  object: ObjectInfo | undefined,
  content: AsyncIterable<Buffer>,
) => Promise<void> | void;

const readers = new WeakMap<Repository, SharedReader>();

export function objectReader(repository: Repository): SharedReader {
  const known = readers.get(repository);
  if (known !== undefined) return known;
  const reader = new SharedReader(repository);
  readers.set(repository, reader);
  return reader;
}

/** The reader of a repository if it has been asked something lately, and so costs no process. */
export function openReader(repository: Repository): SharedReader | undefined {
  const reader = readers.get(repository);
  return reader?.isOpen === true ? reader : undefined;
}

interface Session {
  running: RunningGit;
  source: ByteSource;
}

/** Questions between two answers that git sends on together. */
const batch = 1000;
/** An idle reader would keep packs open that a gc has replaced. */
const idleMs = 30_000;

class SharedReader {
  readonly #repository: Repository;
  #session: Session | undefined;
  /** Whoever asks waits for the one before: answers come in the order of the questions. */
  #turn: Promise<unknown> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  get isOpen(): boolean {
    return this.#session !== undefined;
  }

  /** Starts git, while something else is waited for. */
  begin(): void {
    if (this.#session !== undefined) return;
    this.#session = this.#start();
    keepAlive(this.#session, false);
    this.#idle = setTimeout(() => this.#end(), idleMs);
    this.#idle.unref();
  }

  /** Id, type and size of objects (oids, or `<commit>:<path>`); `undefined` for one that is not there. */
  async info(names: readonly string[]): Promise<(ObjectInfo | undefined)[]> {
    const found: (ObjectInfo | undefined)[] = [];
    await this.#inTurn('info', names, (_, object) => {
      found.push(object);
    });
    return found;
  }

  /** Small objects whole; `undefined` for one that is not there or is larger than `limit` bytes. */
  async read(names: readonly string[], limit = 16 * 1024 ** 2): Promise<(Buffer | undefined)[]> {
    const found: (Buffer | undefined)[] = [];
    await this.#inTurn('contents', names, async (_, object, content) => {
      const parts: Buffer[] = [];
      const fits = object !== undefined && object.size <= limit;
      if (fits) for await (const part of content) parts.push(part);
      found.push(fits ? Buffer.concat(parts) : undefined);
    });
    return found;
  }

  /** Contents one after the other, in pieces: no large one is held. Ask nothing else before it is over. */
  stream(names: readonly string[], take: Taker): Promise<void> {
    return this.#inTurn('contents', names, take);
  }

  #inTurn(verb: 'info' | 'contents', names: readonly string[], take: Taker): Promise<void> {
    const mine = this.#turn.then(() => (names.length === 0 ? undefined : this.#ask(verb, names, take)));
    this.#turn = mine.catch(() => {}); // whoever asked hears of it
    return mine;
  }

  async #ask(verb: 'info' | 'contents', names: readonly string[], take: Taker): Promise<void> {
    const session = (this.#session ??= this.#start());
    clearTimeout(this.#idle);
    keepAlive(session, true);
    try {
      for (let at = 0; at < names.length; at += batch) {
        const lines = names.slice(at, at + batch).map((name) => `${verb} ${name}\n`);
        session.running.child.stdin?.write(`${lines.join('')}flush\n`);
      }
      for (const at of names.keys()) await answer(session, verb, at, take);
      keepAlive(session, false);
      this.#idle = setTimeout(() => this.#end(), idleMs);
      this.#idle.unref();
    } catch (error) {
      session.running.child.kill('SIGKILL'); // answers that nobody took are still to come
      this.#session = undefined;
      throw error;
    }
  }

  #start(): Session {
    const running = startGit(['cat-file', '--batch-command', '--buffer'], {
      cwd: this.#repository.worktree,
      env: objectStore(this.#repository),
      openInput: true,
    });
    running.child.stdin?.on('error', () => {}); // its exit says why
    return {
      running,
      source: new ByteSource(running.stdout as AsyncIterable<Buffer>, () => cutOff(running)),
    };
  }

  #end(): void {
    this.#session?.running.child.stdin?.end();
    this.#session = undefined;
  }
}

async function answer({ running, source }: Session, verb: string, at: number, take: Taker): Promise<void> {
  const header = await source.line();
  if (header === undefined) throw await cutOff(running);
  const match = /^([0-9a-f]{40,64}) (\w+) (\d+)$/.exec(header);
  if (match === null) return take(at, undefined, nothing());
  const [, oid = '', type = '', size = ''] = match;
  const object: ObjectInfo = { oid, type, size: Number(size) };
  if (verb === 'info') return take(at, object, nothing());
  let left = object.size;
  async function* content(): AsyncGenerator<Buffer> {
    for await (const piece of source.pieces(left)) {
      left -= piece.length;
      yield piece;
    }
  }
  await take(at, object, content());
  for await (const rest of source.pieces(left)) left -= rest.length;
  await source.bytes(1);
}

async function* nothing(): AsyncGenerator<Buffer> {}

/** Between questions it must not keep this process from ending. */
function keepAlive({ running }: Session, alive: boolean): void {
  const { stdin, stdout, stderr } = running.child;
  for (const handle of [running.child, stdin, stdout, stderr] as (Socket | null)[])
    if (alive) handle?.ref();
    else handle?.unref();
}

async function cutOff(running: RunningGit): Promise<PitrError> {
  await running.end();
  return new PitrError('integrity', 'git cat-file ended before it had answered.', {
    hints: ['git fsck --full tells what is missing or damaged in the repository.'],
  });
}
