import { ExitCode } from '../../errors.ts';
import { compareRefs, type RefsComparison } from '../../refs/compare.ts';
import { presentRefs, recordedRefs, type Refs } from '../../refs/recorded.ts';
import { formatInstant } from '../../timeline/instant.ts';
import type { Arguments } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { snapshotEcho } from '../text/snapshot.ts';
import { namedState } from './restoreRefs.ts';

export async function run({ options, operands }: Arguments, terminal: Terminal): Promise<number> {
  const context = await openHere();
  const at = text(options['at']);
  const selector = operands[0] ?? (at === undefined ? 'latest' : undefined);
  const { instant, snapshot } = await namedState(context, at, selector);
  const then = await recordedRefs(context.repository, snapshot);
  const now = await presentRefs(context.repository);
  const comparison = await compareRefs(context.repository, snapshot.anchor ?? '', then, now);
  terminal.print(snapshotEcho(snapshot, instant, terminal));
  for (const line of lines(then, now, comparison, terminal)) terminal.print(line);
  terminal.result({
    instant:
      instant === undefined
        ? null
        : {
            time: new Date(instant.epochMs).toISOString(),
            zone: instant.timeZone,
            text: formatInstant(instant),
          },
    snapshot,
    head: { before: headJson(then), now: headJson(now) },
    ...comparison,
  });
  return ExitCode.done;
}

function headJson({ branch, head }: Refs) {
  return { branch: branch?.replace(/^refs\/heads\//, '') ?? null, commit: head };
}

function headText({ branch, head }: Refs): string {
  const at = head === null ? 'no commit yet' : head.slice(0, 10);
  return `${branch?.replace(/^refs\/heads\//, '') ?? 'detached'} (${at})`;
}

const marks = {
  same: ['dim', ' '],
  moved: ['yellow', '~'],
  deleted: ['red', '-'],
  new: ['green', '+'],
} as const;

function lines(
  then: Refs,
  now: Refs,
  { refs, stash, newStash }: RefsComparison,
  terminal: Terminal,
): string[] {
  const short = (oid: string | null) => oid?.slice(0, 10) ?? '';
  const lost = (available: boolean) =>
    available ? '' : terminal.paint('red', '  (lost: no longer in the repository)');
  const [before, after] = [headText(then), headText(now)];
  return [
    before === after ? `  HEAD  ${before}` : `${terminal.paint('yellow', '~ HEAD')}  ${before}, now ${after}`,
    ...refs.map(({ name, before: was, now: is, status, available }) => {
      const [colour, mark] = marks[status];
      const what = terminal.paint(colour, `${mark} ${name}`);
      if (status === 'new') return `${what}  made since (${short(is)})`;
      const since = { same: '', moved: `, now ${short(is)}`, deleted: ', deleted since' }[status];
      return `${what}  ${short(was)}${since}${lost(available)}`;
    }),
    ...stash.map(({ index, commit, message, present, available }) => {
      const what = `${present ? ' ' : '-'} stash@{${index}}`;
      return `${terminal.paint(present ? 'dim' : 'red', what)}  ${short(commit)}${present ? '' : ', dropped since'}${lost(available)}  ${message}`;
    }),
    ...newStash.map(
      ({ commit, message }) =>
        `${terminal.paint('green', '+ stash')}  ${short(commit)}, made since  ${message}`,
    ),
  ];
}
