import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { FileView } from '../fileView.ts';
import { readView } from '../fileView.ts';
import type { EngineContext } from '../engine.ts';
import { beginReading, openForReading } from './copy.ts';
import { headerSize, isSqliteHeader, journalVersions, normalisedHeader, readStart } from './header.ts';
import { type Connection, type Deadline, untilFree } from './open.ts';
import { isOpenHere } from './signature.ts';

/**
 * A live database in WAL mode as one read transaction sees it, read from its files without SQLite in between.
 *
 * Why that is exact (https://www.sqlite.org/walformat.html; wal.c, walTryBeginRead and walCheckpoint):
 * a read transaction holds a read mark, the last frame of the WAL that it sees. Nobody resets the WAL while a mark
 * other than the first is held, and a checkpoint copies no frame after any mark into the main file. So a page with a
 * frame up to the mark is in the WAL as it was, and a page without one is in the main file as it was.
 * The first mark (0) means that all of the WAL had been copied: such a reader uses the main file alone, nobody may
 * write to that, but the WAL may be reset. Which of the two it is, is seen in the wal-index: our mark is its last
 * frame when its header is the same before and after the transaction began; and when then not all frames have been
 * copied, ours is no 0 (the number of copied frames never falls without a reset, which changes the header).
 * In the rollback modes the read lock alone would do, but it keeps writers out: there a copy is made (`copy.ts`).
 *
 * Descriptors are opened before the transaction and closed after the connection: closing one of a database drops the
 * locks of the process on it (https://www.sqlite.org/howtocorrupt.html, 2.2). Where this process has the database
 * open elsewhere, there is no view.
 */
export interface LiveView {
  connection: Connection;
  view: FileView;
  /** Milliseconds since the epoch. */
  instant: number;
  close(): void;
}

/** Undefined where a direct view is not known to be exact: then SQLite makes a copy. */
export async function openLiveView(
  context: EngineContext,
  live: string,
  deadline: Deadline,
): Promise<LiveView | undefined> {
  const files = ['', '-wal', '-shm'].map((suffix) =>
    statSync(live + suffix, { bigint: true, throwIfNoEntry: false }),
  );
  if (files[0] === undefined || isOpenHere(files)) return undefined;
  const handles = [openSync(live, 'r')];
  let connection: Connection | undefined;
  const close = () => {
    if (connection?.inTransaction === true) connection.exec('ROLLBACK');
    connection?.close();
    for (const handle of handles) closeSync(handle);
  };
  try {
    const open = await untilFree(context.database.name, deadline, () => openForReading(live));
    connection = open;
    await untilFree(context.database.name, deadline, () => void open.pragma('user_version'));
    const isWal = open.pragma('journal_mode', { simple: true }) === 'wal';
    const found = isWal ? await viewOf(context, live, open, handles, deadline) : undefined;
    if (found !== undefined) return { connection: open, ...found, close };
  } catch (error) {
    close();
    throw error;
  }
  close();
  return undefined;
}

/** How often the wal-index may move while a transaction begins: a writer that commits without a pause is beaten soon. */
const tries = 100;

async function viewOf(
  context: EngineContext,
  live: string,
  connection: Connection,
  handles: number[],
  deadline: Deadline,
): Promise<Pick<LiveView, 'view' | 'instant'> | undefined> {
  if (statSync(`${live}-shm`, { throwIfNoEntry: false }) === undefined) return undefined;
  const wal = openSync(`${live}-wal`, 'r');
  handles.push(wal);
  const shm = openSync(`${live}-shm`, 'r');
  handles.push(shm);
  for (let turn = 0; turn < tries; turn++) {
    const before = readStart(shm, walIndexSize);
    const instant = await untilFree(context.database.name, deadline, () => beginReading(connection));
    const index = walIndex(before, readStart(shm, walIndexSize));
    if (index !== undefined) {
      const view = assemble(connection, handles[0] as number, wal, index);
      return view === undefined ? undefined : { view, instant };
    }
    connection.exec('ROLLBACK');
    context.signal?.throwIfAborted();
  }
  return undefined;
}

