/** A repository with two states that differ in every way, both recorded; a crash may leave one or the other. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pitr } from '../../support/cli.ts';
import { sqlite } from '../../support/databases.ts';
import { hashTree } from '../../support/hash-tree.ts';
import { removeFolder } from '../../support/repository.ts';
import { scratchFolder, scratchRepository, type TestRepository } from '../../support/scratch.ts';

/** What a restore with `--all --staged` is responsible for, as text that can be compared. */
export interface State {
  files: string[];
  index: string;
  database: string;
}

interface Listed {
  snapshots: { id: string; message: string }[];
}

export class Scene {
  readonly repository: TestRepository;
  readonly states = new Map<string, State>();
  readonly ids = new Map<string, string>();
  /** Which state there is. */
  current = '';
  #known: string[] = [];

  constructor() {
    this.repository = scratchRepository({
      files: {
        '.gitignore': '*.log\n',
        'a.txt': 'a\n',
        'dir/b.txt': 'b\n',
        'dir/deep/c.txt': 'c\n',
        'run.sh': '#!/bin/sh\n',
        'gone/only.txt': 'x\n',
        'swap/inner.txt': 'inner\n',
        'noise.log': 'never recorded\n',
        'big.bin': 'big\n'.repeat(50_000),
      },
    });
    const { repository } = this;
    repository.symlink('link', 'a.txt');
    repository.commit('first');
    repository.git('config', 'pitr.database.app.path', 'app.db');
    repository.git('config', 'pitr.lockTimeout', '20s');
    this.#makeX();
    this.#record('x');
    this.#makeY();
    this.#record('y');
  }

  get path(): string {
    return this.repository.path;
  }

  get other(): string {
    return this.current === 'x' ? 'y' : 'x';
  }

  now(): State {
    return {
      files: withoutDatabase(hashTree(this.path)),
      index: this.repository.git('ls-files', '-s', '-v'),
      database: databaseAt(this.repository.resolve('app.db')),
    };
  }

  /** The name of the state that there is; undefined for a mixture. */
  nameNow(): string | undefined {
    const now = JSON.stringify(this.now());
    return [...this.states].find(([, state]) => JSON.stringify(state) === now)?.[0];
  }

