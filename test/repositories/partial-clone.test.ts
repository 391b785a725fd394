/** Partial clones: nothing is ever fetched, and nothing fails because an object was never fetched. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository } from '../support/scratch.ts';
import { git, restore, roundTrip, snapshot } from './support/round-trip.ts';

interface Clone {
  folder: string;
  env: Record<string, string>;
  write(file: string, content: string): void;
  remove(file: string): void;
  /** The commands of every git process so far, each its arguments joined with blanks. */
  commands(): string[];
  /** The types of the objects of HEAD that were never fetched. */
  missing: Set<string>;
}

/**
 * A partial clone whose remote is gone, with three commits, an `in/` and an `out/`. Every git process that git-pitr
 * starts from now on is written down by git itself.
 */
function partial(filter: string, checkout?: readonly string[]): Clone {
  const origin = scratchRepository({
    files: { 'in/a.txt': 'old a\n', 'out/b.txt': 'old b\n' },
    commit: true,
  });
  for (const file of ['top.txt', 'in/a.txt', 'in/more/c.txt', 'out/b.txt', 'out/deep/d.txt'])
    origin.write(file, `${file}\n`);
  origin.commit('second');
  for (const key of ['uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant'])
    origin.git('config', key, 'true');
  const folder = path.join(scratchFolder(), 'clone');
  const url = `file://${origin.path}`;
  git(origin.path, 'clone', '--quiet', `--filter=${filter}`, '--no-checkout', url, folder);
  const patterns = checkout?.includes('--no-cone') === true ? ['/*', '!/*/', '/in/'] : ['in'];
  if (checkout !== undefined) git(folder, 'sparse-checkout', 'set', ...checkout, ...patterns);
  git(folder, 'checkout', '--quiet', 'main');
  // What comes in now outside the cone need not be fetched, not even its trees where the index is a sparse one.
  origin.write('out/deep/d.txt', 'third\n');
  origin.write('out/other/e.txt', 'third\n');
  origin.commit('third');
  git(folder, 'pull', '--quiet', '--ff-only');
  const missing = new Set(
    git(folder, 'rev-list', '--objects', '--missing=print', '--no-walk', 'HEAD')
      .split('\n')
      .filter((line) => line.startsWith('?'))
      .map((line) => origin.git('cat-file', '-t', line.slice(1))),
  );
  renameSync(path.join(origin.path, '.git'), path.join(origin.path, 'gone'));
  const config = path.join(scratchFolder(), 'config');
  const trace = path.join(scratchFolder(), 'trace');
  writeFileSync(config, `[trace2]\n\teventTarget = ${trace}\n`);
  return {
    folder,
    env: { GIT_CONFIG_GLOBAL: config },
    write: (file, content) => {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), content);
    },
    remove: (file) => rmSync(path.join(folder, file), { recursive: true }),
    commands: () => startedIn(trace),
    missing,
  };
}

function startedIn(trace: string): string[] {
  if (!existsSync(trace)) return [];
  return readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { event: string; argv?: string[] })
    .filter(({ event }) => event === 'start' || event === 'child_start')
    .map(({ argv = [] }) => argv.join(' '));
}

/** The commands among all that were started which go to a remote. */
function fetches(clone: Clone): string[] {
  const commands = clone.commands();
  if (commands.length < 20) throw new Error('git did not write down what it started');
  return commands.filter((line) => /fetch|upload-pack|remote-|rev-list --objects --stdin/.test(line));
}

const clones: [string, string, string[] | undefined][] = [
  ['blob:none', 'blob:none', undefined],
  ['blob:none with a sparse cone', 'blob:none', ['--cone']],
  ['blob:none with a sparse index', 'blob:none', ['--cone', '--sparse-index']],
  ['blob:none, not in cone mode', 'blob:none', ['--no-cone']],
  ['tree:0', 'tree:0', undefined],
  ['tree:0 with a sparse cone', 'tree:0', ['--cone']],
  ['tree:0 with a sparse index', 'tree:0', ['--cone', '--sparse-index']],
];

test.each(clones)(
  '%s: snapshot, restore and undo fetch nothing and fail at nothing',
  (_, filter, checkout) => {
    const clone = partial(filter, checkout);
    if (checkout !== undefined) expect(clone.missing.size).toBeGreaterThan(0);
    clone.write('untracked.txt', 'mine\n');
    roundTrip(
      clone.folder,
      () => {
        clone.write('in/a.txt', 'changed\n');
        clone.write('new/x.txt', 'new\n');
        clone.remove('top.txt');
        clone.remove('untracked.txt');
      },
      { env: clone.env },
    );
    expect(fetches(clone)).toEqual([]);
  },
);

test.each(clones)('%s: every other command works too, and fetches nothing', (_, filter, checkout) => {
  const clone = partial(filter, checkout);
  const run = (...args: string[]) => pitr(clone.folder, args, { env: clone.env });
  clone.write('in/a.txt', 'changed\n');
  run('snapshot', '-m', 'one');
  clone.write('in/a.txt', 'changed again\n');
  git(clone.folder, 'add', 'in/a.txt');
  run('snapshot', '-m', 'two');
  run('list');
  run('list', '--path', 'in/a.txt');
  run('show');
  run('diff', 'latest~1', 'latest');
  run('diff');
  run('restore', '--snapshot', 'latest~1', '--dry-run');
  run('restore', '--snapshot', 'latest~1', '--yes', '--', 'in');
  expect(readFileSync(path.join(clone.folder, 'in/a.txt'), 'utf8')).toBe('changed\n');
  run('undo', '--yes');
  run('restore', '--snapshot', 'latest~1', '--yes', '--staged');
  expect(fetches(clone)).toEqual([]);
});

test('a snapshot after the index went back to a commit whose blobs were never fetched', () => {
  const clone = partial('blob:none');
  git(clone.folder, 'update-ref', 'refs/heads/main', 'HEAD~1');
  snapshot(clone.folder, [], { env: clone.env });
  clone.write('in/a.txt', 'changed\n');
  restore(clone.folder, [], { env: clone.env });
  expect(readFileSync(path.join(clone.folder, 'in/a.txt'), 'utf8')).toBe('in/a.txt\n');
  expect(fetches(clone)).toEqual([]);
});

test('a cone that was widened by hand is recorded as far as it is on disk', () => {
  const clone = partial('blob:none', ['--cone']);
  snapshot(clone.folder, [], { env: clone.env });
  clone.write('out/b.txt', 'written by hand\n');
  roundTrip(clone.folder, () => clone.write('out/b.txt', 'again\n'), { env: clone.env });
  expect(fetches(clone)).toEqual([]);
});

test('--into says which files a partial clone does not have, writes nothing, and fetches nothing', () => {
  const clone = partial('blob:none', ['--cone']);
  snapshot(clone.folder, [], { env: clone.env });
  const folder = path.join(scratchFolder(), 'into');
  const refused = pitr(clone.folder, ['restore', '--snapshot', 'latest', '--into', folder, '--json'], {
    env: clone.env,
    expectCode: 1,
  });
  expect(refused.json<{ error: { message: string } }>().error.message).toMatch(/out\/b\.txt.*partial clone/s);
  expect(existsSync(folder)).toBe(false);
  pitr(clone.folder, ['restore', '--snapshot', 'latest', '--into', folder, '--', 'in'], { env: clone.env });
  expect(readFileSync(path.join(folder, 'in/a.txt'), 'utf8')).toBe('in/a.txt\n');
  expect(fetches(clone)).toEqual([]);
});
