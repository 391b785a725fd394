/** One case: a state is recorded, things happen, it is restored and the restore undone; each time all must be right. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import {
  type Context,
  executeRestore,
  findRepository,
  prepareRestore,
  type PreparedRestore,
  prepareUndo,
  readConfig,
  type RestoreRequest,
  readCatalog,
  takeSnapshot,
} from '../../../src/index.ts';
import { type BytePath, bytePath, onDisk, quotePath } from '../../../src/git/paths.ts';
import { pitr } from '../../support/cli.ts';
import { cleanEnvironment, testIdentity } from '../../support/environment.ts';
import { removeFolder, temporaryFolder } from '../../support/repository.ts';
import { type Disk, type Entry, fingerprint, readDisk, Worktree } from './disk.ts';
import { exclude, type Expected, expectedAfter, include, isFile, State } from './model.ts';
import { changeDisk, type Step } from './steps.ts';

export interface Trial {
  /** What led to the state that is recorded, and what happens then. */
  before: Step[];
  change: Step[];
  autocrlf: 'true' | 'input' | 'false';
  staged: boolean;
  /** Through the built command instead of the library. */
  byCommand: boolean;
}

/** Git directories to copy: `git init` and `git commit` for each case would take longer than the case. */
export class Templates {
  readonly #root = temporaryFolder();
  readonly worktree = this.#make('worktree', false);
  readonly born = this.#make('born', true);
  readonly unborn = this.#make('unborn', false);