/** Two copies of the header, and how many frames have been copied. */
const walIndexSize = 100;
const walIndexHeader = 48;

interface WalIndex {
  pageSize: number;
  /** Frames that the transaction sees. */
  frames: number;
  /** Pages of the database. */
  pages: number;
  salt: Buffer;
  /** True when the main file has all of it. */
  isCopied: boolean;
}

/** The wal-index, when it was the same at both times (walformat.html, 2.1). In the byte order of the machine. */
function walIndex(before: Buffer, after: Buffer): WalIndex | undefined {
  if (after.length < walIndexSize || !before.subarray(0, 96).equals(after.subarray(0, 96))) return undefined;
  const header = after.subarray(0, walIndexHeader);
  // Its two copies differ in the middle of a commit.
  if (!header.equals(after.subarray(walIndexHeader, 96)) || header[12] !== 1) return undefined;
  const native = (at: number) => new Uint32Array(Uint8Array.from(after.subarray(at, at + 4)).buffer)[0] ?? 0;
  const size = new Uint16Array(Uint8Array.from(after.subarray(14, 16)).buffer)[0] ?? 0;
  const frames = native(16);
  return {
    pageSize: (size & 0xfe00) | ((size & 1) << 16),
    frames,
    pages: native(20),
    salt: after.subarray(32, 40),
    isCopied: native(96) >= frames,
  };
}

function assemble(connection: Connection, main: number, wal: number, index: WalIndex): FileView | undefined {
  const pageSize = Number(connection.pragma('page_size', { simple: true }));
  const pages = pageCount(connection);
  if (pages === undefined || pages === 0) return undefined;
  if (!index.isCopied && (index.pages !== pages || index.pageSize !== pageSize)) return undefined;
  const overlay = index.isCopied ? undefined : framesOf(wal, index);
  if (overlay === undefined && !index.isCopied) return undefined;
  const bytes = pages * pageSize;
  if (overlay === undefined && fstatSync(main).size < bytes) return undefined;
  const plain: FileView = { bytes, main, ...(overlay === undefined ? {} : { overlay }), patches: [] };
  const header = readView(plain, 0, pageSize).subarray(0, headerSize);
  if (!isSqliteHeader(header)) return undefined;
  const patches = [{ at: 0, content: normalisedHeader(header, journalVersions(header), pages) }];
  // The page at 1 GiB holds no content; SQLite copies nothing of it.
  const lockPage = 2 ** 30;
  if (bytes > lockPage) patches.push({ at: lockPage, content: Buffer.alloc(pageSize) });
  return { ...plain, patches };
}

/** Undefined where the schema uses what is not here. */
function pageCount(connection: Connection): number | undefined {
  try {
    return Number(connection.pragma('page_count', { simple: true }));
  } catch {
    return undefined;
  }
}

const walHeaderSize = 32;
const frameHeaderSize = 24;

/** Where the newest frame of each page is. Undefined when a frame is not of this WAL: nothing is taken on trust. */
function framesOf(wal: number, { frames, pageSize, pages, salt }: WalIndex): FileView['overlay'] | undefined {
  const header = readStart(wal, walHeaderSize);
  if (header.length < walHeaderSize || !header.subarray(16, 24).equals(salt)) return undefined;
  const newest = new Map<number, number>();
  const frame = Buffer.alloc(frameHeaderSize);
  for (let number = 0; number < frames; number++) {
    const offset = walHeaderSize + number * (frameHeaderSize + pageSize);
    if (readSync(wal, frame, 0, frameHeaderSize, offset) < frameHeaderSize) return undefined;
    if (!frame.subarray(8, 16).equals(salt)) return undefined;
    newest.set(frame.readUInt32BE(0), offset + frameHeaderSize);
  }
  // Pages that were cut off again are not there.
  const numbers = [...newest.keys()].filter((page) => page >= 1 && page <= pages).toSorted((a, b) => a - b);
  return {
    handle: wal,
    pageSize,
    places: Float64Array.from(numbers, (page) => (page - 1) * pageSize),
    offsets: Float64Array.from(numbers, (page) => newest.get(page) as number),
  };
}
