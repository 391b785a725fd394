import { PitrError } from '../../errors.ts';
import { type Client, errorNumber, quoteName, quoteText, usualMode } from './connect.ts';
import { withoutOwnName } from './tables.ts';

/** What a database holds beside its tables: views, routines, triggers and events, each as the SQL that makes it. */

export type DefinitionType =
  | 'FUNCTION'
  | 'PROCEDURE'
  | 'PACKAGE'
  | 'PACKAGE BODY'
  | 'VIEW'
  | 'TRIGGER'
  | 'EVENT';

export interface Definition {
  type: DefinitionType;
  name: string;
  /** The table of a trigger. */
  table?: string;
  /** Session settings that are part of it: SET statements. */
  settings: string[];
  /** Collation of the database when it was made, which its variables have; views have none. */
  collation?: string;
  /** `CREATE …`, without the name of the database. */
  create: string;
  /** A view that could not be used when it was read: what the server says. It cannot be made either. */
  broken?: string;
}

export interface ReadOptions {
  /** The reasons why views cannot be used, by name: known from before, so that none is tried. */
  broken?: ReadonlyMap<string, string>;
}

/** All of them, in an order in which they can be made. Error: `failed` for one whose text this user may not read. */
export async function readDefinitions(
  client: Client,
  database: string,
  { broken }: ReadOptions = {},
): Promise<Definition[]> {
  // The server writes names without the database only where that is the current one.
  await client.run(`USE ${quoteName(database)}`);
  return [
    ...(await readRoutines(client, database)),
    ...(await readViews(client, database, broken)),
    ...(await readTriggers(client, database)),
    ...(await readEvents(client, database)),
  ];
}

/** The views that cannot be used, and why. */
export function brokenViews(definitions: readonly Definition[]): Map<string, string> {
  return new Map(definitions.flatMap(({ name, broken }) => (broken === undefined ? [] : [[name, broken]])));
}

type Shown = Record<string, string | null>;

async function readRoutines(client: Client, database: string): Promise<Definition[]> {
  const listed = await client.ask<{ type: string; name: string }>(
    `SELECT ROUTINE_TYPE AS type, ROUTINE_NAME AS name FROM information_schema.ROUTINES
    WHERE ROUTINE_SCHEMA = ${quoteText(database)}
    ORDER BY FIELD(ROUTINE_TYPE, 'FUNCTION', 'PROCEDURE', 'PACKAGE', 'PACKAGE BODY'), BINARY ROUTINE_NAME`,
  );
  const routines: Definition[] = [];
  for (const { type, name } of listed) {
    const shown = await client.askOne<Shown>(`SHOW CREATE ${type} ${quoteName(database)}.${quoteName(name)}`);
    const create = Object.entries(shown).find(([key]) => key.startsWith('Create '))?.[1] ?? null;
    if (create === null) throw unreadable(type, name);
    routines.push({
      type: type as DefinitionType,
      name,
      settings: settingsOf(shown, create),
      create: withCommentAsIs(shown, create),
      ...collationOf(shown),
    });
  }
  return routines;
}

async function readViews(
  client: Client,
  database: string,
  known: ReadonlyMap<string, string> | undefined,
): Promise<Definition[]> {
  const listed = await client.ask<{ name: string }>(
    `SELECT TABLE_NAME AS name FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = ${quoteText(database)} AND TABLE_TYPE = 'VIEW' ORDER BY BINARY TABLE_NAME`,
  );
  const views: Definition[] = [];
  for (const { name } of listed) {
    const full = `${quoteName(database)}.${quoteName(name)}`;
    const shown = await client.askOne<Shown>(`SHOW CREATE VIEW ${full}`);
    const create = withoutOwnName(shown['Create View'] ?? '', database);
    const broken =
      known === undefined ? await reasonOf(client.run(`SELECT 1 FROM ${full} WHERE FALSE`)) : known.get(name);
    const settings = settingsOf(shown, create);
    views.push({ type: 'VIEW', name, settings, create, ...(broken === undefined ? {} : { broken }) });
  }
  return inOrderOfUse(views);
}

/** The reason why a view cannot be used; undefined when it can. */
async function reasonOf(step: Promise<void>): Promise<string | undefined> {
  try {
    await step;
    return undefined;
  } catch (error) {
    if (errorNumber(error) !== 1356) throw error;
    return (error as Error).message.replaceAll('\n', ' ');
  }
}

/** Views after those that they name. */
function inOrderOfUse(views: readonly Definition[]): Definition[] {
  const left = new Map(views.map((view) => [view.name, view]));
  const sorted: Definition[] = [];
  const visit = (view: Definition) => {
    if (!left.delete(view.name)) return;
    const names = new Set(
      [...view.create.matchAll(/`((?:[^`]|``)*)`/gs)].map(([, name = '']) => name.replaceAll('``', '`')),
    );
    for (const other of views) if (other !== view && names.has(other.name)) visit(other);
    sorted.push(view);
  };
  for (const view of views) visit(view);
  return sorted;
}

