import { existsSync } from 'node:fs';
import { namedParts } from '../../databases/scope.ts';
import { displayPath } from '../../git/paths.ts';
import { ExitCode, PitrError } from '../../errors.ts';
import {
  changesNothing,
  executeRestore,
  refuseUncommitted,
  type RestoreOutcome,
} from '../../restore/execute.ts';
import { prepareRestore } from '../../restore/prepare.ts';
import type { MergeConflict } from '../../restore/merge.ts';
import type { Context, PreparedRestore, RestoreRequest } from '../../restore/request.ts';
import { resumeRestore } from '../../restore/undo.ts';
import { currentTime } from '../../system/clock.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { selectSnapshot } from '../../timeline/select.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import { formatAge, formatInstant, type Instant } from '../../timeline/instant.ts';
import { parseWhen } from '../../timeline/when.ts';
import type { Arguments } from '../commands.ts';
import { confirm } from '../ask.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { watched } from '../watch.ts';
import { planJson, planText } from '../text/plan.ts';
import { describeTime, snapshotEcho } from '../text/snapshot.ts';

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const { options } = args;
  const context = await openToRestore(options);
  if (options['continue'] === true || options['abort'] === true) return resume(context, args, terminal);
  const refs = await import('./restoreRefs.ts');
  if (refs.asksForRefs(args)) return refs.restoreRefs(context, args, terminal);
  const request = await requestOf(context, args);
  const into = text(options['into']);
  if (into !== undefined)
    return (await import('./restoreInto.ts')).restoreInto(context, request, into, terminal, options);
  const prepared = await watched(terminal, context.repository, () => prepareRestore(context, request));
  echoTarget(prepared, terminal);
  return carryOutPrepared(context, prepared, options, terminal);
}

/** The repository, and how the databases' other users are to be treated. */
export async function openToRestore(options: Arguments['options']): Promise<Context> {
  const { repository, config } = await openHere();
  return { repository, config: { ...config, disconnect: options['disconnect'] === true } };
}

/** Dry run, question, guard and execution: the same for `restore` and `undo`. */
export async function carryOutPrepared(
  context: Context,
  prepared: PreparedRestore,
  options: Arguments['options'],
  terminal: Terminal,
): Promise<number> {
  const report = (outcome: RestoreOutcome | undefined) => {
    const { instant, snapshot } = prepared;
    const shown =
      instant === undefined
        ? null
        : {
            time: new Date(instant.epochMs).toISOString(),
            zone: instant.timeZone,
            text: formatInstant(instant),
          };
    terminal.result({
      instant: shown,
      snapshot,
      base: prepared.base ?? null,
      plan: planJson(prepared),
      applied: outcome?.applied ?? false,
      safety: outcome?.safety ?? null,
    });
  };
  const isPartial =
    prepared.databasesLeft.some(({ asked }) => asked !== true) ||
    prepared.plan.protected.some(({ missed }) => missed === true) ||
    conflictsOf(prepared).length > 0;
  const partial = isPartial ? ExitCode.partial : ExitCode.done;
  if (options['dry-run'] === true) {
    terminal.print(planText(prepared, terminal));
    terminal.print('This was a dry run: nothing was changed.');
    report(undefined);
    return partial;
  }
  const agreed = options['force'] === true || options['yes'] === true || changesNothing(prepared);
  let shown = false;
  if (!agreed && terminal.interactive) {
    shown = true;
    terminal.print(planText(prepared, terminal));
    const warning = prepared.uncommitted.size > 0 ? ' The uncommitted changes are recorded first.' : '';
    if (!(await confirm(`Carry this out?${warning}`))) {
      terminal.print('Nothing was changed.');
      return ExitCode.refused;
    }
  } else if (!agreed) {
    if (prepared.uncommitted.size + prepared.changedDatabases.length > 0)
      terminal.print(planText(prepared, terminal));
    refuseUncommitted(prepared);
  }
  const outcome = await watched(terminal, context.repository, () =>
    executeRestore(context, prepared, { force: true, atOnce: !shown }),
  );
  if (!shown) terminal.print(planText(prepared, terminal));
  for (const { name, reason } of prepared.databasesLeft)
    terminal.warn(`the database ${name} was left as it is: ${reason}`);
  terminal.print(
    changesNothing(prepared)
      ? nothingToDo(prepared)
      : `Done. The state before is snapshot ${outcome.safety.id}; git pitr undo brings it back.`,
  );
  for (const { path, reason } of conflictsOf(prepared))
    terminal.warn(`conflict in ${displayPath(path)}: ${reason}`);
  report(outcome);
  if (!existsSync(process.cwd()))
    terminal.remark(
      `The folder you are in was not there then: ${process.cwd()} is gone. Change to another one.`,
    );
  return partial;
}

