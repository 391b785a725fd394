/** Rows of the design's table that are about files. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TestRepository } from '../support/repository.ts';
import { compare, peakOf, pitr, type Row, run } from './measure.ts';

/** A repository with so many small files, committed. */
export function repositoryOf(files: number): TestRepository {
  const folders = Math.max(10, Math.ceil(files / 100));
  const content = Object.fromEntries(
    Array.from({ length: files }, (_, n) => [`d${n % folders}/f${n}.txt`, `file ${n}\n`]),
  );
  return new TestRepository({ files: content, commit: true });
}

const node = (cwd: string) => run(cwd, process.execPath, ['-e', '0']);

/** The plain plumbing for one snapshot: add, write-tree, fast-import of a commit and its note. */
function plumbing(cwd: string): void {
  const env = { GIT_INDEX_FILE: path.join(cwd, '.git/floor-index') };
  node(cwd);
  run(cwd, 'git', ['add', '-A'], { env });
  const tree = run(cwd, 'git', ['write-tree'], { env });
  const commit = `commit refs/floor/x\ncommitter a <a@a> 1 +0000\ndata 1\nm\ndeleteall\nM 040000 ${tree} files\n\n`;
  const note =
    'commit refs/notes/floor\ncommitter a <a@a> 1 +0000\ndata 1\nn\nN inline refs/floor/x\ndata 5\nnotes\n\n';
  run(cwd, 'git', ['fast-import', '--quiet', '--done', '--force'], { input: `${commit}${note}done\n` });
}

function changeOne(repository: TestRepository, turn: number, side: string): void {
  repository.write('d0/f0.txt', `${side} ${turn}\n`);
}

function* rowsOf(files: number, pairs: number, changedTarget: number): Generator<Row> {
  const repository = repositoryOf(files);
  const cwd = repository.path;
  const named = files.toLocaleString('en');
  if (files >= 100_000) {
    yield compare({
      work: `first snapshot of ${named} committed files`,
      against: 'git status',
      target: 3,
      pairs: 3,
      prepare: () => {
        rmSync(path.join(cwd, '.git/pitr'), { recursive: true, force: true });
        const refs = run(cwd, 'git', [
          'for-each-ref',
          '--format=delete %(refname)',
          'refs/pitr',
          'refs/notes/pitr',
        ]);
        run(cwd, 'git', ['update-ref', '--no-deref', '--stdin'], { input: `${refs}\n` });
      },
      ours: () => pitr(cwd, ['snapshot', '--allow-empty']),
      theirs: () => run(cwd, 'git', ['status']),
    });
  }
  pitr(cwd, ['snapshot', '--allow-empty']);
  yield compare({
    work: `snapshot, ${named} files, 1 changed`,
    against: 'node -e 0 + plain plumbing',
    target: changedTarget,
    pairs,
    prepare: (turn, side) => changeOne(repository, turn, side),
    ours: () => pitr(cwd, ['snapshot']),
    theirs: () => plumbing(cwd),
  });
  pitr(cwd, ['snapshot']);
  yield compare({
    work: `snapshot, ${named} files, nothing changed`,
    against: '1.1 x git status + node -e 0 + 30 ms',
    target: 1,
    pairs,
    ours: () => pitr(cwd, ['snapshot']),
    theirs: () => {
      run(cwd, 'git', ['status']);
      node(cwd);
    },
    allowance: (both) => 1.1 * both + 30,
  });
  if (files >= 100_000) yield* againstPeers(repository, named);
  rmSync(cwd, { recursive: true, force: true });
}

/** restic and borg on the same tree, one file changed. */
function* againstPeers(repository: TestRepository, named: string): Generator<Row> {
  const cwd = repository.path;
  const store = mkdtempSync(path.join(tmpdir(), 'git-pitr-bench-'));
  const peers = [
    { name: 'restic backup', ...restic(store), backup: ['backup', '--quiet', '--exclude', '.git', '.'] },
    { name: 'borg create', ...borg(store), backup: ['create', '--exclude', '.git', '::{now:%s.%f}', '.'] },
  ];
  for (const { name, command, env, backup } of peers) {
    run(cwd, command, backup, { env });
    const row = compare({
      work: `snapshot, ${named} files, 1 changed`,
      against: name,
      target: 1 / 7,
      pairs: 3,
      prepare: (turn, side) => changeOne(repository, turn, `${name} ${side}`),
      ours: () => pitr(cwd, ['snapshot']),
      theirs: () => run(cwd, command, backup, { env }),
    });
    repository.write('d0/f0.txt', `peak ${name}\n`);
    const peakMiB = peakOf(cwd, ['snapshot']);
    yield peakMiB === undefined ? row : { ...row, peakMiB };
  }
  rmSync(store, { recursive: true, force: true });
}

function restic(store: string) {
  const env = {
    RESTIC_REPOSITORY: path.join(store, 'restic'),
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: path.join(store, 'cache'),
  };
  run(store, 'restic', ['init', '--quiet'], { env });
  return { command: 'restic', env };
}

function borg(store: string) {
  const env = {
    BORG_REPO: path.join(store, 'borg'),
    BORG_BASE_DIR: store,
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  };
  run(store, 'borg', ['init', '--encryption', 'none'], { env });
  return { command: 'borg', env };
}

/** All files of a working copy are gone; both sides bring them back. */
function* restoreRow(): Generator<Row> {
  const files = 10_000;
  const repository = repositoryOf(files);
  const cwd = repository.path;
  const store = mkdtempSync(path.join(tmpdir(), 'git-pitr-bench-'));
  const { command, env } = restic(store);
  run(cwd, command, ['backup', '--quiet', '--exclude', '.git', '.'], { env });
  const first = JSON.parse(pitr(cwd, ['snapshot', '--json'])).snapshot.id as string;
  const folders = run(cwd, 'ls', []).split('\n');
  const empty = () => {
    for (const folder of folders) rmSync(path.join(cwd, folder), { recursive: true, force: true });
  };
  const row = compare({
    work: 'restore 10,000 files',
    against: 'restic restore',
    target: 1,
    pairs: 5,
    prepare: empty,
    ours: () => pitr(cwd, ['restore', '--snapshot', first, '--force']),
    theirs: () => run(cwd, command, ['restore', 'latest', '--quiet', '--target', '.'], { env }),
  });
  empty();
  const peakMiB = peakOf(cwd, ['restore', '--snapshot', first, '--force']);
  yield peakMiB === undefined ? row : { ...row, peakMiB };
  rmSync(cwd, { recursive: true, force: true });
  rmSync(store, { recursive: true, force: true });
}

export function* fileRows(pairs: number): Generator<Row> {
  yield* rowsOf(1000, pairs, 1.6);
  yield* rowsOf(100_000, Math.min(pairs, 5), 1.5);
  yield* restoreRow();
}
