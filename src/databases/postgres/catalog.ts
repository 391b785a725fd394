import { ask, askOne, type Client, quoteName, quoteText } from './connect.ts';

/** What a database holds, asked of its catalogs. */

/** Everything that is not the server's own, nor anybody's temporary table. */
const userSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

export interface Server {
  /** Such as 150004: major version times 10,000 and minor version. */
  version: number;
  /** Such as `15.4`. */
  versionText: string;
  inRecovery: boolean;
}

export async function serverOf(client: Client): Promise<Server> {
  const row = await askOne<{ version: number; text: string; recovering: boolean }>(
    client,
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text,
      pg_is_in_recovery() AS recovering`,
  );
  return {
    version: row.version,
    versionText: row.text.replace(/ .*/s, ''),
    inRecovery: row.recovering,
  };
}

export interface Table {
  oid: string;
  schema: string;
  name: string;
  /** Columns that a copy holds: not those that are generated. */
  columns: string[];
  /** Columns of the primary key, or of another key that no row lacks; empty without one. */
  key: string[];
  /** Rows of it are its own, not those of partitions or of an extension. */
  holdsRows: boolean;
  /** For a table of an extension: which rows are the user's (`WHERE …`), or ''. */
  condition: string;
}

/** The tables, in the order of their names. */
export async function tablesOf(client: Client): Promise<Table[]> {
  const rows = await ask<{
    oid: string;
    schema: string;
    name: string;
    columns: string[];
    key: string[];
    kind: string;
    extension: string | null;
    condition: string | null;
  }>(
    client,
    `SELECT c.oid::text, n.nspname::text AS schema, c.relname::text AS name, c.relkind AS kind,
      ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY a.attnum) AS columns,
      ARRAY(SELECT a.attname::text FROM unnest((
          SELECT i.indkey[0:i.indnkeyatts - 1]
          FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
          WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
            AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k(number)
              LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
              WHERE a.attnotnull IS NOT TRUE)
          ORDER BY i.indisprimary DESC, x.relname::text COLLATE "C" LIMIT 1
        )) WITH ORDINALITY k(number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        ORDER BY k.place) AS key,
      e.extname::text AS extension, e.extcondition[array_position(e.extconfig, c.oid)] AS condition
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      LEFT JOIN pg_extension e ON e.oid = d.refobjid
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${userSchemas}
    ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`,
  );
  return rows.map(({ kind, extension, condition, ...table }) => ({
    ...table,
    holdsRows: kind === 'r' && (extension === null || condition !== null),
    condition: condition ?? '',
  }));
}

export function sqlName({ schema, name }: { schema: string; name: string }): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

/** The statements that give the sequences the values they have. They are not part of any transaction. */
export async function sequenceValues(client: Client): Promise<string[]> {
  const sequences = await ask<{ schema: string; name: string }>(
    client,
    `SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      LEFT JOIN pg_extension e ON e.oid = d.refobjid
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${userSchemas}
      AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))
    ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`,
  );
  const lines: string[] = [];
  for (let start = 0; start < sequences.length; start += 200) {
    const some = sequences.slice(start, start + 200);
    const rows = await ask<{ n: number; value: string; called: boolean }>(
      client,
      `${some
        .map(
          (sequence, n) =>
            `SELECT ${n} AS n, last_value::text AS value, is_called AS called FROM ${sqlName(sequence)}`,
        )
        .join(' UNION ALL ')} ORDER BY 1`,
    );
    for (const { n, value, called } of rows)
      lines.push(
        `SELECT pg_catalog.setval(${quoteText(sqlName(some[n] as (typeof some)[number]))}, ${value}, ${called});\n`,
      );
  }
  return lines;
}

/** What `about.json` says of a database: what CREATE DATABASE needs, and no script can change afterwards. */
export interface About extends Record<string, unknown> {
  engine: 'postgres';
  encoding: string;
  collate: string;
  ctype: string;
  /** `c` (of the operating system), `i` (ICU), `b` (built in). */
  provider: string;
  /** ICU's locale, or the built-in one's. */
  locale?: string;
}

export async function aboutOf(client: Client, version: number): Promise<About> {
  const locale = version >= 170_000 ? 'datlocale' : version >= 150_000 ? 'daticulocale' : 'NULL';
  const provider = version >= 150_000 ? 'datlocprovider::text' : `'c'`;
  const row = await askOne<{
    encoding: string;
    collate: string;
    ctype: string;
    provider: string;
    locale: string | null;
  }>(
    client,
    `SELECT pg_encoding_to_char(encoding) AS encoding, datcollate::text AS collate, datctype::text AS ctype,
      ${provider} AS provider, ${locale}::text AS locale
    FROM pg_database WHERE datname = current_database()`,
  );
  const { locale: name, ...rest } = row;
  return { engine: 'postgres', ...rest, ...(name === null ? {} : { locale: name }) };
}

/** Settings whose values are lists of names, quoted already (pg_dump, `variable_is_guc_list_quote`). */
const listSettings = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/** The statements for what belongs to the database as a whole: owner, comment, settings, and who may do what. */
export async function databaseStatements(client: Client): Promise<string[]> {
  const { name, owner, comment, acl, limit } = await askOne<{
    name: string;
    owner: string;
    comment: string | null;
    acl: boolean;
    limit: number;
  }>(
    client,
    `SELECT datname::text AS name, pg_get_userbyid(datdba)::text AS owner, datacl IS NOT NULL AS acl,
      shobj_description(oid, 'pg_database') AS comment, datconnlimit AS limit
    FROM pg_database WHERE datname = current_database()`,
  );
  const lines = [inDatabase(`ALTER DATABASE %I OWNER TO ${quoteName(owner)}`)];
  if (comment !== null) lines.push(inDatabase(`COMMENT ON DATABASE %I IS ${quoteText(comment)}`));
  if (limit !== -1) lines.push(inDatabase(`ALTER DATABASE %I CONNECTION LIMIT ${limit}`));
  const settings = await ask<{ role: string | null; setting: string }>(
    client,
    `SELECT r.rolname::text AS role, unnest(s.setconfig) AS setting
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = $1) AND (s.setrole = 0 OR r.oid IS NOT NULL)
    ORDER BY r.rolname::text COLLATE "C" NULLS FIRST, 2`,
    [name],
  );
  for (const { role, setting } of settings) {
    const equals = setting.indexOf('=');
    const [key, value] = [setting.slice(0, equals), setting.slice(equals + 1)];
    const whose = role === null ? 'ALTER DATABASE %I' : `ALTER ROLE ${quoteName(role)} IN DATABASE %I`;
    const is = listSettings.has(key.toLowerCase()) && value !== '' ? value : quoteText(value);
    const quotedKey = key.split('.').map(quoteName).join('.');
    lines.push(inDatabase(`${whose} SET ${quotedKey} TO ${is}`));
  }
  if (acl) lines.push(...(await databaseGrants(client)));
  return lines;
}

async function databaseGrants(client: Client): Promise<string[]> {
  const grants = await ask<{ grantee: string | null; privilege: string; grantable: boolean }>(
    client,
    `SELECT r.rolname::text AS grantee, a.privilege_type AS privilege, a.is_grantable AS grantable
    FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)
    ORDER BY 1 NULLS FIRST, 2`,
  );
  return [
    inDatabase('REVOKE ALL ON DATABASE %I FROM PUBLIC'),
    ...grants.map(({ grantee, privilege, grantable }) =>
      inDatabase(
        `GRANT ${privilege} ON DATABASE %I TO ${grantee === null ? 'PUBLIC' : quoteName(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`,
      ),
    ),
  ];
}

/** A statement about the database that it runs in, whatever that is called. */
function inDatabase(statement: string): string {
  const pattern = statement.replace(/%(?!I\b)/g, '%%');
  return `DO ${quoteText(`BEGIN EXECUTE pg_catalog.format(${quoteText(pattern)}, pg_catalog.current_database()); END`)};\n`;
}
