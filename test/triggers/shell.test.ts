/** The shell function, in the shells themselves. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { shells } from '../../src/triggers/shell.ts';
import { pitr } from '../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { hashTree } from '../support/hash-tree.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';

const has = (program: string) => spawnSync(program, ['-c', 'exit 0']).status === 0;
const required = process.env['CI'] === 'true';

/** All of them with PITR_CAMPAIGN=1. */
const tried = process.env['PITR_CAMPAIGN'] === '1' ? shells : shells.filter((shell) => shell !== 'zsh');

function inShell(shell: string, cwd: string, line: string) {
  const start = path.join(scratchFolder(), 'start');
  writeFileSync(start, pitr(cwd, ['shell-init', shell]).stdout);
  const flags = shell === 'zsh' ? ['-f'] : shell === 'fish' ? ['--no-config'] : ['--norc', '--noprofile'];
  const { status, stdout, stderr } = spawnSync(shell, [...flags, '-c', `source ${start}; ${line}`], {
    cwd,
    env: cleanEnvironment({ ...testIdentity, HOME: scratchFolder() }),
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

const taken = (cwd: string) =>
  pitr(cwd, ['list', '--json']).json<{ snapshots: { trigger: string; type: string }[] }>().snapshots;

/** Two commits, a branch, a stash, changes, an untracked file, an ignored one that is included. */
function busy(): TestRepository {
  const repository = scratchRepository({ files: { a: 'first\n', '.gitignore': '.env\n' }, commit: true });
  repository.git('config', 'pitr.include', '.env');
  repository.write('a', 'stashed\n');
  repository.git('stash');
  repository.write('a', 'second\n');
  repository.commit('second');
  repository.git('branch', 'side');
  repository.write('a', 'unsaved\n');
  repository.write('untracked/file', 'never added\n');
  repository.write('.env', 'SECRET=1\n');
  return repository;
}

describe.each(tried)('in %s', (shell) => {
  test.skipIf(!has(shell) && !required)(
    'what git destroys comes back, untracked and included files too',
    () => {
      for (const line of [
        'git reset -q --hard HEAD~1',
        'git checkout -q -- .',
        'git checkout -q a',
        'git clean -fdxq',
        'git -C untracked checkout -q -- ../a',
        'git restore a',
        'git -c core.safecrlf=false checkout -qf side',
        'git rm -qf a',
      ]) {
        const repository = busy();
        const before = hashTree(repository.path);
        const { code, stderr } = inShell(shell, repository.path, line);
        expect([line, code, stderr]).toEqual([line, 0, '']);
        expect([line, hashTree(repository.path)]).not.toEqual([line, before]);
        expect([line, taken(repository.path)]).toMatchObject([line, [{ type: 'safety', trigger: 'guard' }]]);
        pitr(repository.path, ['restore', '--snapshot', 'latest', '--yes']);
        expect([line, hashTree(repository.path)]).toEqual([line, before]);
      }
    },
  );

  test.skipIf(!has(shell) && !required)(
    'a snapshot comes before what loses commits, and before nothing else',
    () => {
      for (const line of [
        'git stash drop -q',
        'git branch -qD side',
        'git gc -q --prune=now',
        'git reflog expire --all',
      ]) {
        const repository = busy();
        expect([line, inShell(shell, repository.path, line).code]).toEqual([line, 0]);
        expect([line, taken(repository.path).length]).toEqual([line, 1]);
      }
      const repository = busy();
      const quiet = [
        'git status --short',
        'git log --oneline -p -- a',
        'git reset -q',
        'git checkout -q -b fresh',
        'git -C . branch',
        'git stash list',
        'git diff --stat --hard 2>/dev/null; true',
        'git config alias.x "reset --hard"',
      ];
      expect(inShell(shell, repository.path, quiet.join('; ')).stdout).toContain('?? untracked/');
      expect(existsSync(repository.resolve('.git/pitr'))).toBe(false);
    },
  );

  test.skipIf(!has(shell) && !required)('arguments arrive as they were given, and so do exit codes', () => {
    const repository = busy();
    repository.write('odd $name *', 'x\n');
    const shown = inShell(
      shell,
      repository.path,
      `git status --short 'odd $name *' ''; git rev-parse --verify -q nothing`,
    );
    expect(shown.code).toBe(1);
    const added = inShell(shell, repository.path, `git rm -qf --ignore-unmatch 'odd $name *' 'a b'`);
    expect(added).toMatchObject({ code: 0 });
  });

  test.skipIf(!has(shell) && !required)(
    'git is not run when the state before cannot be recorded, but outside of a repository',
    () => {
      const repository = busy();
      repository.git('config', 'pitr.maxSnapshotSize', '3');
      const { code, stderr } = inShell(shell, repository.path, 'git reset --hard');
      expect(code).toBe(1);
      expect(stderr).toContain('git reset was not run');
      expect(repository.read('a')).toBe('unsaved\n');
      const elsewhere = scratchFolder();
      mkdirSync(path.join(elsewhere, 'x'));
      expect(inShell(shell, elsewhere, 'git clean -fdx').stderr).toContain('not a git repository');
    },
  );
});

test('a shell of no such name is wrong usage', () => {
  for (const operands of [['tcsh'], []])
    expect(pitr(scratchFolder(), ['shell-init', ...operands], { expectCode: 2 }).stdout).toBe('');
});

const hasChecker = spawnSync('shellcheck', ['--version']).error === undefined;

test.skipIf(!hasChecker && !required)('shellcheck finds nothing in the function', () => {
  const text = pitr(scratchFolder(), ['shell-init', 'bash']).stdout;
  expect(execFileSync('shellcheck', ['-s', 'bash', '-'], { input: text, encoding: 'utf8' })).toBe('');
});
