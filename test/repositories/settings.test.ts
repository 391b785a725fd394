/** The user's settings of git: how files are compared, how the index is kept, what must not be run. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../support/scratch.ts';
import { recordedFiles, restore, roundTrip, snapshot } from './support/round-trip.ts';

function plain(config: Readonly<Record<string, string>> = {}): TestRepository {
  const repository = scratchRepository();
  for (const [key, value] of Object.entries(config)) repository.git('config', key, value);
  repository.write('a.txt', 'a\n');
  repository.write('dir/b.txt', 'b\n');
  repository.write('dir/run.sh', '#!/bin/sh\n', 0o755);
  repository.commit('first');
  repository.write('untracked.txt', 'mine\n');
  return repository;
}

function change(repository: TestRepository): void {
  repository.write('a.txt', 'changed\n');
  repository.write('dir/new.txt', 'new\n');
  repository.remove('dir/b.txt');
  repository.remove('untracked.txt');
}

test.each([
  ['core.fileMode=false', { 'core.fileMode': 'false' }],
  ['core.symlinks=false', { 'core.symlinks': 'false' }],
  ['core.ignoreCase=true', { 'core.ignoreCase': 'true' }],
  ['core.precomposeUnicode=true', { 'core.precomposeUnicode': 'true' }],
  [
    'core.trustctime=false and checkStat=minimal',
    { 'core.trustctime': 'false', 'core.checkStat': 'minimal' },
  ],
  ['core.autocrlf=input', { 'core.autocrlf': 'input' }],
  ['core.quotePath=false', { 'core.quotePath': 'false' }],
  ['core.bigFileThreshold=1', { 'core.bigFileThreshold': '1' }],
  ['core.logAllRefUpdates=always', { 'core.logAllRefUpdates': 'always' }],
  ['core.splitIndex=true', { 'core.splitIndex': 'true' }],
  ['core.untrackedCache=true', { 'core.untrackedCache': 'true' }],
  ['feature.manyFiles=true (index v4)', { 'feature.manyFiles': 'true' }],
  ['index.version=4', { 'index.version': '4' }],
  ['index.skipHash=true', { 'index.skipHash': 'true' }],
  [
    'index.threads and end of index entries',
    { 'index.threads': '4', 'index.recordEndOfIndexEntries': 'true' },
  ],
  ['status.showUntrackedFiles=no', { 'status.showUntrackedFiles': 'no' }],
  ['diff.external and diff.renames', { 'diff.external': 'false', 'diff.renames': 'copies' }],
  [
    'diff.noPrefix, submodule and colour',
    { 'diff.noprefix': 'true', 'diff.submodule': 'log', 'color.ui': 'always' },
  ],
  [
    'log.showSignature, a format and a pager',
    { 'log.showSignature': 'true', 'format.pretty': 'oneline', 'core.pager': 'false' },
  ],
  [
    'commit.gpgSign without a key',
    { 'commit.gpgSign': 'true', 'user.signingKey': 'none', 'tag.gpgSign': 'true' },
  ],
  [
    'notes.displayRef and rewriteRef',
    { 'notes.displayRef': 'refs/notes/*', 'notes.rewriteRef': 'refs/notes/*' },
  ],
  [
    'transfer.fsckObjects and receive rules',
    { 'transfer.fsckObjects': 'true', 'receive.denyDeletes': 'true' },
  ],
  ['gc.auto=1', { 'gc.auto': '1' }],
  ['pack.writeReverseIndex, compression 0', { 'pack.writeReverseIndex': 'true', 'core.compression': '0' }],
])('%s: round trip', (_, config) => {
  const repository = plain();
  // The commit itself must be possible: what is tested is git-pitr under these settings.
  for (const [key, value] of Object.entries(config)) repository.git('config', key, value);
  if ('core.splitIndex' in config) repository.git('update-index', '--split-index');
  if ('index.version' in config) repository.git('update-index', '--index-version', '4');
  if ('core.untrackedCache' in config) repository.git('update-index', '--untracked-cache');
  repository.git('status');
  const { plan } = roundTrip(repository.path, () => change(repository));
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['a.txt']);
  expect(plan.create.map((entry) => entry.path)).toEqual(['dir/b.txt', 'untracked.txt']);
  expect(plan.delete.map((entry) => entry.path)).toEqual(['dir/new.txt']);
});

test('a split index: staged changes, and a snapshot after each of many small updates', () => {
  const repository = plain();
  repository.git('config', 'core.splitIndex', 'true');
  repository.git('config', 'splitIndex.maxPercentChange', '100');
  repository.git('update-index', '--split-index');
  expect(readdirSync(repository.resolve('.git')).some((name) => name.startsWith('sharedindex.'))).toBe(true);
  for (let turn = 0; turn < 3; turn++) {
    repository.write('a.txt', `staged ${turn}\n`);
    repository.git('add', 'a.txt');
    repository.write('a.txt', `on disk ${turn}\n`);
    const { snapshot: taken } = snapshot(repository.path);
    expect(recordedFiles(repository.path, taken.commit).get('a.txt')).toBe(`on disk ${turn}`);
    expect(repository.git('show', `${taken.commit}:staged/a.txt`)).toBe(`staged ${turn}`);
  }
  restore(repository.path, ['--snapshot', 'latest~2', '--staged']);
  expect(repository.git('show', ':a.txt')).toBe('staged 0');
  expect(repository.read('a.txt')).toBe('on disk 0\n');
});

test('a file system monitor that says nothing ever changes is not believed', () => {
  const repository = plain();
  const monitor = path.join(scratchFolder(), 'monitor');
  writeFileSync(monitor, "#!/bin/sh\nprintf 'token\\0'\n", { mode: 0o755 });
  repository.git('config', 'core.fsmonitor', monitor);
  repository.git('update-index', '--fsmonitor');
  repository.git('status');
  const { snapshot: first } = snapshot(repository.path);
  repository.write('a.txt', 'changed\n');
  repository.write('dir/new.txt', 'new\n');
  expect(repository.git('status', '--porcelain', '--untracked-files=no')).toBe('');
  const { plan } = restore(repository.path, ['--snapshot', first.id]);
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['a.txt']);
  expect(plan.delete.map((entry) => entry.path)).toEqual(['dir/new.txt']);
  expect(repository.read('a.txt')).toBe('a\n');
});

test('core.fileMode=false: a mode that git does not trust is no change, and content keeps its index mode', () => {
  const repository = plain();
  repository.git('config', 'core.fileMode', 'false');
  const { snapshot: first } = snapshot(repository.path);
  chmodSync(repository.resolve('a.txt'), 0o755);
  expect(snapshot(repository.path)).toMatchObject({ created: false, snapshot: { id: first.id } });
});

test('core.fileMode=false: an untracked program is still one after a restore', () => {
  const repository = plain({ 'core.fileMode': 'false' });
  repository.write('run.sh', '#!/bin/sh\n', 0o755);
  roundTrip(repository.path, () => repository.remove('run.sh'));
  expect(statSync(repository.resolve('run.sh')).mode & 0o777).toBe(0o755);
});

test('the same settings in the global configuration do no more harm than in the repository', () => {
  const repository = plain();
  const file = path.join(scratchFolder(), 'config');
  writeFileSync(
    file,
    '[core]\n\tignoreCase = true\n\tsplitIndex = true\n\tuntrackedCache = true\n\tautocrlf = true\n' +
      '[feature]\n\tmanyFiles = true\n[sparse]\n\texpectFilesOutsideOfPatterns = true\n',
  );
  const env = { GIT_CONFIG_GLOBAL: file };
  repository.write('A.TXT', 'another file\r\n');
  const { snapshot: taken } = roundTrip(
    repository.path,
    () => {
      change(repository);
      repository.remove('A.TXT');
    },
    { env },
  );
  expect(recordedFiles(repository.path, taken.commit).get('A.TXT')).toBe('another file\r');
});

test('core.ignoreCase=true where the file system tells cases apart hides no file', () => {
  const repository = plain({ 'core.ignoreCase': 'true' });
  repository.write('A.TXT', 'another file\n');
  repository.write('Untracked.txt', 'another one\n');
  const { snapshot: taken } = roundTrip(repository.path, () => {
    for (const name of ['A.TXT', 'Untracked.txt']) repository.remove(name);
  });
  const files = recordedFiles(repository.path, taken.commit);
  expect(files.get('A.TXT')).toBe('another file');
  expect(files.get('Untracked.txt')).toBe('another one');
});

test('core.symlinks=false: a link that git wrote as a file is recorded as git tracks it and comes back', () => {
  const repository = plain();
  repository.symlink('link', 'a.txt');
  repository.commit('link');
  repository.git('config', 'core.symlinks', 'false');
  repository.remove('link');
  repository.write('link', 'a.txt');
  const { plan } = roundTrip(repository.path, () => repository.write('link', 'dir/b.txt'));
  expect(plan.overwrite.map((entry) => entry.path)).toEqual(['link']);
  expect(repository.read('link')).toBe('a.txt');
});

test('core.autocrlf=true: line ends come back as they were on disk, whatever git would make of them', () => {
  const repository = plain();
  repository.git('config', 'core.autocrlf', 'true');
  repository.write('crlf.txt', 'one\r\ntwo\r\n');
  repository.write('lf.txt', 'one\ntwo\n');
  repository.write('mixed.txt', 'one\r\ntwo\n');
  repository.git('config', 'core.safecrlf', 'false');
  repository.commit('line ends');
  roundTrip(repository.path, () => {
    for (const name of ['crlf.txt', 'lf.txt', 'mixed.txt']) repository.write(name, 'changed\r\n');
  });
  expect(repository.read('mixed.txt')).toBe('one\r\ntwo\n');
});

test("none of the user's programs is run: hooks, fsmonitor, filters of the worktree, aliases, credential helpers", () => {
  const repository = plain();
  const proof = scratchFolder();
  const program = path.join(proof, 'program');
  writeFileSync(program, `#!/bin/sh\necho "$0 $*" >>'${proof}/ran'\nexec cat\n`);
  chmodSync(program, 0o755);
  const hooks = path.join(proof, 'hooks');
  mkdirSync(hooks);
  for (const name of [
    'reference-transaction',
    'post-index-change',
    'fsmonitor-watchman',
    'post-checkout',
    'pre-auto-gc',
  ])
    writeFileSync(path.join(hooks, name), readProgram(program), { mode: 0o755 });
  repository.git('config', 'core.fsmonitor', program);
  repository.git('config', 'core.hooksPath', hooks);
  repository.git('config', 'core.sshCommand', program);
  repository.git('config', 'credential.helper', program);
  repository.git('config', 'core.alternateRefsCommand', program);
  repository.git('config', 'gc.auto', '1');
  snapshot(repository.path);
  change(repository);
  restore(repository.path);
  pitr(repository.path, ['undo', '--yes']);
  pitr(repository.path, ['diff', 'latest~1']);
  const ran = path.join(proof, 'ran');
  expect(existsSync(ran) ? readFileSync(ran, 'utf8') : '').toBe('');
});

function readProgram(program: string): string {
  return `#!/bin/sh\nexec '${program}' "$0" "$@"\n`;
}

test('filters of the user are run by nothing that records or restores', () => {
  const repository = plain();
  const proof = scratchFolder();
  repository.write('.gitattributes', '*.secret filter=vault\n');
  repository.write('x.secret', 'plain text\n');
  repository.git('config', 'filter.vault.clean', `sh -c 'echo clean >>"${proof}/ran"; sed s/^/enc:/'`);
  repository.git('config', 'filter.vault.smudge', `sh -c 'echo smudge >>"${proof}/ran"; sed s/^enc://'`);
  repository.git('config', 'filter.vault.required', 'true');
  repository.commit('with a filter');
  expect(repository.git('show', 'HEAD:x.secret')).toBe('enc:plain text');
  const { snapshot: taken } = snapshot(repository.path);
  expect(recordedFiles(repository.path, taken.commit).get('x.secret')).toBe('plain text');
  const size = statSync(path.join(proof, 'ran')).size;
  repository.write('untracked.txt', 'changed\n');
  snapshot(repository.path);
  pitr(repository.path, ['restore', '--snapshot', taken.id, '--into', path.join(proof, 'into')]);
  expect(statSync(path.join(proof, 'ran')).size).toBe(size);
  roundTrip(repository.path, () => repository.write('x.secret', 'other\n'));
});

test('a global excludes file and one under XDG_CONFIG_HOME are honoured, and noticed when they change', () => {
  const repository = plain();
  const xdg = scratchFolder();
  const file = path.join(xdg, 'git/ignore');
  mkdirSync(path.dirname(file));
  writeFileSync(file, '*.ignored\n');
  repository.write('x.ignored', 'x\n');
  const env = { XDG_CONFIG_HOME: xdg };
  const names = () => [
    ...recordedFiles(repository.path, snapshot(repository.path, [], { env }).snapshot.commit).keys(),
  ];
  expect(names()).not.toContain('x.ignored');
  writeFileSync(file, '');
  expect(names()).toContain('x.ignored');
  writeFileSync(file, '*.ignored\n');
  expect(names()).not.toContain('x.ignored');
});

test('no identity, no home, no locale and no config at all: a snapshot needs none of them', () => {
  const repository = plain();
  const env = {
    HOME: undefined,
    LC_ALL: undefined,
    GIT_CONFIG_GLOBAL: undefined,
    GIT_CONFIG_SYSTEM: undefined,
  };
  const { snapshot: taken } = snapshot(repository.path, ['-m', 'bare'], { env });
  expect(repository.git('log', '-1', '--format=%an <%ae> %cn <%ce>', taken.commit)).toBe(
    'git-pitr <git-pitr@localhost> git-pitr <git-pitr@localhost>',
  );
});
