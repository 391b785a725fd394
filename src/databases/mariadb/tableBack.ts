import { PitrError } from '../../errors.ts';
import type { EngineContext } from '../engine.ts';
import { postData } from '../text/layout.ts';
import type { Address } from './address.ts';
import { dropBeside, makeBeside, newBeside, table as fullName, tryLock } from './beside.ts';
import { type Client, quoteName, withClient } from './connect.ts';
import type { RecordedCopy, RecordedTable } from './copies.ts';
import { make } from './finish.ts';
import { foreignKeys, holds } from './foreignKeys.ts';
import { requireKnown, statementsOf } from './load.ts';
import { recordedDefinitions } from './recorded.ts';
import { contents, liveRows, partOid } from './tableRows.ts';
import { schemaOf, serverOf } from './script.ts';
import { takeOutDefaults } from './swap.ts';
import { needsMore } from './tableErrors.ts';
import { describeTables, listTables } from './tables.ts';

/** Tables that were dropped: built beside the database, and moved in together in one statement. */
export async function bringBack(
  context: EngineContext,
  address: Address,
  target: RecordedCopy,
  names: readonly string[],
): Promise<void> {
  const { database: live } = address;
  const beside = newBeside(live);
  await withClient(address, async (client) => {
    if (!(await tryLock(client, live, 'restore', Math.ceil(context.config.lockTimeout / 1000))))
      throw new PitrError(
        'busy',
        `The database "${context.database.name}" is being restored by another git-pitr.`,
      );
    await makeBeside(client, beside);
    try {
      await client.run(`USE ${quoteName(beside.build)}`);
      await client.run('SET foreign_key_checks = 0');
      for (const name of names) {
        const table = target.table(name) as RecordedTable;
        await client.run(withParentsIn(live, names, requireKnown(context.database.name, table.sql)));
        if (table.part === undefined) continue;
        for await (const statement of statementsOf(contents(context, target.tree, table.part)))
          await client.run(requireKnown(context.database.name, statement));
      }
      const listed = await listTables(client, beside.build);
      for (const one of await describeTables(client, beside.build, listed))
        if ((await liveRows(context, client, beside.build, one)) !== partOid(target, one.name))
          throw new PitrError(
            'integrity',
            `The table "${one.name}" would not be what was recorded. It was not made.`,
          );
      await requireHolding(context.database.name, client, { build: beside.build, live, names });
      const afterwards = await takeOutDefaults(client, live, beside);
      const moves = names.map((name) => `${fullName(beside.build, name)} TO ${fullName(live, name)}`);
      await client.run(`RENAME TABLE ${moves.join(', ')}`);
      for (const statement of afterwards) await client.run(statement);
      await makeTriggers(context, client, live, target.tree, names);
    } finally {
      await dropBeside(client, beside);
    }
  });
}

/** Foreign keys to tables that are not among these lead into the live database from the beginning. */
function withParentsIn(live: string, names: readonly string[], sql: string): string {
  return sql.replace(/ REFERENCES (`(?:[^`]|``)*`) \(/g, (whole, parent: string) =>
    names.some((name) => quoteName(name) === parent) ? whole : ` REFERENCES ${quoteName(live)}.${parent} (`,
  );
}

async function requireHolding(
  database: string,
  client: Client,
  { build, live, names }: { build: string; live: string; names: readonly string[] },
): Promise<void> {
  for (const key of await foreignKeys(client, build, names, [build, live])) {
    const parent = names.includes(key.parent) ? build : live;
    if (await holds(client, key, { child: build, parent })) continue;
    throw needsMore(database, new Set(names), new Set([...names, key.parent]));
  }
}

async function makeTriggers(
  context: EngineContext,
  client: Client,
  live: string,
  tree: string,
  names: readonly string[],
): Promise<void> {
  const schema = await schemaOf(client, live, await serverOf(client));
  await client.run(`USE ${quoteName(live)}`);
  const triggers = await recordedDefinitions(
    context.repository,
    { name: context.database.name, tree },
    postData,
    schema.collation,
  );
  for (const trigger of triggers.filter(
    ({ type, table }) => type === 'TRIGGER' && names.includes(table ?? ''),
  ))
    await make(client, trigger, '', schema);
}
