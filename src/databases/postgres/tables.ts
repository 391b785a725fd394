import { PitrError } from '../../errors.ts';
import { crashPoint } from '../../system/crashPoint.ts';
import type { CapturedDatabase, EngineContext } from '../engine.ts';
import { sequencePart } from './script.ts';
import { differentLines } from '../text/lines.ts';
import { readText } from '../text/reader.ts';
import { tableName } from '../text/layout.ts';
import { writeText } from '../text/writer.ts';
import { addressOf } from './address.ts';
import { partText } from './capture.ts';
import { type Table, tablesOf } from './catalog.ts';
import { ask, type Client, explain, isLocked, stateOf, withClient } from './connect.ts';
import { RecordedCopy } from './copies.ts';
import { unknownTable } from './diff.ts';
import { loadScript } from './load.ts';
import { copyFrom, endOfRows, sessionSettings, tableRows } from './rowData.ts';
import { keyOf, type SchemaObject, tableOf } from './schemaText.ts';
import { holdersOf, inUse } from './sessions.ts';

/**
 * Single tables brought back in one transaction: the contract is in `../engine.ts`. Their foreign keys, and those that
 * point to them, are dropped at its begin and made again at its end, which checks every row; nothing cascades in
 * between, and no trigger fires. A table that was dropped is made again, with what hung on it.
 */
export async function restoreTablesPostgres(
  context: EngineContext,
  target: CapturedDatabase,
  now: CapturedDatabase,
  tables: readonly string[],
): Promise<void> {
  const address = addressOf(context.database);
  const states = {
    target: await RecordedCopy.read(context.repository, target.tree),
    now: await RecordedCopy.read(context.repository, now.tree),
  };
  const asked = new Set(tables.flatMap((table) => foldersOf(states, table)));
  if (asked.size === 0) return;
  try {
    await withClient(address, async (client) => {
      await client.query(sessionSettings('UTF8'));
      await client.query('BEGIN');
      await client.query(`SET LOCAL lock_timeout = ${Math.ceil(context.config.lockTimeout)}`);
      await client.query('SAVEPOINT begun');
      const along = new Set(asked);
      // Each round adds the tables without which a foreign key does not hold, until all of them do.
      for (let round = 0; ; round++) {
        const work = new TableWork(context, client, states, [...along]);
        const failing = await work.run();
        if (failing.length === 0) break;
        const more = failing.filter((folder) => !along.has(folder));
        const unrecorded = more.some((folder) => !states.target.parts.has(folder));
        if (more.length === 0 || unrecorded || round > 1000) throw inconsistent(target.name, failing);
        for (const folder of more) along.add(folder);
        await client.query('ROLLBACK TO SAVEPOINT begun');
      }
      if (along.size > asked.size) {
        await client.query('ROLLBACK');
        throw needsMore(target.name, asked, along);
      }
      crashPoint('tables-restored');
      await client.query('COMMIT');
    });
  } catch (error) {
    if (!isLocked(error) && !(error instanceof PitrError && error.kind === 'busy'))
      throw explain(address, error);
    throw await withClient(address, async (client) =>
      inUse(context, await holdersOf(client, address.database)),
    );
  }
}

interface States {
  target: RecordedCopy;
  now: RecordedCopy;
}

/** Error: `noMatch` for a table that neither has. */
function foldersOf({ target, now }: States, table: string): string[] {
  const folders = [...new Set([...(target.tablesNamed(table) ?? []), ...(now.tablesNamed(table) ?? [])])];
  if (folders.length === 0) throw unknownTable(table, [...target.parts.keys(), ...now.parts.keys()]);
  return folders;
}

/** A foreign key that leads from or to one of the tables. */
interface ForeignKey {
  name: string;
  /** Quoted. */
  table: string;
  definition: string;
  comment: string | null;
  /** Folders of both tables. */
  between: string[];
}

class TableWork {
  readonly #context: EngineContext;
  readonly #client: Client;
  readonly #states: States;
  readonly #folders: readonly string[];