  #listed(): Listed['snapshots'] {
    return pitr(this.path, ['list', '--json']).json<Listed>().snapshots;
  }

  /** Every snapshot that was ever listed still is, with every object it names; and the timeline is one chain. */
  requireAllListed(): void {
    const listed = this.#listed().map(({ id }) => id);
    assert.deepEqual(
      this.#known.filter((id) => !listed.includes(id)),
      [],
    );
    this.#known = listed;
    this.repository.git('fsck', '--strict', '--no-dangling');
    assert.equal(Number(this.repository.git('rev-list', '--count', 'refs/pitr/main')), listed.length);
  }

  /** The newest snapshot is this state, files and database. */
  requireNewestHolds(state: State): void {
    const into = path.join(scratchFolder(), 'into');
    pitr(this.path, ['restore', '--snapshot', 'latest', '--all', '--into', into]);
    const isRecorded = (line: string) => !line.startsWith('noise.log');
    assert.deepEqual(withoutDatabase(hashTree(into)), state.files.filter(isRecorded));
    assert.deepEqual(databaseAt(path.join(into, 'app.db')), state.database);
    removeFolder(into);
  }

  /** True when the last restore led to what is there. */
  get canUndo(): boolean {
    const file = this.#private('last-operation.json');
    if (!existsSync(file)) return false;
    const { target, before } = JSON.parse(readFileSync(file, 'utf8')) as Record<
      'target' | 'before',
      { id: string }
    >;
    return target.id === this.ids.get(this.current) && before.id === this.ids.get(this.other);
  }

  get interrupted(): boolean {
    return existsSync(this.#private('journal.json'));
  }

  /** The arguments that lead to the other state. */
  restoreArgs(): string[] {
    return ['restore', '--snapshot', this.ids.get(this.other) ?? '', '--all', '--staged', '--yes'];
  }

  /** Writes a snapshot into a folder and compares. */
  requireRestorable(name: string): void {
    const into = path.join(scratchFolder(), 'into');
    pitr(this.path, ['restore', '--snapshot', this.ids.get(name) ?? '', '--into', into]);
    const there = hashTree(into);
    assert.deepEqual(
      there,
      this.states.get(name)?.files.filter((line) => !line.startsWith('noise.log')),
    );
    removeFolder(into);
  }

  /** Nothing of a killed process is left, and the user's git is not in anybody's way. */
  requireClean(): void {
    this.repository.git('status', '--porcelain'); // writes the index, when nobody holds it
    assert.deepEqual(this.#leftovers(), []);
  }

  #leftovers(): string[] {
    const gitDir = this.repository.resolve('.git');
    const inGit = readdirSync(gitDir).filter((name) => /\.lock$|^fast_import_crash|^gc\.pid/.test(name));
    const inLine = readdirSync(this.#private('')).filter((name) => /\.tmp$|^lock|^index\.new/.test(name));
    const inFolders = ['stage', 'scratch', '../../import'].flatMap((folder) =>
      existsSync(this.#private(folder)) ? readdirSync(this.#private(folder)) : [],
    );
    const objects = readdirSync(path.join(gitDir, 'objects'), { recursive: true, encoding: 'utf8' });
    const refs = readdirSync(path.join(gitDir, 'refs'), { recursive: true, encoding: 'utf8' });
    const shadow = readdirSync(this.#private('shadow')).filter((name) => name.endsWith('.lock'));
    return [
      ...inGit,
      ...inLine,
      ...inFolders,
      ...shadow,
      ...objects.filter((name) => /tmp_/.test(name)),
      ...refs.filter((name) => name.endsWith('.lock') || /^pitr\/incoming\/./.test(name)),
      ...readdirSync(this.path).filter((name) => name.startsWith('.app.db')),
    ];
  }

  #private(name: string): string {
    return this.repository.resolve(path.join('.git/pitr/lines/main', name));
  }

  #record(name: string): void {
    pitr(this.path, ['snapshot', '-m', name]);
    this.current = name;
    this.states.set(name, this.now());
    this.ids.set(name, this.#listed()[0]?.id ?? '');
  }

  #makeX(): void {
    const { repository } = this;
    repository.write('note.txt', 'private\n', 0o600);
    repository.write('run.sh', '#!/bin/sh\n', 0o755);
    repository.write('staged.txt', 'staged\n');
    repository.write('empty/x/.keep', '');
    repository.remove('empty/x/.keep');
    repository.git('add', 'staged.txt', 'run.sh');
    this.fill('x', 1500);
  }

  #makeY(): void {
    const { repository } = this;
    for (const file of ['dir', 'gone', 'swap', 'link', 'note.txt', 'empty']) repository.remove(file);
    repository.write('a.txt', 'another a\n');
    repository.write('run.sh', '#!/bin/sh\necho\n', 0o644);
    repository.write('swap', 'a file now\n');
    repository.write('link/inside.txt', 'a folder now\n');
    repository.write('new/made/here.txt', 'new\n', 0o640);
    repository.write('new/intended.txt', 'to be added\n');
    for (let index = 0; index < 12; index++)
      repository.write(`many/${index}.txt`, `${index}\n`.repeat(index));
    repository.write('empty-y/.keep', '');
    repository.remove('empty-y/.keep');
    repository.git('rm', '--quiet', '--cached', 'staged.txt');
    repository.git('add', '--all', 'dir', 'many');
    repository.git('add', '--intent-to-add', 'new/intended.txt');
    this.fill('y', 2100);
  }

  fill(state: string, rows: number): void {
    sqlite(
      this.repository.resolve('app.db'),
      `PRAGMA journal_mode = wal; DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, state TEXT, v BLOB);
       INSERT INTO t(state, v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT '${state}', randomblob(500) FROM n;`,
    );
  }
}

function databaseAt(file: string): string {
  if (!existsSync(file)) return 'none';
  const rows = 'SELECT state, count(*), sum(length(v)) FROM t GROUP BY state';
  return sqlite(file, `PRAGMA integrity_check; ${rows};`);
}

function withoutDatabase(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith('app.db'));
}
