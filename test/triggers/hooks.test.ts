/** git's own hooks, run by real git. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hookNames } from '../../src/triggers/hooks.ts';
import { command, pitr } from '../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

/** As a GUI has it: nothing but the system's folders. */
const barePath = { PATH: '/usr/bin:/bin' };

function runGit(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync('git', args, {
    cwd,
    env: cleanEnvironment({ ...testIdentity, ...barePath, ...env }),
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

/** Which hooks have taken a snapshot, oldest first; without repetition. */
function fired(cwd: string): string[] {
  const { snapshots } = pitr(cwd, ['list', '--json']).json<{ snapshots: { trigger: string }[] }>();
  return [...new Set(snapshots.map(({ trigger }) => trigger).toReversed())];
}

function withHooks(only: readonly string[] = hookNames): TestRepository {
  const repository = scratchRepository({ files: { a: 'first\n' }, commit: true });
  pitr(repository.path, ['hooks', 'install', '--only', only.join(',')]);
  return repository;
}

/** Bytes, modes and links of a folder of hooks. */
function hookFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const file = path.join(folder, name);
      const stat = lstatSync(file);
      const content = stat.isSymbolicLink()
        ? readlinkSync(file)
        : stat.isFile()
          ? readFileSync(file, 'latin1')
          : '';
      return `${name} ${stat.mode.toString(8)} ${content}`;
    });
}

describe('each hook takes its snapshot', () => {
  test('after an amended commit, and before an automatic gc', () => {
    const repository = withHooks(['post-rewrite', 'pre-auto-gc']);
    repository.write('a', 'amended\n');
    runGit(repository.path, ['commit', '-q', '--amend', '-am', 'amended']);
    repository.write('a', 'unsaved\n');
    expect(runGit(repository.path, ['hook', 'run', 'pre-auto-gc'])).toMatchObject({ code: 0, stderr: '' });
    expect(fired(repository.path)).toEqual(['hook:post-rewrite', 'hook:pre-auto-gc']);
  });

  test('around commits and merges', () => {
    const repository = withHooks();
    repository.write('a', 'second\n');
    expect(runGit(repository.path, ['commit', '-qam', 'second'])).toMatchObject({ code: 0, stderr: '' });
    repository.write('a', 'third\n');
    repository.git('commit', '-qam', 'third');
    runGit(repository.path, ['checkout', '-q', '-b', 'side', 'HEAD~1']);
    repository.write('b', 'side\n');
    repository.commit('side');
    repository.write('untracked', 'only here\n');
    expect(runGit(repository.path, ['merge', '-q', '--no-edit', 'main']).code).toBe(0);
    expect(fired(repository.path)).toEqual(
      expect.arrayContaining(
        ['pre-commit', 'post-commit', 'post-checkout', 'pre-merge-commit', 'post-merge'].map(
          (name) => `hook:${name}`,
        ),
      ),
    );
  });

  test('before a rebase, once, with what it is about to move', () => {
    const repository = withHooks();
    for (const name of ['one', 'two', 'three']) {
      repository.write(name, `${name}\n`);
      repository.commit(name);
    }
    runGit(repository.path, ['checkout', '-q', '-b', 'other', 'HEAD~3']);
    repository.write('other', 'other\n');
    repository.commit('other');
    const before = pitr(repository.path, ['list', '--json']).json<{ snapshots: unknown[] }>().snapshots
      .length;
    repository.write('untracked', 'unsaved\n');
    expect(runGit(repository.path, ['rebase', '-q', 'main']).code).toBe(0);
    const { snapshots } = pitr(repository.path, ['list', '--json']).json<{
      snapshots: { trigger: string }[];
    }>();
    const since = snapshots.slice(0, snapshots.length - before).map(({ trigger }) => trigger);
    expect(since.filter((trigger) => trigger === 'hook:pre-rebase')).toHaveLength(1);
    expect(since).not.toContain('hook:post-commit');
  });

  test('before a patch and a push', () => {
    const repository = withHooks();
    repository.write('a', 'patched\n');
    const patch = path.join(scratchFolder(), 'patch');
    repository.commit('patched');
    writeFileSync(patch, `${repository.git('format-patch', '--stdout', '-1')}\n\n`);
    repository.git('reset', '-q', '--hard', 'HEAD~1');
    repository.write('unsaved', 'x\n');
    expect(runGit(repository.path, ['am', '-q', patch]).code).toBe(0);
    const remote = path.join(scratchFolder(), 'remote.git');
    execFileSync('git', ['init', '-q', '--bare', remote], { env: cleanEnvironment() });
    repository.write('unsaved', 'y\n');
    expect(runGit(repository.path, ['push', '-q', remote, 'main']).code).toBe(0);
    expect(fired(repository.path)).toEqual(expect.arrayContaining(['hook:pre-applypatch', 'hook:pre-push']));
  });

  test('in a linked worktree, on its own line, and from a folder below', () => {
    const repository = withHooks();
    const linked = path.join(scratchFolder(), 'linked');
    repository.git('worktree', 'add', '-q', linked);
    mkdirSync(path.join(linked, 'deep'));
    writeFileSync(path.join(linked, 'deep/a'), 'linked\n');
    runGit(path.join(linked, 'deep'), ['add', 'a']);
    expect(runGit(path.join(linked, 'deep'), ['commit', '-qm', 'linked'])).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(fired(linked)).toContain('hook:pre-commit');
    expect(repository.git('for-each-ref', '--format=%(refname)', 'refs/pitr')).toContain('refs/pitr/linked');
  });
});

