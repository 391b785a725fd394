import { expect, test } from 'vitest';
import { countProcesses } from '../support/count-processes.ts';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';

/** The bound of issue 3. */
const most = 20;

/** What the capture starts on top when the index has got or lost paths since the last snapshot: what is covered now? */
const forNewPaths = 4;

const files = Object.fromEntries(
  Array.from({ length: 1000 }, (_, n) => [`d${n % 20}/f${n}.txt`, `file ${n}\n`]),
);

/** What becomes of file `n` before the restore: its new path and content, or nothing when it is deleted. */
const changes: Record<string, (path: string, n: number) => [path: string, content: string] | undefined> = {
  changed: (path) => [path, 'changed\n'],
  deleted: () => undefined,
  'a third changed, a third deleted, a third new': (path, n) =>
    ([[path, 'changed\n'], undefined, [`new/${path}`, 'new\n']] as const)[n % 3] as
      | [string, string]
      | undefined,
};

/** The user's index is refreshed, or says something else, or neither, since the last snapshot. */
const between = { nothing: [], 'git status': ['status'], 'git add': ['add', '--all'] };

const cases = Object.keys(changes).flatMap((change) =>
  Object.keys(between).map((then) => {
    const bound = then === 'git add' && change !== 'changed' ? most + forNewPaths : most;
    return [change, then, bound] as const;
  }),
);

test.each(cases)(
  'a restore of 1,000 files (%s; then %s) and its undo start at most %i processes each',
  (change, then, bound) => {
    const repository = scratchRepository({ files, commit: true });
    pitr(repository.path, ['snapshot']);
    for (const [n, path] of Object.keys(files).entries()) {
      const result = changes[change]?.(path, n);
      if (result?.[0] !== path) repository.remove(path);
      if (result !== undefined) repository.write(...result);
    }
    const args = between[then as keyof typeof between];
    if (args.length > 0) repository.git(...args);
    const before = repository.hashTree();
    const restore = countProcesses(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
    expect(restore.result.stderr).toBe('');
    for (const [path, content] of Object.entries(files)) expect(repository.read(path)).toBe(content);
    expect(restore.started.slice(bound)).toEqual([]);
    const undo = countProcesses(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual(before);
    expect(undo.started.slice(most)).toEqual([]);
  },
);
