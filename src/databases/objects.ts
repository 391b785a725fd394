import { PitrError } from '../errors.ts';
import { ByteSource } from '../git/byteSource.ts';
import { objectStore } from '../git/objectStore.ts';
import type { Repository } from '../git/repository.ts';
import { type RunningGit, startGit } from '../git/run.ts';

/** Objects in bulk through one `git cat-file` each (formats: git-cat-file(1), BATCH OUTPUT). */

/** Tells which objects exist. Starts git with the first question: most snapshots ask none. */
export class ObjectChecker {
  readonly #repository: Repository;
  #running: RunningGit | undefined;
  readonly #waiting: { resolve: (known: boolean) => void; reject: (error: unknown) => void }[] = [];
  #rest = '';

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** True when the object store has it. Answers come in the order of the questions. */
  has(oid: string): Promise<boolean> {
    const running = (this.#running ??= this.#start());
    const answer = new Promise<boolean>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    answer.catch(() => {}); // whoever awaits it hears of the failure; nobody may, when another step failed first
    running.child.stdin?.write(`${oid}\n`);
    return answer;
  }

  close(): void {
    this.#running?.child.stdin?.end();
  }

  #start(): RunningGit {
    const running = startGit(['cat-file', '--batch-check'], {
      cwd: this.#repository.worktree,
      env: objectStore(this.#repository),
      input: never(),
    });
    running.stdout.on('data', (part: Buffer) => {
      const lines = (this.#rest + part.toString('latin1')).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#waiting.shift()?.resolve(!line.endsWith(' missing'));
    });
    running.end().then(
      () => this.#fail(new PitrError('failed', 'git cat-file ended before it had answered.')),
      (error: unknown) => this.#fail(error),
    );
    return running;
  }

  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** An input that never ends by itself: stdin stays open for `write` and `end`. */
function never(): AsyncIterable<string> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
}

export interface ReadObject {
  oid: string;
  type: string;
  content: Buffer;
}

/** Reads objects in the order asked, one at a time; a slow consumer slows git down. */
export class ObjectReader {
  readonly #running: RunningGit;

  constructor(repository: Repository, oids: AsyncIterable<string>) {
    async function* lines(): AsyncGenerator<string> {
      for await (const oid of oids) yield `${oid}\n`;
    }
    this.#running = startGit(['cat-file', '--batch', '--buffer'], {
      cwd: repository.worktree,
      env: objectStore(repository),
      input: lines(),
    });
  }

  /** Error: `integrity` for an object that is missing or larger than `maxSize` bytes. */
  async *objects(maxSize: number): AsyncGenerator<ReadObject> {
    const source = new ByteSource(this.#running.stdout as AsyncIterable<Buffer>, () => cutOff(this.#running));
    let finished = false;
    try {
      for (;;) {
        const header = await source.line();
        if (header === undefined) break;
        const [oid = '', type = '', size = ''] = header.split(' ');
        const length = Number(size);
        if (size === '' || !Number.isInteger(length))
          throw new PitrError('integrity', `The object ${oid} is missing from the repository.`);
        if (length > maxSize)
          throw new PitrError(
            'integrity',
            `The object ${oid} has ${length} bytes; ${maxSize} are the most here.`,
          );
        const content = await source.bytes(length);
        await source.bytes(1);
        yield { oid, type, content };
      }
      finished = true;
    } finally {
      if (!finished) this.#running.child.kill('SIGKILL');
    }
    await this.#running.end();
  }
}

/** What stopped git comes first: it may be our own list of objects that failed. */
async function cutOff(running: RunningGit): Promise<PitrError> {
  await running.end();
  return new PitrError(
    'integrity',
    'git cat-file ended in the middle of an object: the repository may be damaged.',
    {
      hints: ['git fsck --full'],
    },
  );
}