/** Says how it was called, and ends with 7 when it is told to. */
const script = `#!/usr/bin/env bash
set -eu
echo "$(basename "$0") in $(dirname "$0"): $* <$(cat)>" >>"$TOLD"
[ ! -e fail ] || exit 7
`;

describe('a hook that was there', () => {
  const told = () => path.join(scratchFolder(), 'told');

  test('goes on with its name, place, arguments, input and exit code, and comes back byte for byte', () => {
    const repository = scratchRepository({ files: { a: 'first\n' }, commit: true });
    const hooks = repository.resolve('.git/hooks');
    for (const name of ['pre-commit', 'pre-push', 'post-rewrite']) {
      writeFileSync(path.join(hooks, name), script);
      chmodSync(path.join(hooks, name), 0o750);
    }
    const before = hookFiles(hooks);
    pitr(repository.path, ['hooks', 'install']);
    pitr(repository.path, ['hooks', 'install']);
    const TOLD = told();
    repository.write('a', 'second\n');
    runGit(repository.path, ['commit', '-qam', 'second'], { TOLD });
    runGit(repository.path, ['commit', '-q', '--amend', '-m', 'again'], { TOLD });
    const remote = path.join(scratchFolder(), 'remote.git');
    execFileSync('git', ['init', '-q', '--bare', remote], { env: cleanEnvironment() });
    runGit(repository.path, ['push', '-q', remote, 'main'], { TOLD });
    const head = repository.git('rev-parse', 'HEAD');
    const lines = readFileSync(TOLD, 'utf8');
    expect(lines).toContain('pre-commit in .git/hooks:  <>');
    expect(lines).toMatch(new RegExp(`post-rewrite in .git/hooks: amend <[0-9a-f]{40} ${head}`));
    expect(lines).toContain(
      `pre-push in .git/hooks: ${remote} ${remote} <refs/heads/main ${head} refs/heads/main `,
    );
    repository.write('fail', '');
    expect(runGit(repository.path, ['commit', '-q', '--allow-empty', '-m', 'no'], { TOLD }).code).toBe(1);
    expect(runGit(repository.path, ['push', '-q', remote, 'HEAD:refs/heads/x'], { TOLD }).code).toBe(1);
    pitr(repository.path, ['hooks', 'uninstall']);
    expect(hookFiles(hooks)).toEqual(before);
  });

  test('may be a program, a link or switched off: each goes on as it was, and comes back', () => {
    const repository = scratchRepository({ files: { a: 'first\n', 'scripts/hook': script }, commit: true });
    const hooks = repository.resolve('.git/hooks');
    chmodSync(repository.resolve('scripts/hook'), 0o755);
    symlinkSync('../../scripts/hook', path.join(hooks, 'pre-commit'));
    copyFileSync('/bin/true', path.join(hooks, 'post-commit'));
    writeFileSync(path.join(hooks, 'pre-push'), script, { mode: 0o644 });
    writeFileSync(path.join(hooks, 'post-merge'), '#!/usr/bin/env node\nprocess.exit(0)\n', { mode: 0o755 });
    const [before, linked] = [hookFiles(hooks), repository.read('scripts/hook')];
    pitr(repository.path, ['hooks', 'install']);
    const TOLD = told();
    repository.write('a', 'second\n');
    expect(runGit(repository.path, ['commit', '-qam', 'second'], { TOLD })).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(TOLD, 'utf8')).toMatch(/^pre-commit in /);
    expect(fired(repository.path)).toEqual(['hook:pre-commit', 'hook:post-commit']);
    const remote = path.join(scratchFolder(), 'remote.git');
    execFileSync('git', ['init', '-q', '--bare', remote], { env: cleanEnvironment() });
    repository.write('fail', '');
    expect(runGit(repository.path, ['push', '-q', remote, 'main'], { TOLD }).code).toBe(0);
    expect(repository.read('scripts/hook')).toBe(linked);
    pitr(repository.path, ['hooks', 'uninstall']);
    expect(hookFiles(hooks)).toEqual(before);
  });

  test("of husky works: its generated folder is core.hooksPath, and the project's scripts are elsewhere", () => {
    const repository = scratchRepository({
      files: { a: 'first\n', '.husky/pre-commit': 'echo "husky $*" >>"$TOLD"\n' },
    });
    // As husky 9 makes it.
    mkdirSync(repository.resolve('.husky/_'));
    repository.write('.husky/_/.gitignore', '*');
    repository.write(
      '.husky/_/h',
      `#!/usr/bin/env sh\nn=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\n`,
    );
    for (const name of ['pre-commit', 'post-commit', 'post-checkout']) {
      repository.write(`.husky/_/${name}`, `#!/usr/bin/env sh\n. "$(dirname "$0")/h"`);
      chmodSync(repository.resolve(`.husky/_/${name}`), 0o755);
    }
    repository.git('config', 'core.hooksPath', '.husky/_');
    const before = hookFiles(repository.resolve('.husky/_'));
    pitr(repository.path, ['hooks', 'install']);
    const TOLD = told();
    repository.git('add', '--all');
    expect(runGit(repository.path, ['commit', '-qm', 'first'], { TOLD })).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(TOLD, 'utf8')).toBe('husky \n');
    expect(fired(repository.path)).toEqual(['hook:pre-commit', 'hook:post-commit']);
    expect(repository.git('status', '--porcelain')).toBe('');
    pitr(repository.path, ['hooks', 'uninstall']);
    expect(hookFiles(repository.resolve('.husky/_'))).toEqual(before);
  });

  test('that was changed after ours came in keeps the change', () => {
    const repository = scratchRepository({ files: { a: 'first\n' }, commit: true });
    const file = repository.resolve('.git/hooks/pre-commit');
    writeFileSync(file, '#!/bin/sh\ntrue\n', { mode: 0o755 });
    pitr(repository.path, ['hooks', 'install']);
    writeFileSync(file, `${readFileSync(file, 'utf8')}echo added later\n`);
    const own = repository.resolve('.git/hooks/post-commit');
    writeFileSync(own, `${readFileSync(own, 'utf8')}echo added to ours\n`);
    pitr(repository.path, ['hooks', 'uninstall']);
    expect(readFileSync(file, 'utf8')).toBe('#!/bin/sh\ntrue\necho added later\n');
    expect(readFileSync(own, 'utf8')).toBe('#!/bin/sh\necho added to ours\n');
  });

  test('is not touched where it is a file of the project, or of other repositories too', () => {
    const repository = scratchRepository({ files: { '.githooks/pre-commit': script }, commit: true });
    repository.git('config', 'core.hooksPath', '.githooks');
    const { stderr } = pitr(repository.path, ['hooks', 'install'], { expectCode: 4 });
    expect(stderr).toContain('files of the project');
    const shared = scratchFolder();
    repository.git('config', 'core.hooksPath', shared);
    expect(pitr(repository.path, ['hooks', 'install'], { expectCode: 4 }).stderr).toContain('outside');
    expect(readdirSync(shared)).toEqual([]);
    expect(repository.read('.githooks/pre-commit')).toBe(script);
  });
});

