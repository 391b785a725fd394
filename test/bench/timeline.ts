/** Rows of the design's table that are about long timelines. */
import { rmSync } from 'node:fs';
import { formatMessage } from '../../src/timeline/message.ts';
import type { TestRepository } from '../support/repository.ts';
import { repositoryOf } from './files.ts';
import { compare, pitr, type Row, run } from './measure.ts';

/** A timeline of so many snapshots, one file changed in each, as the program itself would have written it. */
function longTimeline(snapshots: number): TestRepository {
  const repository = repositoryOf(1000);
  const tree = repository.git('rev-parse', 'HEAD^{tree}');
  const parts: string[] = [];
  const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const start = 1_700_000_000;
  for (let n = 1; n <= snapshots; n++) {
    const id = n.toString(16).padStart(12, '0');
    const time = new Date((start + n * 60) * 1000).toISOString();
    const changes = { added: 0, modified: 1, deleted: 0 };
    const snapshot = { id, type: 'snapshot', trigger: 'manual', time, message: '', changes } as const;
    const committer = `committer git-pitr <git-pitr@localhost> ${start + n * 60} +0000\n`;
    parts.push(`commit refs/pitr/main\nmark :${n}\n${committer}${data(formatMessage(snapshot))}`);
    if (n === 1) parts.push(`M 040000 ${tree} files\n`);
    parts.push(`M 100644 inline files/d0/f0.txt\n${data(`version ${n}\n`)}`);
  }
  parts.push(
    `commit refs/notes/pitr\ncommitter git-pitr <git-pitr@localhost> ${start} +0000\n${data('notes\n')}`,
  );
  for (let n = 1; n <= snapshots; n++) {
    const note = {
      schema: 1,
      id: n.toString(16).padStart(12, '0'),
      message: '',
      pinned: false,
      head: { branch: 'main', commit: null },
      changes: { added: 0, modified: 1, deleted: 0 },
      files: 1000,
      bytes: 10_000,
      databases: [],
      skipped: [],
      failedDatabases: [],
      durationMs: 50,
      host: 'bench',
      zone: 'UTC',
    };
    parts.push(`N inline :${n}\n${data(JSON.stringify(note))}`);
  }
  run(repository.path, 'git', ['fast-import', '--quiet', '--done'], { input: `${parts.join('')}\ndone\n` });
  return repository;
}

export function* timelineRows(pairs: number): Generator<Row> {
  const short = longTimeline(10);
  const long = longTimeline(10_000);
  for (const repository of [short, long]) pitr(repository.path, ['snapshot']);
  yield compare({
    work: 'snapshot number 10,000',
    against: 'snapshot number 10',
    target: 1.1,
    pairs,
    prepare: (turn, side) => (side === 'ours' ? long : short).write('d0/f0.txt', `turn ${turn}\n`),
    ours: () => pitr(long.path, ['snapshot']),
    theirs: () => pitr(short.path, ['snapshot']),
  });
  yield compare({
    work: 'list 10,000 snapshots',
    against: 'git log --notes + node -e 0',
    target: 2,
    pairs,
    ours: () => pitr(long.path, ['list']),
    theirs: () => {
      run(long.path, 'git', ['log', '--notes=pitr', 'refs/pitr/main']);
      run(long.path, process.execPath, ['-e', '0']);
    },
  });
  yield squashRow(long, pairs);
  for (const repository of [short, long]) rmSync(repository.path, { recursive: true, force: true });
}

/** The floor has all that a squash cannot do without: the notes of all are read, and the kept commits written again. */
function squashRow(long: TestRepository, pairs: number): Row {
  const cwd = long.path;
  pitr(cwd, ['prune']);
  const kept = run(cwd, 'git', ['log', '--reverse', '--format=%T', 'refs/pitr/main']).split('\n');
  const note = run(cwd, 'git', ['notes', '--ref=pitr', 'show', 'refs/pitr/main']);
  pitr(cwd, ['undo']);
  const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const committer = 'committer a <a@example.org> 1 +0000\n';
  const commits = kept.map(
    (tree, at) => `commit refs/floor/x\nmark :${at + 1}\n${committer}${data('m\n')}M 040000 ${tree} ""\n`,
  );
  const notes = kept.map((_, at) => `N inline :${at + 1}\n${data(note)}`);
  const stream = `${commits.join('')}commit refs/notes/floor\n${committer}${data('n')}${notes.join('')}\ndone\n`;
  return compare({
    work: `squash 10,000 snapshots to ${kept.length}`,
    against: 'node -e 0 + git log --notes + git fast-import of the kept',
    target: 3,
    pairs,
    prepare: () => {
      const isWhole = Number(run(cwd, 'git', ['rev-list', '--count', 'refs/pitr/main'])) >= 10_000;
      if (!isWhole) pitr(cwd, ['undo']);
    },
    ours: () => pitr(cwd, ['prune']),
    theirs: () => {
      run(cwd, process.execPath, ['-e', '0']);
      run(cwd, 'git', ['log', '--notes=pitr', 'refs/pitr/main']);
      run(cwd, 'git', ['fast-import', '--quiet', '--done', '--force'], { input: stream });
    },
  });
}