function conflictsOf({ plan }: PreparedRestore): readonly MergeConflict[] {
  return plan.conflicts ?? [];
}

function nothingToDo({ plan, base, databasesLeft }: PreparedRestore): string {
  if (base !== undefined) return 'Of that change nothing could be taken back; nothing was changed.';
  return plan.protected.length + databasesLeft.length > 0
    ? 'Nothing was changed: all that differs was left alone.'
    : 'Everything in scope is as it was then; nothing had to change.';
}

function echoTarget({ instant, snapshot, base }: PreparedRestore, terminal: Terminal): void {
  if (snapshot.history === true) {
    const age = formatAge(Date.parse(snapshot.time), currentTime());
    if (instant !== undefined) terminal.print(`At ${formatInstant(instant)}:`);
    terminal.print(`The tracked files of ${snapshot.message}, ${describeTime(snapshot.time)} (${age} ago)`);
    return;
  }
  terminal.print(snapshotEcho(snapshot, instant, terminal));
  if (base !== undefined)
    terminal.print(
      `Takes back what changed from there to ${terminal.paint('yellow', base.id)} of ${describeTime(base.time)}, and keeps what changed since.`,
    );
}

async function requestOf(context: Context, { options, operands, paths }: Arguments): Promise<RestoreRequest> {
  const parts = namedParts(context.config, (options['db'] ?? []) as readonly string[]);
  const names = [...parts.keys()];
  const pathspecs = [...operands, ...paths];
  const all = options['all'] === true;
  if (all && (pathspecs.length > 0 || names.length > 0)) {
    throw new PitrError(
      'usage',
      '--all already means all files and every database; give paths or --db without it.',
    );
  }
  const merges = options['merge'] === true;
  refuseBesideMerge(options);
  const selected = text(options['snapshot']) !== undefined || text(options['base']) !== undefined;
  const timeline = selected ? (await readCatalog(context.repository)).snapshots : undefined;
  return {
    target: await targetOf(options, timeline),
    ...(merges ? { merge: await baseOf(options, timeline) } : {}),
    timeline,
    files: all || pathspecs.length > 0 || names.length === 0,
    pathspecs,
    cwd: process.cwd(),
    databases: { names, all, tables: tablesOf(parts) },
    staged: options['staged'] === true,
    keepChanges: options['keep-changes'] === true,
    keepNew: options['keep-new'] === true,
  };
}

function tablesOf(parts: ReturnType<typeof namedParts>): Map<string, readonly string[]> {
  return new Map(
    [...parts].flatMap(([name, tables]) => (tables === undefined ? [] : [[name, tables] as const])),
  );
}

