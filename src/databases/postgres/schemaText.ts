/** Reading pg_dump's schema text: its objects one by one, and of its tables the columns and keys. */

/** A statement, or a few, under one heading. */
export interface SchemaObject {
  /** `public.orders`, `public.orders orders_pkey`; without a schema where it has none. */
  name: string;
  /** In small letters: `table`, `index`, `fk constraint`, `acl` … */
  type: string;
  sql: string;
}

const heading = /^--\n-- Name: (.*); Type: (.*); Schema: (.*); Owner: .*\n--\n/gm;

/** The objects of a schema, in their order. What comes before the first heading (settings) is none. */
export function schemaObjects(text: string): SchemaObject[] {
  const found = [...text.matchAll(heading)];
  return found.map((match, index) => {
    const [whole, name = '', type = '', schema = ''] = match;
    const end = found[index + 1]?.index ?? text.length;
    const sql = text
      .slice(match.index + whole.length, end)
      .replace(/\n--\n-- PostgreSQL database dump complete\n--\n*$/, '');
    return {
      name: schema === '-' ? name : `${schema}.${name}`,
      type: type.toLowerCase(),
      // Settings for what follows are not part of it.
      sql: sql.replace(/^SET default_(tablespace|table_access_method) = .*;\n/gm, '').trim(),
    };
  });
}

const identifier = String.raw`(?:"(?:[^"]|"")+"|[^\s",.()]+)`;

/** A name as it is, from a name as SQL has it. */
export function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

/** `a, "b c"` as names. */
function nameList(list: string): string[] {
  return [...list.matchAll(new RegExp(identifier, 'g'))].map(([name]) => unquoted(name));
}

/** A qualified name as SQL has it: `public."Odd one"`. */
const qualified = `${identifier}\\.${identifier}`;

/** The types of a table's columns: column -> type. Empty for a table that the schema does not define. */
export function columnTypes(objects: readonly SchemaObject[], table: string): Map<string, string> {
  const types = new Map<string, string>();
  const definition = objects.find(({ type, sql }) => type === 'table' && tableOf(sql) === table)?.sql ?? '';
  const line = new RegExp(`^    (${identifier}) (.+?),?$`, 'gm');
  for (const [, column = '', type = ''] of definition.matchAll(line)) types.set(unquoted(column), type);
  return types;
}

/** The table that a statement is about: `"schema"."table"` with both quoted, or '' for none. */
export function tableOf(sql: string): string {
  const match = new RegExp(
    `^(?:CREATE (?:UNLOGGED )?TABLE|ALTER TABLE(?: ONLY)?|COPY|COMMENT ON TABLE) (${identifier})\\.(${identifier})`,
  ).exec(sql);
  return match === null ? '' : keyOf(unquoted(match[1] as string), unquoted(match[2] as string));
}

/** One text for a schema and a table, as `sqlName` of the catalog gives it. */
export function keyOf(schema: string, table: string): string {
  return [schema, table].map((part) => `"${part.replaceAll('"', '""')}"`).join('.');
}

/** The keys of all tables: table -> columns of its primary key, or of its first unique constraint. */
export function keysOf(objects: readonly SchemaObject[]): Map<string, string[]> {
  const keys = new Map<string, string[]>();
  for (const kind of ['PRIMARY KEY', 'UNIQUE'])
    for (const { type, sql } of objects) {
      if (type !== 'constraint') continue;
      const columns = new RegExp(`ADD CONSTRAINT ${identifier} ${kind} \\(([^)]*)\\)`).exec(sql)?.[1];
      const table = tableOf(sql);
      if (columns !== undefined && !keys.has(table)) keys.set(table, nameList(columns));
    }
  return keys;
}

/** The partitions of partitioned tables: table -> its direct partitions. */
export function partitionsOf(objects: readonly SchemaObject[]): Map<string, string[]> {
  const partitions = new Map<string, string[]>();
  const pattern = new RegExp(`^ALTER TABLE ONLY (${qualified}) ATTACH PARTITION (${qualified}) `);
  for (const { sql } of objects) {
    const [, parent, child] = pattern.exec(sql) ?? [];
    if (parent === undefined || child === undefined) continue;
    const key = quotedKey(parent);
    partitions.set(key, [...(partitions.get(key) ?? []), quotedKey(child)]);
  }
  return partitions;
}

function quotedKey(name: string): string {
  const [, schema = '', table = ''] = new RegExp(`^(${identifier})\\.(${identifier})$`).exec(name) ?? [];
  return keyOf(unquoted(schema), unquoted(table));
}

/** The head of a table's rows: `COPY public.orders (id, state) FROM stdin;`. */
export function readHead(head: string): { schema: string; name: string; columns: string[] } | undefined {
  const match = new RegExp(`^COPY (${identifier})\\.(${identifier})(?: \\((.*)\\))? FROM stdin;?$`, 's').exec(
    head,
  );
  if (match === null) return undefined;
  const [, schema = '', name = '', columns = ''] = match;
  return { schema: unquoted(schema), name: unquoted(name), columns: nameList(columns) };
}