  #make(name: string, commit: boolean): string {
    const folder = `${this.#root}/${name}`;
    const run = (...args: string[]) =>
      execFileSync('git', args, { cwd: this.#root, env: cleanEnvironment(testIdentity), stdio: 'pipe' });
    run('init', '--quiet', '--template=', '--initial-branch=main', folder);
    if (!commit) return folder;
    const repository = new Worktree(folder);
    repository.write('inner', 'tracked by the nested one\n', 0o644);
    repository.write('inner.log', 'tracked by the nested one\n', 0o644);
    run('-C', folder, 'add', '--all', '--force');
    run('-C', folder, 'commit', '--quiet', '-m', 'inner');
    return folder;
  }

  dispose(): void {
    removeFolder(this.#root);
  }
}

/** Carries out one case. Throws, with what is wrong where, when something was lost or touched that must not be. */
export async function tryCase(trial: Trial, templates: Templates): Promise<void> {
  const root = temporaryFolder();
  try {
    cpSync(templates.worktree, root, { recursive: true });
    await new Case(root, trial, templates).run();
  } finally {
    removeFolder(root);
  }
}

class Case {
  readonly #root: string;
  readonly #trial: Trial;
  readonly #templates: Templates;
  readonly #worktree: Worktree;

  constructor(root: string, trial: Trial, templates: Templates) {
    this.#root = root;
    this.#trial = trial;
    this.#templates = templates;
    this.#worktree = new Worktree(root);
  }

  async run(): Promise<void> {
    const { before, change, staged } = this.#trial;
    this.#configure();
    this.#play(before);
    const then = this.#look();
    const indexThen = this.#index();
    const driver = this.#trial.byCommand ? new ByCommand(this.#root) : new ByLibrary(this.#root);
    const recorded = await driver.snapshot();
    requireSame('the snapshot holds', this.#namesIn(recorded.files), [...then.covered().keys()].toSorted());

    this.#play(change);
    const now = this.#look();
    const indexNow = this.#index();
    const untouched = this.#gitDirectory(staged);
    const { plan } = await driver.restore(staged);
    const expected = expectedAfter(then, now);
    const after = readDisk(this.#root);
    requireExpected(then, now, after, expected);
    requirePlanDone(now.disk, after, plan);
    requireSame('in the plan as missed', plan.missed.toSorted(), [...expected.blocked].toSorted());
    requireSame('the git directory after the restore', this.#gitDirectory(staged), untouched);
    if (staged) requireSame('the index after the restore', this.#index(), indexThen);

    // A restore that had nothing to do leaves nothing to undo.
    const isDone = plan.actions.size + plan.createDirs.length + plan.removeDirs.length > 0;
    if (!isDone && !(staged && !isDeepStrictEqual(indexThen, indexNow))) return;
    const undone = await driver.undo();
    const back = readDisk(this.#root);
    requireSameDisk('after undo', now, back);
    requirePlanDone(after, back, undone.plan);
    requireSame('the git directory after undo', this.#gitDirectory(staged), untouched);
    if (staged) requireSame('the index after undo', this.#index(), indexNow);

    const last = await driver.snapshot();
    requireSame('the last snapshot holds', this.#namesIn(last.files), [...now.covered().keys()].toSorted());
  }

  #configure(): void {
    const lines = [
      '[pitr]',
      ...include.map((pattern) => `\tinclude = ${pattern}`),
      ...exclude.map((pattern) => `\texclude = ${pattern}`),
      '[core]',
      `\tautocrlf = ${this.#trial.autocrlf}`,
      '\tsafecrlf = false',
      '[filter "rot"]',
      '\tclean = tr a-z n-za-m',
      '\tsmudge = tr a-z n-za-m',
    ];
    const file = '.git/config';
    const before = readFileSync(onDisk(this.#root, file), 'latin1');
    this.#worktree.write(file, `${before}${lines.join('\n')}\n`, 0o644);
  }

  #play(steps: readonly Step[]): void {
    for (const step of steps) {
      changeDisk(this.#worktree, step, this.#templates);
      if (step.do === 'track') this.#track(step.every);
      else if (step.do === 'untrack') this.#untrack(step.every);
      else if (step.do === 'commit') this.#git(['commit', '--quiet', '--allow-empty', '-m', 'a step']);
    }
  }

  /** Files below a folder that is, or may become, a nested repository are left to it. */
  #track(every: number): void {
    const files = [...readDisk(this.#root)].filter(
      ([path, { kind }]) => isFile(kind) && !path.split('/').includes('nest'),
    );
    const some = files.map(([path]) => path).filter((_, at) => at % every === 0);
    // One that cannot be converted (working-tree-encoding) is left out, as `git add` leaves it out.
    for (const batch of this.#feed(['update-index', '--add', '--replace', '-z', '--stdin'], some) ? [] : some)
      this.#feed(['update-index', '--add', '--replace', '-z', '--stdin'], [batch]);
  }

  #untrack(every: number): void {
    const some = [...this.#tracked('')].filter((_, at) => at % every === 0);
    this.#feed(['update-index', '--force-remove', '-z', '--stdin'], some);
  }

  /** True when git took them. */
  #feed(args: readonly string[], paths: readonly BytePath[]): boolean {
    const input = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
    try {
      this.#git(args, { input });
      return true;
    } catch {
      return false;
    }
  }

  #git(args: readonly string[], options: { cwd?: string; input?: Buffer } = {}): string {
    return execFileSync('git', args, {
      cwd: this.#root,
      env: cleanEnvironment(testIdentity),
      stdio: 'pipe',
      ...options,
    }).toString('latin1');
  }

  #tracked(folder: BytePath): Set<BytePath> {
    const prefix = folder === '' ? '' : `${folder}/`;
    const cwd = onDisk(this.#root, folder).toString('utf8');
    const names = this.#git(['ls-files', '-z'], { cwd }).split('\0');
    return new Set(names.filter((name) => name !== '').map((name) => `${prefix}${name}`));
  }

  #look(): State {
    const disk = readDisk(this.#root);
    const roots = [...disk]
      .filter(([, { kind }]) => kind === 'git')
      .map(([path]) => path.slice(0, -'/.git'.length));
    return new State(disk, new Map(['', ...roots].map((folder) => [folder, this.#tracked(folder)])));
  }

  /** The user's index, entry by entry. */
  #index(): string[] {
    return this.#git(['ls-files', '-z', '-s', '-t']).split('\0');
  }

  #namesIn(tree: string): string[] {
    if (tree === '') return [];
    const names = this.#git(['ls-tree', '-r', '-z', '--name-only', '--full-tree', tree]).split('\0');
    return names.filter((name) => name !== '').toSorted();
  }

  /** HEAD, branches, configuration, and the index unless it is to change. */
  #gitDirectory(staged: boolean): string {
    const ours = /^\.git\/(pitr|objects|refs\/pitr|refs\/notes)(\/|$)/;
    const skip = staged ? new RegExp(`${ours.source}|^\\.git/index$`) : ours;
    return fingerprint(this.#root, '.git', skip);
  }
}

/** What a plan says it does, in the terms of a disk. */
interface PlanShown {
  actions: Map<BytePath, string>;
  createDirs: BytePath[];
  removeDirs: BytePath[];
  /** Paths that it says it could not bring back. */
  missed: BytePath[];
}

interface Driver {
  /** Gives the tree of the files. */
  snapshot(): Promise<{ files: string }>;
  restore(staged: boolean): Promise<{ plan: PlanShown }>;
  undo(): Promise<{ plan: PlanShown }>;
}

class ByLibrary implements Driver {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async snapshot(): Promise<{ files: string }> {
    const { repository, config } = await this.#context();
    const taken = await takeSnapshot(repository, config, {
      type: 'snapshot',
      trigger: 'manual',
      allowEmpty: true,
    });
    return { files: taken.capture.files };
  }

  async restore(staged: boolean): Promise<{ plan: PlanShown }> {
    const context = await this.#context();
    const [snapshot] = (await readCatalog(context.repository)).snapshots;
    if (snapshot === undefined) throw new Error('no snapshot is listed');
    const request: RestoreRequest = {
      target: { snapshot },
      files: true,
      pathspecs: [],
      cwd: this.#root,
      databases: { names: [], all: true },
      staged,
      keepChanges: false,
      keepNew: false,
    };
    const before = readDisk(this.#root);
    const dry = await prepareRestore(context, request);
    if (!isDeepStrictEqual(before, readDisk(this.#root))) throw new Error('the dry run changed files');
    const prepared = await prepareRestore(context, request);
    requireSame('the plan of the dry run', JSON.stringify(dry.plan), JSON.stringify(prepared.plan));
    await executeRestore(context, prepared, { force: true, atOnce: true });
    return { plan: shownOf(prepared) };
  }

  async undo(): Promise<{ plan: PlanShown }> {
    const context = await this.#context();
    const prepared = await prepareUndo(context, { keepChanges: false });
    if (prepared.uncommitted.size > 0) throw new Error('undo finds changes that nobody made');
    await executeRestore(context, prepared, { force: false });
    return { plan: shownOf(prepared) };
  }

  async #context(): Promise<Context> {
    const repository = await findRepository(this.#root);
    return { repository, config: await readConfig(repository) };
  }
}

function shownOf({ plan }: PreparedRestore): PlanShown {
  return {
    actions: new Map(plan.entries.map(({ path, action }) => [path, action])),
    createDirs: plan.createDirs,
    removeDirs: plan.removeDirs,
    missed: plan.protected.filter(({ missed }) => missed === true).map(({ path }) => path),
  };
}

interface PlanJson {
  create: { path: string }[];
  overwrite: { path: string }[];
  delete: { path: string }[];
  mode: { path: string }[];
  protected: { path: string; reason: string }[];
  directories: { create: string[]; remove: string[] };
}

class ByCommand implements Driver {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  snapshot(): Promise<{ files: string }> {
    const args = ['snapshot', '--allow-empty', '--json'];
    const { snapshot } = pitr(this.#root, args).json<{ snapshot: { commit: string } }>();
    const listing = execFileSync('git', ['ls-tree', snapshot.commit, 'files'], {
      cwd: this.#root,
      env: cleanEnvironment(),
      encoding: 'utf8',
    });
    return Promise.resolve({ files: listing.split(/[ \t]/)[2] ?? '' });
  }

  restore(staged: boolean): Promise<{ plan: PlanShown }> {
    const args = ['restore', '--snapshot', 'latest', '--all', '--json', ...(staged ? ['--staged'] : [])];
    const before = readDisk(this.#root);
    const dry = pitr(this.#root, [...args, '--dry-run'], { expectCode: 'any' }).json<{ plan: PlanJson }>();
    if (!isDeepStrictEqual(before, readDisk(this.#root))) throw new Error('the dry run changed files');
    const done = pitr(this.#root, [...args, '--yes'], { expectCode: 'any' });
    const { plan } = done.json<{ plan: PlanJson }>();
    requireSame('the plan of the dry run', JSON.stringify(dry.plan), JSON.stringify(plan));
    const shown = shownOfJson(plan);
    requireSame('the exit code', done.code, shown.missed.length > 0 ? 3 : 0);
    return Promise.resolve({ plan: shown });
  }

  undo(): Promise<{ plan: PlanShown }> {
    const { plan } = pitr(this.#root, ['undo', '--yes', '--json']).json<{ plan: PlanJson }>();
    return Promise.resolve({ plan: shownOfJson(plan) });
  }
}

function shownOfJson(plan: PlanJson): PlanShown {
  const actions = (['create', 'overwrite', 'delete', 'mode'] as const).flatMap((action) =>
    plan[action].map(({ path }) => [fromShown(path), action] as const),
  );
  return {
    actions: new Map(actions),
    createDirs: plan.directories.create.map(fromShown),
    removeDirs: plan.directories.remove.map(fromShown),
    missed: plan.protected
      .filter(({ reason }) => reason.endsWith('is in its place'))
      .map(({ path }) => fromShown(path)),
  };
}

/** The bytes of a path as the JSON shows it: text, or quoted as git quotes. */
function fromShown(text: string): BytePath {
  if (!text.startsWith('"')) return bytePath(text);
  const named: Record<string, string> = { n: '\n', t: '\t', r: '\r' };
  return text
    .slice(1, -1)
    .replace(/\\([0-7]{3}|.)/gs, (_, code: string) =>
      code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (named[code] ?? code),
    );
}

function requireSame(what: string, found: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(found, wanted)) return;
  throw new Error(`${what}: ${JSON.stringify(found)}\n  instead of ${JSON.stringify(wanted)}`);
}

/** A file's entry as far as a state promises its mode: of what git tracks, only whether it can be run. */
function promised(entry: Entry | undefined, path: BytePath, state: State): string {
  if (entry?.kind !== 'file') return JSON.stringify(entry ?? 'nothing');
  const mode = state.tracks(path)
    ? (entry.mode & 0o100) === 0
      ? 'file'
      : 'program'
    : entry.mode.toString(8);
  return JSON.stringify({ ...entry, mode });
}

function requireExpected(then: State, now: State, after: Disk, expected: Expected): void {
  const wrong: string[] = [];
  const differ = (path: BytePath, wanted: string, found: string) => {
    if (wanted !== found) wrong.push(`${quotePath(path)}: ${found}\n  instead of ${wanted}`);
  };
  const covered = then.covered();
  for (const [path, entry] of expected.files) {
    const state = covered.has(path) && !expected.blocked.has(path) ? then : now;
    // What neither the plan nor the snapshot touches keeps its mode to the bit.
    const exactly = state === now && !now.covered().has(path);
    const found = after.get(path);
    if (exactly) differ(path, JSON.stringify(entry), JSON.stringify(found ?? 'nothing'));
    else differ(path, promised(entry, path, state), promised(found, path, state));
  }
  for (const [path, entry] of after)
    if (entry.kind !== 'dir' && !expected.files.has(path)) differ(path, 'nothing', JSON.stringify(entry));
  for (const path of expected.folders)
    if (after.get(path)?.kind !== 'dir')
      differ(path, 'a folder', JSON.stringify(after.get(path) ?? 'nothing'));
  for (const path of expected.gone) if (after.get(path)?.kind === 'dir') differ(path, 'nothing', 'a folder');
  if (wrong.length > 0) throw new Error(`after the restore\n${wrong.join('\n')}`);
}

function requireSameDisk(when: string, state: State, found: Disk): void {
  const wrong: string[] = [];
  for (const path of new Set([...state.disk.keys(), ...found.keys()])) {
    const [wanted, is] = [state.disk.get(path), found.get(path)].map((entry) => promised(entry, path, state));
    if (wanted !== is) wrong.push(`${quotePath(path)}: ${is}\n  instead of ${wanted}`);
  }
  if (wrong.length > 0) throw new Error(`${when}\n${wrong.join('\n')}`);
}

/** What a plan lists is what happened, and nothing else did. */
function requirePlanDone(before: Disk, after: Disk, plan: PlanShown): void {
  const done = new Map<BytePath, string>();
  const modes = new Set<BytePath>();
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(path), after.get(path)];
    const [there, stays] = [isFile(was?.kind), isFile(is?.kind)];
    if (there && !stays) done.set(path, 'delete');
    else if (!there && stays) done.set(path, 'create');
    else if (there && contentOf(was) !== contentOf(is)) done.set(path, 'overwrite');
    else if (there && !isDeepStrictEqual(was, is)) modes.add(path);
    else if (was?.kind === 'git' && !isDeepStrictEqual(was, is))
      throw new Error(`${quotePath(path)} was touched`);
  }
  const said = new Map([...plan.actions].filter(([, action]) => action !== 'mode'));
  const sorted = (map: Map<BytePath, string>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  requireSame('the plan said', sorted(said), sorted(done));
  // git keeps no more than the x bit of a tracked file: its mode may be "changed" to what it is.
  for (const path of modes)
    if (plan.actions.get(path) !== 'mode') throw new Error(`${quotePath(path)} changed its mode, unplanned`);
  const isFolder = (disk: Disk, path: BytePath) => disk.get(path)?.kind === 'dir';
  for (const path of plan.createDirs)
    if (isFolder(before, path) || !isFolder(after, path))
      throw new Error(`the plan said that the folder ${quotePath(path)} is made, and it was not`);
  for (const path of plan.removeDirs)
    if (!isFolder(before, path) || isFolder(after, path))
      throw new Error(`the plan said that the folder ${quotePath(path)} is removed, and it was not`);
}

function contentOf(entry: Entry | undefined): string {
  return entry?.kind === 'file' ? `file ${entry.content}` : JSON.stringify(entry);
}