/** Error: `usage` for what has no meaning in a merge. */
function refuseBesideMerge(options: Arguments['options']): void {
  const given = (name: string) => {
    const value = options[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  if (!given('merge')) {
    if (given('base')) throw new PitrError('usage', '--base goes with --merge.');
    return;
  }
  const why: Record<string, string> = {
    db: 'a database is not merged; restore it on its own, without --merge',
    all: '--all means the databases too, and a database is not merged',
    staged: 'the index is not merged; restore it on its own, without --merge',
    'keep-changes': '--merge keeps every change that was made since already',
    into: 'the working copy is not touched by --into, and there is nothing to merge in it',
  };
  const pointless = Object.keys(why).find(given);
  if (pointless !== undefined)
    throw new PitrError('usage', `--${pointless} does not go with --merge: ${why[pointless] ?? ''}.`, {
      hints: ['git pitr restore -h says what --merge does.'],
    });
  if (text(options['source']) === 'history')
    throw new PitrError('usage', '--merge goes from snapshot to snapshot, not with --source history.');
}

async function baseOf(
  options: Arguments['options'],
  timeline: readonly Snapshot[] | undefined,
): Promise<NonNullable<RestoreRequest['merge']>> {
  const selector = text(options['base']);
  if (selector === undefined) return {};
  return { base: await selectSnapshot(timeline ?? [], selector, new Date(currentTime())) };
}

async function targetOf(
  options: Arguments['options'],
  timeline: readonly Snapshot[] | undefined,
): Promise<RestoreRequest['target']> {
  const at = text(options['at']);
  const selector = text(options['snapshot']);
  const source = text(options['source']) ?? 'snapshots';
  if (source !== 'snapshots' && source !== 'history')
    throw new PitrError('usage', `--source is snapshots or history, not "${source}".`);
  if ((at === undefined) === (selector === undefined)) {
    throw new PitrError(
      'usage',
      at === undefined
        ? 'Say where to go: --at <time> or --snapshot <snapshot>.'
        : 'Give either --at or --snapshot, not both.',
      {
        hints: ['git pitr restore --at "10 minutes ago"', 'git pitr list shows the snapshots.'],
      },
    );
  }
  const now = new Date(currentTime());
  if (at !== undefined) return { instant: (await parseWhen(at, { now })) satisfies Instant, source };
  if (source === 'history') throw new PitrError('usage', '--source history goes with --at <time>.');
  return { snapshot: await selectSnapshot(timeline ?? [], selector ?? '', now) };
}

/** What to restore was said when the restore began. */
function refuseOthers(options: Arguments['options'], paths: readonly string[]): void {
  const fitting = new Set(['continue', 'abort', 'force', 'yes', 'json', 'quiet']);
  const isGiven = (value: Arguments['options'][string]) =>
    value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
  const given = Object.keys(options).filter((name) => isGiven(options[name]));
  const others = [...given.filter((name) => !fitting.has(name)).map((name) => `--${name}`), ...paths];
  if (given.includes('continue') && given.includes('abort'))
    throw new PitrError('usage', 'Give either --continue or --abort, not both.');
  if (others.length === 0) return;
  throw new PitrError(
    'usage',
    `--continue and --abort go on with the interrupted restore as it was: leave out ${others.join(' ')}.`,
  );
}

async function resume(
  context: Context,
  { options, operands, paths }: Arguments,
  terminal: Terminal,
): Promise<number> {
  refuseOthers(options, [...operands, ...paths]);
  const end = options['continue'] === true ? 'after' : 'before';
  const force = options['force'] === true || options['yes'] === true;
  const { operation, safety, databasesLeft } = await watched(terminal, context.repository, () =>
    resumeRestore(context, end, { force }),
  );
  terminal.print(
    end === 'after'
      ? `Done: the restore to ${operation.target.id} is complete; git pitr undo takes it back.`
      : `Taken back: everything is as it was before the restore to ${operation.target.id}.`,
  );
  terminal.result({
    operation: { target: operation.target, before: operation.before },
    applied: end === 'after',
    safety,
    databasesLeft,
  });
  for (const name of databasesLeft)
    terminal.remark(`The database ${name} was not there before; it was left where it is.`);
  return databasesLeft.length > 0 ? ExitCode.partial : ExitCode.done;
}
