import { ExitCode, PitrError } from '../../errors.ts';
import { executeRefs, refuseRefs } from '../../refs/apply.ts';
import { type PreparedRefs, prepareRefs, prepareUndoRefs } from '../../refs/plan.ts';
import { lastOperation, type Operation, refuseWhileInterrupted } from '../../restore/journal.ts';
import type { Context } from '../../restore/request.ts';
import { currentTime } from '../../system/clock.ts';
import { readCatalog } from '../../timeline/catalog.ts';
import { formatInstant, type Instant } from '../../timeline/instant.ts';
import { selectSnapshot, snapshotAt } from '../../timeline/select.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import { parseWhen } from '../../timeline/when.ts';
import { confirm } from '../ask.ts';
import type { Arguments } from '../commands.ts';
import { text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { snapshotEcho } from '../text/snapshot.ts';

/** `restore --branch`, `--tag` and `--stash`, and the `undo` of one. */

const own = new Set(['branch', 'tag', 'stash', 'at', 'snapshot', 'dry-run', 'force', 'yes', 'json', 'quiet']);

/** True when refs are asked for. Error: `usage` for what does not go with them. */
export function asksForRefs({ options, operands, paths }: Arguments): boolean {
  const isGiven = (name: string) => {
    const value = options[name];
    return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
  };
  if (!['branch', 'tag', 'stash'].some(isGiven)) return false;
  const others = Object.keys(options).filter((name) => isGiven(name) && !own.has(name));
  const given = [...others.map((name) => `--${name}`), ...operands, ...paths];
  if (given.length === 0) return true;
  throw new PitrError(
    'usage',
    `--branch, --tag and --stash restore refs and nothing else: leave out ${given.join(' ')}.`,
    { hints: ['Restore files and databases with a second command.'] },
  );
}

export async function restoreRefs(context: Context, args: Arguments, terminal: Terminal): Promise<number> {
  const { options } = args;
  const { repository } = context;
  refuseWhileInterrupted(repository);
  const { instant, snapshot } = await namedState(context, text(options['at']), text(options['snapshot']));
  terminal.print(snapshotEcho(snapshot, instant, terminal));
  const prepared = await prepareRefs(repository, snapshot, {
    branches: (options['branch'] ?? []) as readonly string[],
    tags: (options['tag'] ?? []) as readonly string[],
    stash: options['stash'] === true,
  });
  return carryOut(context, { ...prepared, instant }, options, terminal);
}

/** The snapshot that `--at` or `--snapshot` names. Errors: `usage` without one or with both; `noMatch`. */
export async function namedState(
  { repository }: Context,
  at: string | undefined,
  selector: string | undefined,
): Promise<{ instant?: Instant; snapshot: Snapshot }> {
  if ((at === undefined) === (selector === undefined))
    throw new PitrError('usage', 'Say when: --at <time>, or a snapshot; not both.', {
      hints: ['git pitr list shows the snapshots.'],
    });
  const now = new Date(currentTime());
  const { snapshots } = await readCatalog(repository);
  if (at === undefined) return { snapshot: await selectSnapshot(snapshots, selector ?? '', now) };
  const instant = await parseWhen(at, { now });
  return { instant, snapshot: snapshotAt(snapshots, instant) };
}

/** The last operation, when it was one on refs. */
export function refsToUndo({ repository }: Context): Operation | undefined {
  const operation = lastOperation(repository);
  return operation?.refs === undefined ? undefined : operation;
}

export async function undoRefs(
  context: Context,
  operation: Operation,
  options: Arguments['options'],
  terminal: Terminal,
): Promise<number> {
  refuseWhileInterrupted(context.repository);
  terminal.print(`Back to the refs before the last restore (snapshot ${operation.before.id}).`);
  return carryOut(context, await prepareUndoRefs(context.repository, operation), options, terminal);
}

async function carryOut(
  context: Context,
  prepared: PreparedRefs,
  options: Arguments['options'],
  terminal: Terminal,
): Promise<number> {
  const report = (safety: { id: string; commit: string } | null) =>
    terminal.result({ ...refsJson(prepared), applied: safety !== null, safety });
  for (const line of planLines(prepared, terminal)) terminal.print(line);
  const { moves, stash } = prepared;
  const nothing = moves.length + stash.add.length + stash.remove.length === 0;
  if (options['dry-run'] === true) {
    terminal.print('This was a dry run: nothing was changed.');
    report(null);
    return ExitCode.done;
  }
  if (options['force'] !== true && options['yes'] !== true && !nothing) {
    if (!terminal.interactive) refuseRefs(prepared);
    else if (!(await confirm('Carry this out?'))) {
      terminal.print('Nothing was changed.');
      return ExitCode.refused;
    }
  }
  const { safety } = await executeRefs(context, prepared);
  terminal.print(
    nothing
      ? 'All of it is as it was then; nothing had to change.'
      : `Done. The state before is snapshot ${safety.id}; git pitr undo brings it back.`,
  );
  report(safety);
  return ExitCode.done;
}

function planLines({ moves, stash, same, orphans, checkedOut }: PreparedRefs, terminal: Terminal): string[] {
  const short = (oid: string) => (oid === '' ? 'nothing' : oid.slice(0, 10));
  return [
    ...moves.map(
      ({ ref, before, after }) => `  ${terminal.paint('cyan', ref)}: ${short(before)} -> ${short(after)}`,
    ),
    ...stash.add.map(
      ({ commit, message }) => `  ${terminal.paint('green', '+ stash')} ${short(commit)} ${message}`,
    ),
    ...stash.remove.map(
      ({ commit, message }) => `  ${terminal.paint('red', '- stash')} ${short(commit)} ${message}`,
    ),
    ...same.map((ref) => `  ${ref}: as it was then`),
    ...checkedOut.map(({ ref, places }) =>
      terminal.paint(
        'yellow',
        `  ${ref} is checked out in ${places.join(', ')}: files and index there stay as they are`,
      ),
    ),
    ...orphans.flatMap(({ ref, commits, count }) => [
      terminal.paint('yellow', `  Of ${ref} no ref leads to these any more (${count}):`),
      ...commits.slice(0, 10).map(({ commit, subject }) => `    ${short(commit)} ${subject}`),
      ...(count > 10 ? ['    …'] : []),
    ]),
  ];
}

function refsJson({ instant, snapshot, moves, stash, same, orphans, checkedOut }: PreparedRefs) {
  const entry = ({ commit, message }: { commit: string; message: string }) => ({ commit, message });
  return {
    instant:
      instant === undefined
        ? null
        : {
            time: new Date(instant.epochMs).toISOString(),
            zone: instant.timeZone,
            text: formatInstant(instant),
          },
    snapshot,
    refs: moves.map(({ ref, before, after }) => ({
      name: ref,
      before: before || null,
      after: after || null,
      checkedOut: checkedOut.find((branch) => branch.ref === ref)?.places ?? [],
      orphans: orphans.find((branch) => branch.ref === ref)?.commits ?? [],
    })),
    stash: { add: stash.add.map(entry), remove: stash.remove.map(entry) },
    same,
  };
}
