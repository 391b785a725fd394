import { type BytePath, bytePath } from '../git/paths.ts';
import { nulRecords } from '../git/run.ts';
import { type CaptureContext, type ShadowPlace, startShadowGit } from './context.ts';

/**
 * The command-line patterns that decide coverage; the last one that matches wins, and they are stronger than ignore
 * files. An included pattern without a slash reaches everything that is not inside an ignored folder.
 */
export function coveragePatterns(context: CaptureContext): string[] {
  const { include, exclude } = context.config;
  const patterns = [...include.map((pattern) => `!${pattern}`), ...exclude, ...context.databaseFiles];
  return patterns.flatMap((pattern) => ['-x', pattern]);
}

/** Paths that the index does not know and that are covered, as byte paths. */
export async function listOthers(
  place: ShadowPlace,
  patterns: readonly string[],
  flags: readonly string[],
  pathspecs: readonly string[],
  unreadable: BytePath[] = [],
): Promise<BytePath[]> {
  const args = ['ls-files', '--others', '-z', '--exclude-standard', ...flags, ...patterns];
  const running = startShadowGit(place, [...args, '--', ...pathspecs], {
    env: { GIT_LITERAL_PATHSPECS: '1' },
  });
  const found: BytePath[] = [];
  for await (const record of nulRecords(running.stdout)) if (!isOurs(record)) found.push(record);
  const { stderr } = await running.end();
  // git passes over a folder that it may not list: what is new in there is not known.
  for (const [, folder] of stderr.matchAll(/could not open directory '(.*)\/'/g))
    if (folder !== undefined) unreadable.push(bytePath(folder));
  return found;
}

/** How our own staging folders beside the files begin (restore/stage.ts): never part of a snapshot. */
export const stageBesideFiles = '.git-pitr-stage-';

function isOurs(path: BytePath): boolean {
  return path.startsWith(stageBesideFiles);
}
