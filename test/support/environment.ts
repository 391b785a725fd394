/** The environment that tests give to child processes. */
import { tmpdir } from 'node:os';

/**
 * An allow-list: no GIT_*, no PITR_*, no CI or NO_COLOR of the machine reaches a child, and no user configuration,
 * neither through GIT_CONFIG_* nor (git-pitr scrubs those, and git then looks there) through the home folder.
 * TZ is passed on only if the machine sets it. Names with the value undefined in `extra` are taken out.
 */
export function cleanEnvironment(
  extra: Readonly<Record<string, string | undefined>> = {},
): NodeJS.ProcessEnv {
  const all: Record<string, string | undefined> = {
    PATH: process.env['PATH'],
    TZ: process.env['TZ'],
    TMPDIR: tmpdir(),
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    ...extra,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Who commits in a test. Not for git-pitr itself: it must never need, or use, the user's identity. */
export const testIdentity = {
  GIT_AUTHOR_NAME: 'Ada Tester',
  GIT_AUTHOR_EMAIL: 'ada@example.org',
  GIT_COMMITTER_NAME: 'Ada Tester',
  GIT_COMMITTER_EMAIL: 'ada@example.org',
} as const;