describe('a git-pitr that fails never stops git', () => {
  function commit(repository: TestRepository, env: Record<string, string> = {}) {
    repository.write('a', `${Math.random()}\n`);
    return runGit(repository.path, ['commit', '-qam', 'goes on'], env);
  }

  /** Puts another program in the place of the one that the hook starts. */
  function replaceProgram(repository: TestRepository, text: string): void {
    const dispatcher = repository.resolve('.git/pitr/hooks/git-pitr-hook');
    const program = path.join(scratchFolder(), 'program.cjs');
    writeFileSync(program, text);
    writeFileSync(dispatcher, readFileSync(dispatcher, 'utf8').replace(`'${command}'`, `'${program}'`));
  }

  test.each([
    ['one that hangs', 'setInterval(() => {}, 1000)', 'no snapshot was taken within 1 s'],
    [
      'one that ignores signals',
      "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)",
      'within 1 s',
    ],
    ['one that crashes', 'process.abort()', 'no snapshot was taken'],
    ['one that kills itself', "process.kill(process.pid, 'SIGKILL')", 'git goes on'],
    ['one that says no', "console.error('no'); process.exit(4)", 'no snapshot was taken (exit code 4)'],
  ])('%s', (_, text, said) => {
    const repository = scratchRepository({ files: { a: 'first\n' }, commit: true });
    repository.git('config', 'pitr.hookTimeout', '1s');
    pitr(repository.path, ['hooks', 'install', '--only', 'pre-commit']);
    replaceProgram(repository, text);
    const { code, stderr } = commit(repository);
    expect(code).toBe(0);
    expect(stderr).toContain(said);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(existsSync(repository.resolve('.git/pitr/hooks/log'))).toBe(true);
  });

  test('one that is gone, and one whose folder is gone: the first is told, the second is as if it had never been', () => {
    const repository = withHooks(['pre-commit']);
    const dispatcher = repository.resolve('.git/pitr/hooks/git-pitr-hook');
    writeFileSync(
      dispatcher,
      readFileSync(dispatcher, 'utf8').replace(`'${command}'`, `'/gone/git-pitr.cjs'`),
    );
    const first = commit(repository);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain('git goes on');
    expect(pitr(repository.path, ['hooks', 'status'], { expectCode: 1 }).stdout).toContain('is gone');
    renameSync(repository.resolve('.git/pitr'), path.join(scratchFolder(), 'pitr'));
    expect(commit(repository)).toMatchObject({ code: 0, stderr: '' });
  });
});