/**
 * Written anew from what the server knows of them: it keeps the words of their heads as they came, with names of
 * databases and of other triggers in them. In this order each comes after those that come before it.
 */
export async function readTriggers(client: Client, database: string): Promise<Definition[]> {
  const rows = await client.ask<
    Record<
      'name' | 'tab' | 'timing' | 'event' | 'body' | 'definer' | 'mode' | 'charset' | 'coll' | 'made',
      string
    >
  >(
    `SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tab, ACTION_TIMING AS timing, EVENT_MANIPULATION AS event,
      ACTION_STATEMENT AS body, DEFINER AS definer, SQL_MODE AS mode, CHARACTER_SET_CLIENT AS charset,
      COLLATION_CONNECTION AS coll, DATABASE_COLLATION AS made
    FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ${quoteText(database)}
    ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`,
  );
  return rows.map(({ name, tab, timing, event, body, definer, mode, charset, coll, made }) => {
    const head = `CREATE DEFINER=${definerName(definer)} TRIGGER ${quoteName(name)} ${timing} ${event} ON ${quoteName(tab)} FOR EACH ROW`;
    const create = `${head} ${body}`;
    const settings = settingsOf(
      { sql_mode: mode, character_set_client: charset, collation_connection: coll },
      create,
    );
    return { type: 'TRIGGER', name, table: tab, settings, create, collation: made };
  });
}

/** `user@host`; the name may hold an @ itself. A role has no host. */
function definerName(definer: string): string {
  const at = definer.lastIndexOf('@');
  if (at === -1 || at === definer.length - 1) return quoteName(definer.replace(/@$/, ''));
  return `${quoteName(definer.slice(0, at))}@${quoteName(definer.slice(at + 1))}`;
}

async function readEvents(client: Client, database: string): Promise<Definition[]> {
  const listed = await client.ask<{ name: string }>(
    `SELECT EVENT_NAME AS name FROM information_schema.EVENTS
    WHERE EVENT_SCHEMA = ${quoteText(database)} ORDER BY BINARY EVENT_NAME`,
  );
  const events: Definition[] = [];
  for (const { name } of listed) {
    const shown = await client.askOne<Shown>(`SHOW CREATE EVENT ${quoteName(database)}.${quoteName(name)}`);
    const create = shown['Create Event'] ?? '';
    if (create === '') throw unreadable('EVENT', name);
    const zone = `SET time_zone = ${quoteText(shown['time_zone'] ?? 'SYSTEM')}`;
    events.push({
      type: 'EVENT',
      name,
      settings: [...settingsOf(shown, create), zone],
      create: withCommentAsIs(shown, create),
      ...collationOf(shown),
    });
  }
  return events;
}

/** Clients speak UTF-8 here; another set of characters is kept where the text is the same bytes in both. */
function settingsOf(shown: Shown, create: string): string[] {
  const charset = shown['character_set_client'] ?? 'utf8mb4';
  // oxlint-disable-next-line no-control-regex -- ASCII is meant
  const same = charset.startsWith('utf8') || /^[\x00-\x7f]*$/.test(create);
  // A view has none of its own, and must not have that of what stands before it.
  const mode = shown['sql_mode'];
  return [
    mode === undefined || mode === null ? usualMode : `SET sql_mode = ${quoteText(mode)}`,
    `SET character_set_client = ${same ? charset : 'utf8mb4'}`,
    `SET collation_connection = ${shown['collation_connection'] ?? 'utf8mb4_general_ci'}`,
  ];
}

/**
 * The server writes comments with backslashes before what needs them, also where these are no escapes (seen with MariaDB
 * 10.11): run as it stands, each would double.
 */
function withCommentAsIs(shown: Shown, create: string): string {
  if (!/NO_BACKSLASH_ESCAPES/.test(shown['sql_mode'] ?? '')) return create;
  const escaped: Record<string, string> = { '\\\\': '\\', '\\n': '\n', '\\r': '\r' };
  return create.replace(/ COMMENT '(?:[^'\\]|\\.|'')*'/s, (comment) =>
    comment.replace(/\\[\\nr]/g, (pair) => escaped[pair] as string),
  );
}

/** What tells it from the others of its database. */
export function definitionKey({ type, name }: Definition): string {
  return `${type} ${name}`;
}

/** Equal for definitions that are the same in all that matters. */
export function textOfDefinition({ type, name, settings, create, collation }: Definition): string {
  return JSON.stringify([type, name, settings, create, collation ?? '']);
}

function collationOf(shown: Shown): { collation?: string } {
  const collation = shown['Database Collation'];
  return collation === null || collation === undefined ? {} : { collation };
}

/** The statement that gives a database a collation, as it was when something in it was made. */
export function collationStatement(collation: string): string {
  return `ALTER DATABASE CHARACTER SET ${collation.replace(/_.*$/, '')} COLLATE ${collation}`;
}

function unreadable(type: string, name: string): PitrError {
  return new PitrError('failed', `This user may not read the text of the ${type.toLowerCase()} "${name}".`, {
    hints: ['The one who defined it may, and whoever has SELECT on mysql.* (or SHOW CREATE ROUTINE).'],
  });
}