  constructor(context: EngineContext, client: Client, states: States, folders: readonly string[]) {
    this.#context = context;
    this.#client = client;
    this.#states = states;
    this.#folders = folders;
  }

  /** Does it all but the end of the transaction. Gives the tables between which a foreign key does not hold. */
  async run(): Promise<string[]> {
    const there = await this.#liveTables();
    await this.#requireSame(there);
    const keys = await this.#dropForeignKeys(there);
    const fired = await this.#muteTriggers([...there.values()]);
    const missing = this.#folders.filter((folder) => !there.has(folder));
    const anew = this.#statementsFor(missing);
    for (const { sql } of anew.before) await this.#client.query(sql);
    for (const folder of this.#folders) await this.#fill(folder, there.get(folder));
    await this.#verify();
    for (const statement of fired) await this.#client.query(statement);
    for (const { sql } of anew.after) await this.#client.query(sql);
    return this.#makeForeignKeys(keys, anew.foreignKeys);
  }

  /** The chosen tables that exist, locked for this transaction alone. */
  async #liveTables(): Promise<Map<string, Table>> {
    const chosen = (tables: readonly Table[]) =>
      tables.filter(
        (table) => table.holdsRows && this.#folders.includes(tableName(table.schema, table.name)),
      );
    for (const table of chosen(await tablesOf(this.#client)))
      await this.#client.query(`LOCK TABLE ONLY ${keyOf(table.schema, table.name)} IN ACCESS EXCLUSIVE MODE`);
    const locked = chosen(await tablesOf(this.#client));
    return new Map(locked.map((table) => [tableName(table.schema, table.name), table]));
  }

  /** Error: `refused` when rows or columns are not what was recorded, or a table cannot come back alone. */
  async #requireSame(there: ReadonlyMap<string, Table>): Promise<void> {
    const { target, now } = this.#states;
    const { name } = this.#context.database;
    for (const folder of this.#folders) {
      const live = there.get(folder);
      if ((live === undefined) !== !now.parts.has(folder)) throw changed(name, folder);
      if (!target.parts.has(folder)) throw wasNotThere(name, folder);
      if (live === undefined) continue;
      if (definitionOf(target, live) !== definitionOf(now, live)) throw redefined(name, folder);
      if (await this.#differs(now, folder, live)) throw changed(name, folder);
    }
  }

  /** True when the rows of a live table are not those of a copy. */
  async #differs(copy: RecordedCopy, folder: string, live: Table): Promise<boolean> {
    const { repository } = this.#context;
    const part = copy.parts.get(folder)?.part ?? '';
    const client = this.#client;
    async function* rows(): AsyncGenerator<Buffer> {
      yield Buffer.from(`${copyFrom(live)};\n`);
      yield* tableRows(client, live);
      yield endOfRows;
    }
    const { tree } = await writeText(repository, [{ path: part, content: rows() }], {
      about: { engine: 'postgres' },
    });
    for await (const _ of differentLines(repository, { tree: copy.tree, part }, { tree, part })) return true;
    return false;
  }

  async #dropForeignKeys(there: ReadonlyMap<string, Table>): Promise<ForeignKey[]> {
    const oids = [...there.values()].map(({ oid }) => oid);
    const keys = await ask<{
      name: string;
      table: string;
      definition: string;
      comment: string | null;
      schemas: string[];
      tables: string[];
    }>(
      this.#client,
      `SELECT k.conname::text AS name, k.conrelid::regclass::text AS table, pg_get_constraintdef(k.oid) AS definition,
        obj_description(k.oid, 'pg_constraint') AS comment,
        ARRAY[n.nspname::text, m.nspname::text] AS schemas, ARRAY[a.relname::text, b.relname::text] AS tables
      FROM pg_constraint k JOIN pg_class a ON a.oid = k.conrelid JOIN pg_namespace n ON n.oid = a.relnamespace
        JOIN pg_class b ON b.oid = k.confrelid JOIN pg_namespace m ON m.oid = b.relnamespace
      WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[])
        OR k.oid IN (SELECT conparentid FROM pg_constraint WHERE conrelid = ANY ($1::oid[]) OR confrelid = ANY ($1::oid[])))
      ORDER BY 2, 1`,
      [oids],
    );
    for (const { name, table } of keys)
      await this.#client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${quoted(name)}`);
    return keys.map(({ schemas, tables, ...key }) => ({
      ...key,
      between: schemas.map((schema, index) => tableName(schema, tables[index] ?? '')),
    }));
  }

  /** Gives the statements that bring each trigger back to how it fires. */
  async #muteTriggers(tables: readonly Table[]): Promise<string[]> {
    const statements: string[] = [];
    for (const table of tables) {
      const name = keyOf(table.schema, table.name);
      const triggers = await ask<{ name: string; enabled: string }>(
        this.#client,
        'SELECT tgname::text AS name, tgenabled::text AS enabled FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY 1',
        [table.oid],
      );
      const modes: Record<string, string> = { O: 'ENABLE', A: 'ENABLE ALWAYS', R: 'ENABLE REPLICA' };
      for (const { name: trigger, enabled } of triggers) {
        const mode = modes[enabled];
        if (mode === undefined) continue;
        await this.#client.query(`ALTER TABLE ${name} DISABLE TRIGGER ${quoted(trigger)}`);
        statements.push(`ALTER TABLE ${name} ${mode} TRIGGER ${quoted(trigger)}`);
      }
    }
    return statements;
  }

  /** What was dropped with tables: everything that mentions them, or their sequences, and is not there now. */
  #statementsFor(missing: readonly string[]): {
    before: SchemaObject[];
    after: SchemaObject[];
    foreignKeys: SchemaObject[];
  } {
    const { target, now } = this.#states;
    if (missing.length === 0) return { before: [], after: [], foreignKeys: [] };
    const present = new Set(now.objects.map(({ sql }) => sql));
    const gone = target.objects.filter(({ sql }) => !present.has(sql));
    const names = new Set<string>();
    for (const { type, name, sql } of gone)
      if (type === 'table' && missing.includes(folderOf(sql))) names.add(name);
    for (const { type, name, sql } of gone)
      if (type === 'sequence owned by' && [...names].some((table) => mentions(sql, `${table}.`)))
        names.add(name);
    const about = gone.filter(({ name, sql }) =>
      [...names].some((one) => name === one || name.startsWith(`${one} `) || mentions(sql, one)),
    );
    const early = new Set(['table', 'sequence', 'sequence owned by', 'default', 'table attach']);
    const isForeignKey = ({ type }: SchemaObject) => type === 'fk constraint';
    return {
      before: about.filter(({ type }) => early.has(type)),
      after: about.filter((object) => !early.has(object.type) && !isForeignKey(object)),
      foreignKeys: about.filter(isForeignKey),
    };
  }

  async #fill(folder: string, live: Table | undefined): Promise<void> {
    const { repository, database } = this.#context;
    const part = this.#states.target.parts.get(folder)?.part ?? '';
    if (live !== undefined) await this.#client.query(`DELETE FROM ONLY ${keyOf(live.schema, live.name)}`);
    await loadScript(this.#client, database.name, readText(repository, this.#states.target.tree, [part]));
    if (live === undefined) await this.#setSequences(folder);
  }

  /** The sequences of a table that was made anew go on from where they were. */
  async #setSequences(folder: string): Promise<void> {
    const text = await partText(this.#context.repository, this.#states.target.tree, sequencePart);
    const table = (await tablesOf(this.#client)).find(
      ({ schema, name }) => tableName(schema, name) === folder,
    );
    if (table === undefined) return;
    const owned = await ask<{ name: string }>(
      this.#client,
      `SELECT format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) AS name
      FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE d.refobjid = $1 AND d.deptype IN ('a', 'i')`,
      [table.oid],
    );
    for (const line of text.toString('utf8').split('\n'))
      if (owned.some(({ name }) => line.includes(`'${name}'`))) await this.#client.query(line);
  }

  async #verify(): Promise<void> {
    for (const [folder, live] of await this.#liveTables()) {
      if (!(await this.#differs(this.#states.target, folder, live))) continue;
      throw new PitrError(
        'integrity',
        `The table ${folder} of the database "${this.#context.database.name}" would not be what was recorded. It was not changed.`,
      );
    }
  }

  async #makeForeignKeys(keys: readonly ForeignKey[], more: readonly SchemaObject[]): Promise<string[]> {
    const failing = new Set<string>();
    const tryTo = async (sql: string, between: readonly string[]) => {
      await this.#client.query('SAVEPOINT key');
      try {
        await this.#client.query(sql);
      } catch (error) {
        if (stateOf(error) !== '23503') throw error;
        await this.#client.query('ROLLBACK TO SAVEPOINT key');
        for (const folder of between) failing.add(folder);
      }
    };
    for (const { name, table, definition, comment, between } of keys) {
      await tryTo(`ALTER TABLE ${table} ADD CONSTRAINT ${quoted(name)} ${definition}`, between);
      if (comment !== null && failing.size === 0)
        await this.#client.query(
          `COMMENT ON CONSTRAINT ${quoted(name)} ON ${table} IS '${comment.replaceAll("'", "''")}'`,
        );
    }
    for (const { sql } of more) {
      const to = /REFERENCES ([^(]+)\(/.exec(sql)?.[1] ?? '';
      await tryTo(sql, [folderOf(sql), folderOf(`ALTER TABLE ONLY ${to.trim()} `)]);
    }
    return [...failing];
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The folder of the table that a statement is about. */
function folderOf(sql: string): string {
  const names = tableOf(sql)
    .slice(1, -1)
    .split('"."')
    .map((part) => part.replaceAll('""', '"'));
  return names.length === 2 ? tableName(names[0] ?? '', names[1] ?? '') : '';
}

/** True when a statement has this qualified name in it, and not just one that begins with it. */
function mentions(sql: string, name: string): boolean {
  const pattern = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(^|[^\\w".])${pattern}${name.endsWith('.') ? '' : '(?![\\w"])'}`, 'm').test(sql);
}

function definitionOf({ objects }: RecordedCopy, { schema, name }: Table): string {
  const key = keyOf(schema, name);
  return objects.find(({ type, sql }) => type === 'table' && tableOf(sql) === key)?.sql ?? '';
}

function changed(name: string, folder: string): PitrError {
  return new PitrError(
    'refused',
    `The table ${folder} of the database "${name}" changed after its present state was recorded; nothing was changed.`,
    { hints: ['Run the command again: it records the new state first.'] },
  );
}

function wasNotThere(name: string, folder: string): PitrError {
  return new PitrError(
    'refused',
    `The table ${folder} of the database "${name}" was not there then; nothing was changed.`,
    { hints: [`Drop it yourself, or bring the whole database back: --db ${name}`] },
  );
}

function redefined(name: string, folder: string): PitrError {
  return new PitrError(
    'refused',
    `The table ${folder} of the database "${name}" has another definition now than then, so its rows cannot come back alone; nothing was changed.`,
    {
      hints: [
        `git pitr diff <snapshot> --db ${name}.${folder} shows what is different.`,
        `Bring the whole database back: --db ${name}; or its SQL into a folder: --into <folder> --db ${name}`,
      ],
    },
  );
}

function inconsistent(name: string, folders: readonly string[]): PitrError {
  return new PitrError(
    'refused',
    `Foreign keys between ${folders.join(', ')} of the database "${name}" do not hold with the rows that were recorded; nothing was changed.`,
    { hints: [`Bring the whole database back: --db ${name}`] },
  );
}

function needsMore(name: string, asked: ReadonlySet<string>, along: ReadonlySet<string>): PitrError {
  const more = [...along].filter((folder) => !asked.has(folder)).toSorted();
  const all = [...along].toSorted();
  return new PitrError(
    'refused',
    `Foreign keys do not hold with ${[...asked].toSorted().join(', ')} of then and the rest of the database "${name}" of now; nothing was changed.`,
    {
      hints: [
        `These would have to come along: ${more.join(', ')}.`,
        `All of them together: ${all.map((folder) => `--db ${name}.${folder}`).join(' ')}`,
      ],
      details: { tables: all },
    },
  );
}
