import { chmodSync, lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { countProcesses } from '../support/count-processes.ts';
import { pitr } from '../support/cli.ts';
import { type Content, type RepositoryOptions } from '../support/repository.ts';
import { scratchRepository, type TestRepository } from '../support/scratch.ts';

interface Merged {
  base: { id: string } | null;
  plan: {
    create: { path: string }[];
    overwrite: { path: string }[];
    delete: { path: string }[];
    mode: { path: string }[];
    protected: { path: string; reason: string }[];
    conflicts: { path: string; reason: string }[];
  };
  applied: boolean;
  safety: { id: string } | null;
}

type Change = (repository: TestRepository) => void;

interface Story {
  repository: TestRepository;
  /** The snapshots before and after the unwanted change. */
  target: string;
  base: string;
}

/** A target, an unwanted change with a snapshot of it, and edits worth keeping without one. */
function story(
  files: RepositoryOptions['files'],
  unwanted: Change,
  edits: Change,
  setUp: Change = () => {},
): Story {
  const repository = scratchRepository({ files: files ?? {}, commit: true });
  setUp(repository);
  const target = snapshot(repository);
  unwanted(repository);
  const base = snapshot(repository);
  edits(repository);
  return { repository, target, base };
}

function snapshot(repository: TestRepository): string {
  return pitr(repository.path, ['snapshot', '--json']).json<{ snapshot: { id: string } }>().snapshot.id;
}

function merge({ repository, target }: Story, expectCode = 0, ...args: string[]): Merged {
  const all = ['restore', '--snapshot', target, '--merge', '--json', ...args];
  return pitr(repository.path, all, { expectCode }).json<Merged>();
}

const lines = (...texts: string[]) => texts.map((text) => `${text}\n`).join('');
const twenty = Array.from({ length: 20 }, (_, n) => `line ${n + 1}`);
const changed = (changes: Record<number, string>, eol = '\n') =>
  twenty.map((text, at) => `${changes[at + 1] ?? text}${eol}`).join('');

describe('restore --merge takes back only the unwanted change', () => {
  test('in files that were not touched since: changed, created, deleted, and made a program', () => {
    const { repository, ...told } = story(
      { 'changed.txt': 'good\n', 'deleted.txt': 'good\n', 'dir/deep.txt': 'good\n', 'run.sh': 'good\n' },
      (repo) => {
        repo.write('changed.txt', 'bad\n');
        repo.remove('deleted.txt');
        repo.remove('dir');
        repo.write('created/bad.txt', 'bad\n');
        chmodSync(repo.resolve('run.sh'), 0o755);
      },
      (repo) => {
        repo.write('mine.txt', 'mine\n');
        repo.write('untracked/mine.txt', 'mine\n');
      },
    );
    const { plan, base } = merge({ repository, ...told });
    expect(base?.id).toBe(told.base);
    expect(plan).toMatchObject({
      create: [{ path: 'deleted.txt' }, { path: 'dir/deep.txt' }],
      overwrite: [{ path: 'changed.txt' }],
      delete: [{ path: 'created/bad.txt' }],
      mode: [{ path: 'run.sh' }],
      conflicts: [],
    });
    expect(repository.git('status', '--porcelain', '-uall')).toBe('?? mine.txt\n?? untracked/mine.txt');
  });

  test('and keeps other edits of the same file', () => {
    const told = story(
      { 'a.txt': changed({}) },
      (repo) => repo.write('a.txt', changed({ 3: 'bad', 10: 'worse' })),
      (repo) => repo.write('a.txt', changed({ 1: 'mine', 3: 'bad', 10: 'worse', 15: 'mine too' })),
    );
    merge(told);
    expect(told.repository.read('a.txt')).toBe(changed({ 1: 'mine', 15: 'mine too' }));
  });

  test('needs no --force: nothing of the person is overwritten, so the guard has nothing to ask', () => {
    const told = story(
      { 'a.txt': changed({}) },
      (repo) => repo.write('a.txt', changed({ 3: 'bad' })),
      (repo) => repo.write('a.txt', changed({ 3: 'bad', 15: 'mine' })),
    );
    expect(merge(told).applied).toBe(true);
    expect(merge(told, 0, '--force').applied).toBe(true);
  });

  test('and an undo brings the state before back, byte for byte; again, the merge', () => {
    const told = story(
      { 'a.txt': changed({}), 'b.bin': Buffer.from([0, 1, 2]), 'gone.txt': 'x\n' },
      (repo) => {
        repo.write('a.txt', changed({ 3: 'bad', 12: 'bad too' }));
        repo.write('new.txt', 'bad\n');
        repo.remove('gone.txt');
      },
      (repo) => repo.write('a.txt', changed({ 3: 'mine', 12: 'bad too', 18: 'mine' })),
    );
    const { repository } = told;
    const before = repository.hashTree();
    expect(merge(told, 3).plan.conflicts.map(({ path }) => path)).toEqual(['a.txt']);
    const after = repository.hashTree();
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual(before);
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.hashTree()).toEqual(after);
    repository.git('fsck', '--strict');
    expect(repository.git('for-each-ref', '--format=%(refname)', 'refs/pitr')).toBe(
      'refs/pitr/anchor/main\nrefs/pitr/main',
    );
  });

  test('a dry run shows exactly what is then done, and changes nothing', () => {
    const told = story(
      { 'a.txt': changed({}), 'b.txt': 'b\n' },
      (repo) => {
        repo.write('a.txt', changed({ 3: 'bad' }));
        repo.write('b.txt', 'bad\n');
      },
      (repo) => {
        repo.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
        repo.write('b.txt', 'mine\n');
      },
    );
    const { repository } = told;
    const seen = () => [
      repository.hashTree(),
      repository.git('for-each-ref'),
      repository.git('ls-files', '-s'),
    ];
    const before = seen();
    const dry = merge(told, 3, '--dry-run');
    expect(seen()).toEqual(before);
    const real = merge(told, 3);
    expect(real.plan).toEqual(dry.plan);
    expect(real.applied).toBe(true);
  });

  test('only in the paths that are named', () => {
    const told = story(
      { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' },
      (repo) => {
        repo.write('a.txt', 'bad\n');
        repo.write('dir/b.txt', 'bad\n');
      },
      () => {},
    );
    pitr(told.repository.resolve('dir'), ['restore', '--snapshot', told.target, '--merge', '--', 'b.txt']);
    expect(told.repository.read('dir/b.txt')).toBe('b\n');
    expect(told.repository.read('a.txt')).toBe('bad\n');
  });

  test('and leaves files that it created alone with --keep-new', () => {
    const told = story(
      {},
      (repo) => repo.write('new.txt', 'bad\n'),
      () => {},
    );
    expect(merge(told, 0, '--keep-new').plan.protected.map(({ path }) => path)).toEqual(['new.txt']);
    expect(told.repository.read('new.txt')).toBe('bad\n');
  });

  test('also from an instant', () => {
    const repository = scratchRepository({ files: { 'a.txt': changed({}) }, commit: true });
    const at = (time: string) => ({ env: { GIT_COMMITTER_DATE: time } });
    pitr(repository.path, ['snapshot'], at('2026-11-20T10:00:00Z'));
    repository.write('a.txt', changed({ 3: 'bad' }));
    pitr(repository.path, ['snapshot'], at('2026-11-20T11:00:00Z'));
    repository.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
    pitr(repository.path, ['snapshot'], at('2026-11-20T12:00:00Z'));
    pitr(repository.path, ['restore', '--at', '2026-11-20T10:30:00Z', '--merge'], at('2026-11-20T13:00:00Z'));
    expect(repository.read('a.txt')).toBe(changed({ 9: 'mine' }));
  });

  test('when snapshots without a change of files lie between it and the target', () => {
    const repository = scratchRepository({ files: { 'a.txt': changed({}) }, commit: true });
    const target = snapshot(repository);
    for (const label of ['one', 'two']) pitr(repository.path, ['snapshot', '-m', label]);
    repository.write('a.txt', changed({ 3: 'bad' }));
    const base = snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
    expect(merge({ repository, target, base }).base?.id).toBe(base);
    expect(repository.read('a.txt')).toBe(changed({ 9: 'mine' }));
  });

  test('of several snapshots with --base: what changed up to that one', () => {
    const repository = scratchRepository({ files: { 'a.txt': changed({}) }, commit: true });
    const target = snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad' }));
    snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad', 9: 'bad too' }));
    const base = snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad', 9: 'bad too', 15: 'mine' }));
    merge({ repository, target, base }, 0, '--base', base);
    expect(repository.read('a.txt')).toBe(changed({ 15: 'mine' }));
  });

  test('and says so when nothing of it is left', () => {
    const told = story(
      { 'a.txt': 'a\n' },
      (repo) => repo.write('a.txt', 'bad\n'),
      (repo) => repo.write('a.txt', 'a\n'),
    );
    const result = pitr(told.repository.path, ['restore', '--snapshot', told.target, '--merge']);
    expect(result.stdout).toContain('nothing was changed');
  });
});

describe('lines', () => {
  test('with CRLF keep them, on both sides and in the marks', () => {
    const crlf = (changes: Record<number, string>) => changed(changes, '\r\n');
    const told = story(
      { 'clean.txt': crlf({}), 'conflict.txt': crlf({}) },
      (repo) => {
        repo.write('clean.txt', crlf({ 3: 'bad' }));
        repo.write('conflict.txt', crlf({ 3: 'bad' }));
      },
      (repo) => {
        repo.write('clean.txt', crlf({ 3: 'bad', 9: 'mine' }));
        repo.write('conflict.txt', crlf({ 3: 'mine' }));
      },
    );
    merge(told, 3);
    expect(told.repository.read('clean.txt')).toBe(crlf({ 9: 'mine' }));
    expect(told.repository.read('conflict.txt')).not.toMatch(/[^\r]\n/);
    expect(told.repository.read('conflict.txt')).toContain(
      '<<<<<<< now\r\nmine\r\n=======\r\nline 3\r\n>>>>>>> ',
    );
  });

  test('with CRLF in the working tree only (text=auto, eol=crlf) are merged as they are on disk', () => {
    const crlf = (changes: Record<number, string>) => changed(changes, '\r\n');
    const told = story(
      { '.gitattributes': '* text=auto eol=crlf\n', 'a.txt': crlf({}) },
      (repo) => repo.write('a.txt', crlf({ 3: 'bad' })),
      (repo) => repo.write('a.txt', crlf({ 3: 'bad', 9: 'mine' })),
    );
    merge(told);
    expect(told.repository.read('a.txt')).toBe(crlf({ 9: 'mine' }));
  });

  test('without an end of the last one are merged without one', () => {
    const told = story(
      { 'a.txt': `${changed({})}end`, 'b.txt': changed({}) },
      (repo) => {
        repo.write('a.txt', `${changed({ 3: 'bad' })}end`);
        repo.write('b.txt', `${changed({})}no end`);
      },
      (repo) => {
        repo.write('a.txt', `${changed({ 3: 'bad', 9: 'mine' })}end`);
        repo.write('b.txt', `${changed({ 3: 'mine' })}no end`);
      },
    );
    merge(told);
    expect(told.repository.read('a.txt')).toBe(`${changed({ 9: 'mine' })}end`);
    expect(told.repository.read('b.txt')).toBe(changed({ 3: 'mine' }));
  });

  test('that changed on both sides are marked as git marks them, with what the sides are', () => {
    const told = story(
      { 'a.txt': lines('one', 'two', 'three') },
      (repo) => repo.write('a.txt', lines('one', 'bad', 'three')),
      (repo) => repo.write('a.txt', lines('one', 'mine', 'three')),
    );
    const { plan } = merge(told, 3);
    const { time } = pitr(told.repository.path, ['show', told.target, '--json']).json<{
      snapshot: { time: string };
    }>().snapshot;
    expect(told.repository.read('a.txt')).toBe(
      lines(
        'one',
        '<<<<<<< now',
        'mine',
        '=======',
        'two',
        `>>>>>>> snapshot ${told.target} (${time})`,
        'three',
      ),
    );
    expect(plan.conflicts).toEqual([
      { path: 'a.txt', reason: 'the same lines changed on both sides; they are marked in the file' },
    ]);
    expect(plan.overwrite.map(({ path }) => path)).toEqual(['a.txt']);
  });

  test.each(['diff3', 'zdiff3'])('are marked with the base when merge.conflictStyle is %s', (style) => {
    const told = story(
      { 'a.txt': lines('one', 'two', 'three') },
      (repo) => repo.write('a.txt', lines('one', 'bad', 'three')),
      (repo) => repo.write('a.txt', lines('one', 'mine', 'three')),
      (repo) => repo.git('config', 'merge.conflictStyle', style),
    );
    merge(told, 3);
    expect(told.repository.read('a.txt')).toMatch(
      new RegExp(
        `<<<<<<< now\nmine\n\\|{7} snapshot ${told.base} \\(\\S+\\)\nbad\n=======\ntwo\n>>>>>>> snapshot`,
      ),
    );
  });

  test('that both sides added in a new file are marked where they differ', () => {
    const told = story(
      { 'a.txt': 'same\nthen\n' },
      (repo) => repo.remove('a.txt'),
      (repo) => repo.write('a.txt', 'same\nmine\n'),
    );
    expect(merge(told, 3).plan.conflicts.map(({ path }) => path)).toEqual(['a.txt']);
    expect(told.repository.read('a.txt')).toMatch(
      /<<<<<<< now\n(same\n)?mine\n=======\n(same\n)?then\n>>>>>>> snapshot/,
    );
  });

  test.each([
    ['* merge=ours\n* -merge\n'],
    ['* binary\n'],
    ['* merge=union\n'],
    ['* merge=mine\n'],
    ['* conflict-marker-size=3\n'],
  ])('are merged by the same rules whatever .gitattributes says: %j', (attributes) => {
    const told = story(
      { '.gitattributes': attributes, 'a.txt': changed({}), 'b.txt': 'b\n' },
      (repo) => {
        repo.write('a.txt', changed({ 3: 'bad' }));
        repo.write('b.txt', 'bad\n');
      },
      (repo) => {
        repo.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
        repo.write('b.txt', 'mine\n');
      },
      (repo) => {
        repo.git('config', 'merge.mine.driver', 'touch driven');
        repo.git('config', 'merge.default', 'mine');
        repo.git('config', 'merge.renormalize', 'true');
      },
    );
    merge(told, 3);
    expect(told.repository.read('a.txt')).toBe(changed({ 9: 'mine' }));
    expect(told.repository.read('b.txt')).toMatch(/^<<<<<<< now\nmine\n=======\nb\n>>>>>>> snapshot .*\n$/);
    expect(told.repository.git('status', '--porcelain', '--', 'driven')).toBe('');
  });

  test('that look like marks of another merge are kept', () => {
    const marks = '<<<<<<< now\n=======\n>>>>>>> snapshot\n';
    const told = story(
      { 'a.txt': changed({}) + marks },
      (repo) => repo.write('a.txt', changed({ 3: 'bad' }) + marks),
      (repo) => repo.write('a.txt', changed({ 3: 'bad', 9: 'mine' }) + marks),
    );
    merge(told);
    expect(told.repository.read('a.txt')).toBe(changed({ 9: 'mine' }) + marks);
  });

  test('in files of a sha256 repository are merged', () => {
    const repository = scratchRepository();
    rmSync(repository.resolve('.git'), { recursive: true });
    repository.git('init', '--quiet', '--object-format=sha256', '--initial-branch=main');
    repository.write('a.txt', changed({}));
    repository.write('b.txt', 'b\n');
    const target = snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad' }));
    repository.write('b.txt', 'bad\n');
    const base = snapshot(repository);
    repository.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
    repository.write('b.txt', 'mine\n');
    merge({ repository, target, base }, 3);
    expect(repository.read('a.txt')).toBe(changed({ 9: 'mine' }));
    expect(repository.read('b.txt')).toMatch(/^<<<<<<< now\nmine\n=======\nb\n>>>>>>> snapshot/);
  });
});

describe('what cannot be merged line by line stays as it is, and is told', () => {
  const both = (path: string, then: Content, bad: Content, mine: Content) =>
    story(
      { [path]: then },
      (repo) => repo.write(path, bad),
      (repo) => repo.write(path, mine),
    );

  test('a binary file that changed on both sides', () => {
    const bytes = (n: number) => Buffer.from([0, 1, n, 0, 255]);
    const told = both('a.bin', bytes(1), bytes(2), bytes(3));
    const { plan, applied } = merge(told, 3);
    expect(plan.conflicts).toEqual([
      { path: 'a.bin', reason: 'it changed on both sides, and is not text; left as it is now' },
    ]);
    expect(plan.overwrite).toEqual([]);
    expect(applied).toBe(true);
    expect(readFileSync(told.repository.resolve('a.bin')).equals(bytes(3))).toBe(true);
  });

  test('a file that was deleted since, and one that was changed since and is not in the target', () => {
    const told = story(
      { 'deleted.txt': 'then\n' },
      (repo) => {
        repo.write('deleted.txt', 'bad\n');
        repo.write('created.txt', 'bad\n');
      },
      (repo) => {
        repo.remove('deleted.txt');
        repo.write('created.txt', 'mine\n');
      },
    );
    const before = told.repository.hashTree();
    const { plan } = merge(told, 3);
    expect(plan.conflicts).toEqual([
      {
        path: 'created.txt',
        reason: 'it was changed since, and the snapshot does not have it; left as it is now',
      },
      {
        path: 'deleted.txt',
        reason: 'it was deleted since, and the snapshot has another version of it; left as it is now',
      },
    ]);
    expect(told.repository.hashTree()).toEqual(before);
  });

  test('a link that leads elsewhere on all three sides', () => {
    const link = (target: string) => (repo: TestRepository) => {
      rmSync(repo.resolve('link'), { force: true });
      repo.symlink('link', target);
    };
    const told = story({}, link('bad'), link('mine'), link('then'));
    expect(merge(told, 3).plan.conflicts.map(({ path }) => path)).toEqual(['link']);
    expect(readlinkSync(told.repository.resolve('link'))).toBe('mine');
  });

  test('a file that became a link, and a link that became a file, untouched since, come back', () => {
    const told = story(
      { 'file.txt': 'file\n' },
      (repo) => {
        repo.remove('file.txt');
        repo.symlink('file.txt', 'somewhere');
        rmSync(repo.resolve('link'));
        repo.write('link', 'a file\n');
      },
      () => {},
      (repo) => repo.symlink('link', 'file.txt'),
    );
    merge(told);
    expect(lstatSync(told.repository.resolve('file.txt')).isFile()).toBe(true);
    expect(readlinkSync(told.repository.resolve('link'))).toBe('file.txt');
  });

  test('a file in the place of a folder with changes, and a folder in the place of a changed file', () => {
    const told = story(
      { 'was-file': 'then\n', 'was-folder/x.txt': 'then\n' },
      (repo) => {
        repo.remove('was-file');
        repo.write('was-file/inside.txt', 'bad\n');
        repo.remove('was-folder');
        repo.write('was-folder', 'bad\n');
        pitr(repo.path, ['snapshot']);
      },
      (repo) => {
        repo.write('was-file/inside.txt', 'mine\n');
        repo.write('was-file/more.txt', 'mine\n');
        repo.write('was-folder', 'mine\n');
      },
    );
    const before = told.repository.hashTree();
    const { plan } = merge(told, 3, '--base', 'latest');
    expect(plan.conflicts.map(({ path }) => path)).toEqual([
      'was-file',
      'was-file/inside.txt',
      'was-folder',
      'was-folder/x.txt',
    ]);
    expect(told.repository.hashTree()).toEqual(before);
  });

  test('a folder in the place of a file, untouched since, becomes the file again', () => {
    const told = story(
      { 'was-file': 'then\n', 'was-folder/x.txt': 'then\n', 'was-folder/deep/y.txt': 'then\n' },
      (repo) => {
        repo.remove('was-file');
        repo.write('was-file/inside.txt', 'bad\n');
        repo.remove('was-folder');
        repo.write('was-folder', 'bad\n');
        pitr(repo.path, ['snapshot']);
      },
      () => {},
    );
    merge(told, 0, '--base', 'latest');
    expect(told.repository.git('status', '--porcelain', '-uall')).toBe('');
  });
});

describe('beside contents', () => {
  test('modes are merged on their own', () => {
    const told = story(
      { 'taken-back.sh': changed({}), 'mine.sh': changed({}) },
      (repo) => {
        repo.write('taken-back.sh', changed({}), 0o755);
        repo.write('mine.sh', changed({ 3: 'bad' }));
      },
      (repo) => {
        repo.write('taken-back.sh', changed({ 9: 'mine' }), 0o755);
        repo.write('mine.sh', changed({ 3: 'bad' }), 0o755);
      },
    );
    const { repository } = told;
    merge(told);
    const isProgram = (path: string) => (lstatSync(repository.resolve(path)).mode & 0o100) !== 0;
    expect([isProgram('taken-back.sh'), isProgram('mine.sh')]).toEqual([false, true]);
    expect(repository.read('taken-back.sh')).toBe(changed({ 9: 'mine' }));
    expect(repository.read('mine.sh')).toBe(changed({}));
  });

  test('permissions of untracked files and empty folders are taken back where they were not touched since', () => {
    const told = story(
      {},
      (repo) => {
        chmodSync(repo.resolve('secret'), 0o644);
        chmodSync(repo.resolve('other'), 0o600);
        rmSync(repo.resolve('empty'), { recursive: true });
        mkdirSync(repo.resolve('bad-empty'));
      },
      (repo) => {
        chmodSync(repo.resolve('other'), 0o640);
        mkdirSync(repo.resolve('my-empty'));
      },
      (repo) => {
        repo.write('secret', 'x\n', 0o600);
        repo.write('other', 'x\n', 0o400);
        mkdirSync(repo.resolve('empty'));
      },
    );
    const { repository } = told;
    merge(told);
    const mode = (path: string) => (lstatSync(repository.resolve(path)).mode & 0o777).toString(8);
    expect([mode('secret'), mode('other')]).toEqual(['600', '640']);
    const folders = repository.hashTree().filter((line) => line.includes('/ dir '));
    expect(folders.map((line) => line.split('/')[0])).toEqual(['empty', 'my-empty']);
  });

  test('names with spaces, quotes, newlines, dashes, colons and bytes that are no text are merged like any other', () => {
    const names = ['a b', '"q"', 'new\nline', '-dash', ':(top)x', 'é', ' lead', 'trail ', '*', 'a\\b'];
    const bytes = Buffer.from([0x66, 0xff, 0xfe]);
    const write = (repo: TestRepository, content: string) => {
      for (const name of names) repo.write(name, content);
      writeFileSync(Buffer.concat([Buffer.from(`${repo.path}/`), bytes]), content);
    };
    const told = story(
      {},
      (repo) => write(repo, changed({ 3: 'bad' })),
      (repo) => write(repo, changed({ 3: 'bad', 9: 'mine' })),
      (repo) => write(repo, changed({})),
    );
    const { plan } = merge(told);
    expect(plan.overwrite).toHaveLength(names.length + 1);
    for (const name of names) expect(told.repository.read(name)).toBe(changed({ 9: 'mine' }));
    const odd = Buffer.concat([Buffer.from(`${told.repository.path}/`), bytes]);
    expect(readFileSync(odd, 'utf8')).toBe(changed({ 9: 'mine' }));
  });

  test('a file that was too large for the snapshot after the target is left alone', () => {
    const told = story(
      { 'a.txt': 'then\n' },
      (repo) => {
        repo.git('config', 'pitr.maxFileSize', '1k');
        repo.write('a.txt', 'x'.repeat(2000));
      },
      (repo) => repo.write('a.txt', 'mine\n'),
    );
    const { plan } = merge(told);
    expect(plan.protected.map(({ path }) => path)).toEqual(['a.txt']);
    expect(told.repository.read('a.txt')).toBe('mine\n');
  });

  test('an ignored file in the place of one that comes back is not lost', () => {
    const told = story(
      { 'a.txt': 'then\n' },
      (repo) => {
        repo.remove('a.txt');
        repo.write('.gitignore', 'a.txt\n');
        repo.git('rm', '--quiet', '--cached', 'a.txt');
      },
      (repo) => repo.write('a.txt', 'mine, and ignored\n'),
    );
    const { repository } = told;
    const { plan } = merge(told, 3);
    expect(plan.conflicts.map(({ path }) => path)).toEqual(['a.txt']);
    expect(repository.read('a.txt')).toContain('<<<<<<< now\nmine, and ignored\n=======\nthen\n>>>>>>> ');
    pitr(repository.path, ['undo', '--yes']);
    expect(repository.read('a.txt')).toBe('mine, and ignored\n');
  });
});

describe('what a merge is refused for', () => {
  const args = (...more: string[]) => ['restore', '--snapshot', 'latest', '--merge', ...more];
  test.each([
    ['databases by name', args('--db', 'shop'), 2],
    ['all databases', args('--all'), 2],
    ['the index', args('--staged'), 2],
    ['--keep-changes, which it does anyway', args('--keep-changes'), 2],
    ['another folder', args('--into', 'elsewhere'), 2],
    ['history', ['restore', '--at', '1 minute ago', '--source', 'history', '--merge'], 2],
    ['a base without --merge', ['restore', '--snapshot', 'latest', '--base', 'latest'], 2],
    ['a base that is no snapshot', args('--base', 'ffffffff'), 5],
    ['a target with no snapshot after it', args(), 5],
  ])('%s: a clear error, and nothing changed', (_, command, code) => {
    const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
    repository.git('config', 'pitr.database.shop.path', 'shop.db');
    pitr(repository.path, ['snapshot', '--no-databases']);
    repository.write('a.txt', 'changed\n');
    const before = [repository.hashTree(), repository.git('for-each-ref')];
    const { stderr } = pitr(repository.path, command, { expectCode: code });
    expect(stderr).toMatch(/^error: /);
    expect([repository.hashTree(), repository.git('for-each-ref')]).toEqual(before);
  });
});

describe('a merge that is killed', () => {
  test.each(['--continue', '--abort'])(
    'after its journal was written ends with %s, whatever gc has run since',
    (how) => {
      const told = story(
        { 'a.txt': changed({}), 'b.txt': 'b\n' },
        (repo) => {
          repo.write('a.txt', changed({ 3: 'bad' }));
          repo.write('b.txt', 'bad\n');
        },
        (repo) => {
          repo.write('a.txt', changed({ 3: 'bad', 9: 'mine' }));
          repo.write('b.txt', 'mine\n');
        },
      );
      const { repository, target } = told;
      const before = repository.hashTree();
      const killed = { env: { PITR_CRASH_AT: 'journal-written' }, expectCode: 'any' as const };
      expect(() => pitr(repository.path, ['restore', '--snapshot', target, '--merge'], killed)).toThrow(
        /SIGKILL/,
      );
      repository.git('reflog', 'expire', '--expire=now', '--all');
      repository.git('gc', '--quiet', '--prune=now');
      pitr(repository.path, ['snapshot'], { expectCode: 8 });
      pitr(repository.path, ['restore', how]);
      if (how === '--abort') expect(repository.hashTree()).toEqual(before);
      else {
        expect(repository.read('a.txt')).toBe(changed({ 9: 'mine' }));
        expect(repository.read('b.txt')).toMatch(/^<<<<<<< now\nmine\n=======\nb\n>>>>>>> /);
      }
      expect(repository.git('for-each-ref', 'refs/pitr/incoming')).toBe('');
    },
  );
});

describe('a merge of 1,000 files', () => {
  const paths = Array.from({ length: 1000 }, (_, n) => `d${n % 20}/f${n}.txt`);
  const all = (content: (n: number) => string) => (repo: TestRepository) => {
    for (const [n, path] of paths.entries()) repo.write(path, content(n));
  };

  test('starts at most 20 processes when no lines are to be merged', () => {
    const files = Object.fromEntries(paths.map((path, n) => [path, `${n}\n`]));
    const { repository, target } = story(
      files,
      all((n) => `bad ${n}\n`),
      (repo) => repo.write('mine.txt', 'mine\n'),
    );
    const { result, started } = countProcesses(repository.path, ['restore', '--snapshot', target, '--merge']);
    expect(result.code).toBe(0);
    for (const [n, path] of paths.entries()) expect(repository.read(path)).toBe(`${n}\n`);
    expect(started.slice(20)).toEqual([]);
  });

  test('starts at most 30 when the lines of each are to be merged', () => {
    const files = Object.fromEntries(paths.map((path, n) => [path, changed({ 1: `file ${n}` })]));
    const { repository, target } = story(
      files,
      all((n) => changed({ 1: `file ${n}`, 5: 'bad' })),
      all((n) => changed({ 1: `file ${n}`, 5: n % 10 === 0 ? 'mine' : 'bad', 15: 'mine' })),
    );
    const { result, started } = countProcesses(repository.path, [
      'restore',
      '--snapshot',
      target,
      '--merge',
      '--json',
    ]);
    expect(result.json<Merged>().plan.conflicts).toHaveLength(100);
    for (const [n, path] of paths.entries()) {
      if (n % 10 === 0)
        expect(repository.read(path)).toContain('<<<<<<< now\nmine\n=======\nline 5\n>>>>>>> ');
      else expect(repository.read(path)).toBe(changed({ 1: `file ${n}`, 15: 'mine' }));
    }
    expect(started.slice(30)).toEqual([]);
  });
});
