import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { PitrError } from '../../../errors.ts';
import type { Repository } from '../../../git/repository.ts';
import { randomId } from '../../../system/files.ts';
import type { CapturedDatabase, EngineContext } from '../../engine.ts';
import { FileChunks, ImageStore } from '../../imageReader.ts';
import { Pages } from '../format/pages.ts';
import { Definitions, holdsRows, readSchema, type SchemaObject } from '../format/schema.ts';
import type { TableSide } from './columns.ts';

/** One recorded state of a database, open for reading rows. */
export class RecordedState {
  /** Undefined for an empty file. */
  readonly pages: Pages | undefined;
  readonly objects: readonly SchemaObject[];
  readonly #handle: number | undefined;
  #definitions: Definitions | undefined;

  private constructor(
    pages: Pages | undefined,
    objects: readonly SchemaObject[],
    handle: number | undefined,
  ) {
    this.pages = pages;
    this.objects = objects;
    this.#handle = handle;
  }

  /** @param copy undefined for a database that was not there */
  static async open(context: EngineContext, copy: CapturedDatabase | undefined): Promise<RecordedState> {
    if (copy === undefined) return new RecordedState(undefined, [], undefined);
    const store = imageStore(context.repository);
    if (!(await store.holds(copy.tree))) return RecordedState.#ofText(context, copy);
    const pages = await Pages.open(await store.open(copy.tree));
    return new RecordedState(pages, await readSchema(pages), undefined);
  }

  /** SQL text alone is made a file again. */
  static async #ofText(context: EngineContext, copy: CapturedDatabase): Promise<RecordedState> {
    const file = path.join(context.scratchDir, `${randomId()}.db`);
    const { buildFromText } = await import('../text/build.ts');
    await buildFromText(context, copy, file);
    const handle = openSync(file, 'r');
    try {
      const pages = await Pages.open(new FileChunks(handle));
      return new RecordedState(pages, await readSchema(pages), handle);
    } catch (error) {
      closeSync(handle);
      throw error;
    }
  }

  /** The definition of a table with rows; SQLite's own ones too, when they are named. */
  find(name: string): SchemaObject | undefined {
    const tables = this.objects.filter(({ type, root }) => type === 'table' && root > 0);
    return (
      tables.find((table) => table.name === name) ??
      tables.find((table) => table.name.toLowerCase() === name.toLowerCase())
    );
  }

  /** The names of the tables that a person made. */
  get tables(): string[] {
    return this.objects.filter(holdsRows).map(({ name }) => name);
  }

  async definitions(): Promise<Definitions> {
    if (this.pages === undefined) throw new RangeError('an empty file has no tables');
    this.#definitions ??= await Definitions.open(this.objects, this.pages);
    return this.#definitions;
  }

  async table(name: string): Promise<TableSide | undefined> {
    const object = this.find(name);
    if (object === undefined || this.pages === undefined) return undefined;
    return { pages: this.pages, root: object.root, table: (await this.definitions()).table(object.name) };
  }

  close(): void {
    this.#definitions?.close();
    if (this.#handle !== undefined) closeSync(this.#handle);
  }
}

const stores = new WeakMap<Repository, ImageStore>();

/** One store a repository: a history looks at many states that are nearly the same. */
function imageStore(repository: Repository): ImageStore {
  const known = stores.get(repository);
  if (known !== undefined) return known;
  const store = new ImageStore(repository);
  stores.set(repository, store);
  return store;
}

/** Error: `noMatch`, listing the tables there are. */
export function noSuchTable(database: string, name: string, tables: readonly string[]): PitrError {
  const listed = tables.length === 0 ? 'It has none.' : `Tables: ${tables.slice(0, 20).join(', ')}.`;
  return new PitrError('noMatch', `The database "${database}" has no table "${name}".`, { hints: [listed] });
}
