import { closeSync, fstatSync, fsyncSync, openSync, statSync } from 'node:fs';
import { changeCounter, headerSize, readStart } from './header.ts';
import { type Connection, openDatabase } from './open.ts';
import { isOpenHere } from './signature.ts';

/**
 * Watches a live database for commits of others, also while a lock is held on it.
 *
 * Everything is read through descriptors opened before the restore's connections and closed after them: closing one
 * earlier would drop the locks of this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export class Watch {
  readonly connection: Connection;
  readonly #live: string;
  readonly #main: number;
  readonly #wal: number | undefined;
  readonly #shm: number | undefined;
  readonly #keepOpen: boolean;

  private constructor(
    live: string,
    connection: Connection,
    handles: { main: number; wal?: number; shm?: number },
    keepOpen: boolean,
  ) {
    this.#live = live;
    this.connection = connection;
    this.#main = handles.main;
    this.#wal = handles.wal;
    this.#shm = handles.shm;
    this.#keepOpen = keepOpen;
  }

  /** Error: SQLITE_BUSY while somebody has the database for itself. */
  static async open(live: string): Promise<Watch> {
    // Should this process have the database open elsewhere (as a library's user may), our descriptors stay open for
    // good: two or three numbers against somebody else's locks.
    const keepOpen = isOpenHere([statSync(live, { bigint: true })]);
    const main = openSync(live, 'r');
    let connection: Connection | undefined;
    try {
      connection = await openDatabase(live, { readonly: false });
      connection.pragma('synchronous = FULL');
      connection.pragma('user_version'); // reads: -wal and -shm are there from now on
      if (connection.pragma('journal_mode', { simple: true }) !== 'wal')
        return new Watch(live, connection, { main }, keepOpen);
      const wal = openSync(`${live}-wal`, 'r');
      const shm = openSync(`${live}-shm`, 'r');
      return new Watch(live, connection, { main, wal, shm }, keepOpen);
    } catch (error) {
      connection?.close();
      if (!keepOpen) closeSync(main);
      throw error;
    }
  }

  get inWalMode(): boolean {
    return this.#shm !== undefined;
  }

  /**
   * What every commit of anybody changes: the wal-index header (both copies, walformat.html 2.1), or in the rollback
   * modes the file's header with its change counter. Stable while the write lock is held.
   */
  mark(): Mark {
    const header = this.#shm === undefined ? readStart(this.#main, headerSize) : readStart(this.#shm, 96);
    return { header, wal: this.inWalMode, file: this.#sameFile() };
  }

  /** Makes what was committed last through power loss. */
  sync(): void {
    if (this.#wal !== undefined) fsyncSync(this.#wal);
    fsyncSync(this.#main);
  }

  close(): void {
    this.connection.close();
    if (this.#keepOpen) return;
    for (const handle of [this.#main, this.#wal, this.#shm]) if (handle !== undefined) closeSync(handle);
  }

  /** False once the path leads to another file: then this one is nobody's database any more. */
  #sameFile(): boolean {
    const here = fstatSync(this.#main, { bigint: true });
    const there = statSync(this.#live, { bigint: true, throwIfNoEntry: false });
    return there !== undefined && there.dev === here.dev && there.ino === here.ino;
  }
}

export interface Mark {
  header: Buffer;
  wal: boolean;
  file: boolean;
}

/** True when nothing was committed between two marks. */
export function sameMark(a: Mark, b: Mark): boolean {
  return a.file && b.file && a.wal === b.wal && a.header.equals(b.header);
}

/** True when exactly one commit lies between two marks. */
export function nextMark(before: Mark, after: Mark): boolean {
  if (!before.file || !after.file || before.wal !== after.wal) return false;
  return (commits(before) + 1) % 2 ** 32 === commits(after);
}

function commits({ wal, header }: Mark): number {
  // An empty file has no header yet, and its first commit makes the counter 1.
  if (header.length < (wal ? 12 : headerSize)) return 0;
  if (!wal) return changeCounter(header);
  // iChange, in the byte order of the machine. Its two copies differ only in the middle of a commit.
  return new Uint32Array(Uint8Array.from(header.subarray(8, 12)).buffer)[0] ?? 0;
}
