import { ExitCode, PitrError } from '../../errors.ts';
import { currentTime } from '../../system/clock.ts';
import { selectSnapshot } from '../../timeline/select.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import { isInSubset, parseSubset } from '../../verify/subset.ts';
import { inspectTimeline, type Verification, verifySnapshots } from '../../verify/verify.ts';
import type { Arguments } from '../commands.ts';
import { openHere, text } from '../open.ts';
import type { Terminal } from '../terminal.ts';
import { count, describeBytes } from '../text/snapshot.ts';
import { watched } from '../watch.ts';

export async function run({ options, operands }: Arguments, terminal: Terminal): Promise<number> {
  const given = text(options['subset']);
  const subset = given === undefined ? undefined : parseSubset(given, currentTime());
  const all = options['all'] === true || subset !== undefined;
  if (all && operands.length > 0)
    throw new PitrError('usage', 'Name a snapshot, or give --all or --subset; not both.');
  const { repository, config } = await openHere();
  const catalog = await inspectTimeline(repository);
  const chosen = await choose(
    catalog.snapshots,
    catalog.timeline,
    all ? undefined : (operands[0] ?? 'latest'),
  );
  const snapshots = subset === undefined ? chosen : chosen.filter((snapshot) => isInSubset(snapshot, subset));
  const result = await watched(terminal, repository, () =>
    verifySnapshots(repository, config, catalog, snapshots, options['deep'] === true),
  );
  for (const line of lines(result, terminal)) terminal.print(line);
  terminal.result(toJson(result, given));
  if (result.ok) return ExitCode.done;
  if (terminal.quiet) terminal.warn('verification failed: git pitr verify says where');
  return ExitCode.integrity;
}

async function choose(
  snapshots: readonly Snapshot[],
  timeline: readonly string[],
  selector: string | undefined,
): Promise<readonly Snapshot[]> {
  // A timeline that is lost has no snapshots to name: that is the finding.
  if (snapshots.length === 0 && timeline.length > 0) return [];
  if (selector !== undefined) return [await selectSnapshot(snapshots, selector, new Date(currentTime()))];
  if (snapshots.length > 0) return snapshots;
  throw new PitrError('noMatch', 'There is no snapshot here yet.', {
    hints: ['Take the first: git pitr snapshot'],
  });
}

function lines(result: Verification, terminal: Terminal): string[] {
  const { snapshots, timeline, objects, secondReader, notDeep, ok, deep } = result;
  const hurt = snapshots.filter(({ problems }) => problems.length > 0);
  const second = secondReader.used
    ? `A second implementation read ${count(secondReader.objects, 'object')} of them alike.`
    : `The second implementation was not used: ${secondReader.reason ?? ''}.`;
  return [
    ...timeline.map((problem) => terminal.paint('red', `timeline: ${problem}`)),
    ...hurt.flatMap(({ snapshot, problems }) => [
      terminal.paint('red', `snapshot ${snapshot.id} of ${snapshot.time} is damaged:`),
      ...problems.map(({ path, problem }) => `  ${path === '' ? '' : `${path}: `}${problem}`),
    ]),
    `${count(snapshots.length, 'snapshot')} read, ${hurt.length} damaged: ${count(objects.checked, 'object')}, ${describeBytes(objects.bytes)}${objects.absent > 0 ? `; ${count(objects.absent, 'object')} that this partial clone does not have` : ''}.`,
    second,
    ...(deep && notDeep.length > 0
      ? [
          `Copies of ${notDeep.join(', ')}: only their content was compared; to look into them needs a server.`,
        ]
      : []),
    ...(ok ? ['All is well.'] : ['What can be mended: git pitr doctor']),
  ];
}

function toJson({ snapshots, ...rest }: Verification, subset: string | undefined) {
  return {
    ...rest,
    subset: subset ?? null,
    snapshots: snapshots.map(({ snapshot: { id, commit, time }, problems }) => ({
      id,
      commit,
      time,
      ok: problems.length === 0,
      problems,
    })),
  };
}