test('a push of snapshots is refused unless it is asked for', () => {
  const repository = withHooks();
  pitr(repository.path, ['snapshot', '--allow-empty']);
  const remote = path.join(scratchFolder(), 'remote.git');
  execFileSync('git', ['init', '-q', '--bare', remote], { env: cleanEnvironment() });
  const refused = runGit(repository.path, ['push', '-q', '--mirror', remote]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('Nothing was pushed');
  expect(readdirSync(path.join(remote, 'refs/heads'))).toEqual([]);
  expect(runGit(repository.path, ['push', '-q', '--mirror', remote], { PITR_ALLOW_PUSH: '1' }).code).toBe(0);
  expect(statSync(path.join(remote, 'refs/pitr/main')).isFile()).toBe(true);
});

test('status says what is there, and a hook of no such name is wrong usage', () => {
  const repository = withHooks(['pre-commit']);
  const { hooks } = pitr(repository.path, ['hooks', 'status', '--json']).json<{
    hooks: { name: string; installed: boolean }[];
  }>();
  expect(hooks.map(({ name }) => name)).toEqual(hookNames);
  expect(hooks.filter(({ installed }) => installed).map(({ name }) => name)).toEqual(['pre-commit']);
  pitr(repository.path, ['hooks', 'install', '--only', 'pre-comit'], { expectCode: 2 });
  pitr(repository.path, ['hooks'], { expectCode: 2 });
});
