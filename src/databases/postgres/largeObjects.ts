import { ask, askOne, type Client, quoteName, quoteText } from './connect.ts';

/** Large objects as statements, one a line: none is ever held whole. */

const pieceSize = 16 * 1024;

/** The statements that make the large objects, in the order of their numbers. */
export async function* largeObjects(client: Client): AsyncGenerator<Buffer> {
  const objects = await ask<{ oid: string; owner: string; comment: string | null; acl: boolean }>(
    client,
    `SELECT oid::text, pg_get_userbyid(lomowner)::text AS owner, obj_description(oid, 'pg_largeobject') AS comment,
      lomacl IS NOT NULL AS acl
    FROM pg_largeobject_metadata m ORDER BY m.oid`,
  );
  for (const { oid, owner, comment, acl } of objects) {
    const lines = [
      `SELECT pg_catalog.lo_create(${oid});\n`,
      `ALTER LARGE OBJECT ${oid} OWNER TO ${quoteName(owner)};\n`,
    ];
    if (comment !== null) lines.push(`COMMENT ON LARGE OBJECT ${oid} IS ${quoteText(comment)};\n`);
    if (acl) lines.push(...(await grants(client, oid, owner)));
    yield Buffer.from(lines.join(''));
    yield* content(client, oid);
  }
}

async function* content(client: Client, oid: string): AsyncGenerator<Buffer> {
  for (let offset = 0; ; offset += pieceSize) {
    const { data } = await askOne<{ data: Buffer }>(client, 'SELECT lo_get($1, $2, $3) AS data', [
      oid,
      offset,
      pieceSize,
    ]);
    if (data.length > 0)
      yield Buffer.from(`SELECT pg_catalog.lo_put(${oid}, ${offset}, '\\x${data.toString('hex')}');\n`);
    if (data.length < pieceSize) return;
  }
}

async function grants(client: Client, oid: string, owner: string): Promise<string[]> {
  const rows = await ask<{ grantee: string | null; privilege: string; grantable: boolean }>(
    client,
    `SELECT r.rolname::text AS grantee, a.privilege_type AS privilege, a.is_grantable AS grantable
    FROM pg_largeobject_metadata m, aclexplode(m.lomacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE m.oid = $1 AND (a.grantee = 0 OR r.oid IS NOT NULL) ORDER BY 1 NULLS FIRST, 2`,
    [oid],
  );
  return [
    `REVOKE ALL ON LARGE OBJECT ${oid} FROM ${quoteName(owner)};\n`,
    ...rows.map(
      ({ grantee, privilege, grantable }) =>
        `GRANT ${privilege} ON LARGE OBJECT ${oid} TO ${grantee === null ? 'PUBLIC' : quoteName(grantee)}${grantable ? ' WITH GRANT OPTION' : ''};\n`,
    ),
  ];
}
