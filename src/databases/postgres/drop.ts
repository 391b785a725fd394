import { ask, type Client, quoteName } from './connect.ts';

/** Emptying a database from within, for who may not make another one. */

/** What belongs to an extension comes and goes with it. */
const ofExtension = (catalog: string, oid: string) =>
  `EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

/**
 * The statements that drop what a database holds: schemas whole where they are ours, in others (`public` may be the
 * server's) what is in them. Extensions stay, but for those that are not `wanted`.
 * @param wanted the extensions of the state that is to come
 */
export async function dropStatements(client: Client, wanted: ReadonlySet<string>): Promise<string[]> {
  return [
    ...(await named(client, 'PUBLICATION', `SELECT pubname::text AS name FROM pg_publication ORDER BY 1`)),
    ...(await named(
      client,
      'SCHEMA',
      `SELECT nspname::text AS name FROM pg_namespace n WHERE ${ownedSchema} ORDER BY 1`,
    )),
    ...(await insideSchemas(client)),
    ...(await named(
      client,
      'SERVER',
      `SELECT srvname::text AS name FROM pg_foreign_server s WHERE NOT ${ofExtension('pg_foreign_server', 's.oid')} ORDER BY 1`,
    )),
    ...(await ask<{ name: string }>(client, `SELECT extname::text AS name FROM pg_extension ORDER BY 1`))
      .filter(({ name }) => !wanted.has(name) && name !== 'plpgsql')
      .map(({ name }) => `DROP EXTENSION IF EXISTS ${quoteName(name)} CASCADE;\n`),
    ...(await ask<{ oid: string }>(client, 'SELECT oid::text FROM pg_largeobject_metadata ORDER BY oid')).map(
      ({ oid }) => `SELECT lo_unlink(${oid});\n`,
    ),
  ];
}

const userSchema = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT ${ofExtension('pg_namespace', 'n.oid')}`;

/** One that may be dropped and comes back with the script. */
const ownedSchema = `${userSchema} AND n.nspname <> 'public' AND pg_has_role(n.nspowner, 'USAGE')`;

async function named(client: Client, kind: string, query: string): Promise<string[]> {
  const rows = await ask<{ name: string }>(client, query);
  return rows.map(({ name }) => `DROP ${kind} IF EXISTS ${quoteName(name)} CASCADE;\n`);
}

/** Kinds of objects, and how each is named in SQL: `%I` twice, or a text that is SQL already. */
async function insideSchemas(client: Client): Promise<string[]> {
  const schemas = `(SELECT n.oid FROM pg_namespace n WHERE ${userSchema} AND NOT (${ownedSchema}))`;
  const simple = (kind: string, catalog: string, prefix: string) =>
    `SELECT '${kind} IF EXISTS ' || format('%I.%I', n.nspname, o.${prefix}name) AS what, 5 AS place
    FROM ${catalog} o JOIN pg_namespace n ON n.oid = o.${prefix}namespace
    WHERE o.${prefix}namespace IN ${schemas} AND NOT ${ofExtension(catalog, 'o.oid')}`;
  const rows = await ask<{ what: string }>(
    client,
    `SELECT what FROM (
      SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
          WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END || ' IF EXISTS ' || format('%I.%I', n.nspname, c.relname) AS what,
        CASE c.relkind WHEN 'S' THEN 2 WHEN 'c' THEN 4 ELSE 1 END AS place
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relnamespace IN ${schemas} AND c.relpersistence <> 't'
        AND NOT ${ofExtension('pg_class', 'c.oid')}
      UNION ALL
      SELECT 'ROUTINE IF EXISTS ' || p.oid::regprocedure, 3 FROM pg_proc p
      WHERE p.pronamespace IN ${schemas} AND NOT ${ofExtension('pg_proc', 'p.oid')}
      UNION ALL
      SELECT 'OPERATOR IF EXISTS ' || o.oid::regoperator, 3 FROM pg_operator o
      WHERE o.oprnamespace IN ${schemas} AND NOT ${ofExtension('pg_operator', 'o.oid')}
      UNION ALL
      SELECT 'OPERATOR FAMILY IF EXISTS ' || format('%I.%I USING %I', n.nspname, f.opfname, a.amname), 3
      FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am a ON a.oid = f.opfmethod
      WHERE f.opfnamespace IN ${schemas} AND NOT ${ofExtension('pg_opfamily', 'f.oid')}
      UNION ALL
      SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END || ' IF EXISTS ' || format('%I.%I', n.nspname, t.typname), 4
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0 AND t.typnamespace IN ${schemas}
        AND NOT ${ofExtension('pg_type', 't.oid')}
      UNION ALL ${simple('COLLATION', 'pg_collation', 'coll')}
      UNION ALL ${simple('CONVERSION', 'pg_conversion', 'con')}
      UNION ALL ${simple('TEXT SEARCH CONFIGURATION', 'pg_ts_config', 'cfg')}
      UNION ALL ${simple('TEXT SEARCH DICTIONARY', 'pg_ts_dict', 'dict')}
      UNION ALL ${simple('STATISTICS', 'pg_statistic_ext', 'stx')}
    ) AS objects ORDER BY place, what`,
  );
  return rows.map(({ what }) => `DROP ${what} CASCADE;\n`);
}
