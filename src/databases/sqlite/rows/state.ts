import { PitrError } from '../../../errors.ts';
import type { Repository } from '../../../git/repository.ts';
import type { CapturedDatabase } from '../../engine.ts';
import { ImageStore } from '../../imageReader.ts';
import { Pages } from '../format/pages.ts';
import { Definitions, holdsRows, readSchema, type SchemaObject } from '../format/schema.ts';
import type { TableSide } from './columns.ts';

/** One recorded state of a database, open for reading rows. */
export class RecordedState {
  /** Undefined for an empty file. */
  readonly pages: Pages | undefined;
  readonly objects: readonly SchemaObject[];
  #definitions: Definitions | undefined;

  private constructor(pages: Pages | undefined, objects: readonly SchemaObject[]) {
    this.pages = pages;
    this.objects = objects;
  }

  /** @param copy undefined for a database that was not there */
  static async open(store: ImageStore, copy: CapturedDatabase | undefined): Promise<RecordedState> {
    if (copy === undefined) return new RecordedState(undefined, []);
    const length = Number.isNaN(copy.bytes) ? undefined : copy.bytes;
    const pages = await Pages.open(await store.open(copy.tree, length));
    return new RecordedState(pages, await readSchema(pages));
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
  }
}

const stores = new WeakMap<Repository, ImageStore>();

/** One store a repository: a history looks at many states that are nearly the same. */
export function imageStore(repository: Repository): ImageStore {
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
