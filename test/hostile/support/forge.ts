/** Snapshots written by hand, object by object, as somebody would who wants a victim to fetch and restore them. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cleanEnvironment, testIdentity } from '../../support/environment.ts';
import type { TestRepository } from '../../support/repository.ts';

export interface RawEntry {
  mode?: '100644' | '100755' | '120000' | '160000' | '40000';
  /** Any bytes: git's own commands would refuse many of them. */
  name: string | Buffer;
  /** A file's content or a link's target, a folder's entries, or the id of an object. */
  content: string | Buffer | RawTree | { oid: string };
}
export type RawTree = readonly RawEntry[];

export interface Forgery {
  files?: RawTree;
  staged?: RawTree;
  state?: Readonly<Record<string, string | Buffer>>;
  databases?: RawTree;
  /** More entries at the top. */
  root?: RawTree;
  /** Text of the note, or what to change in a good one; null for none. */
  note?: string | Buffer | Record<string, unknown> | null;
  /** The trailers instead of good ones. */
  message?: string;
  id?: string;
  time?: string;
  /** Instead of the tip of the timeline. */
  parents?: readonly string[];
}

export interface Forged {
  id: string;
  commit: string;
}

/** Records a forged snapshot at the tip of the timeline, as a fetch would leave it. */
export function forge(repository: TestRepository, forgery: Forgery): Forged {
  const id = forgery.id ?? randomBytes(8).toString('hex');
  const time = forgery.time ?? new Date().toISOString();
  const root: RawEntry[] = [...(forgery.root ?? [])];
  const folder = (name: string, content: RawTree | undefined) => {
    if (content !== undefined) root.push({ name, content });
  };
  const state = Object.entries(forgery.state ?? {}).map(([name, content]): RawEntry => ({ name, content }));
  folder('databases', forgery.databases);
  folder('files', forgery.files ?? []);
  folder('staged', forgery.staged);
  folder('state', state.length === 0 ? undefined : state);
  const trailers = [`Pitr-Id: ${id}`, 'Pitr-Type: snapshot', 'Pitr-Trigger: manual', `Pitr-Time: ${time}`];
  const message = forgery.message ?? `snapshot: forged\n\n${trailers.join('\n')}\nPitr-Schema: 1\n`;
  const tip = tipOf(repository);
  const parents = forgery.parents ?? (tip === '' ? [] : [tip]);
  const commit = write(repository, 'commit', [
    `tree ${treeOf(repository, root)}\n`,
    ...parents.map((parent) => `parent ${parent}\n`),
    `author x <x@x> ${Math.floor(Date.parse(time) / 1000)} +0000\n`,
    `committer x <x@x> ${Math.floor(Date.parse(time) / 1000)} +0000\n\n`,
    message,
  ]);
  repository.git('update-ref', 'refs/pitr/main', commit);
  const { note } = forgery;
  if (note !== null)
    noteOn(repository, commit, isText(note) ? note : JSON.stringify({ ...goodNote(id), ...note }));
  return { id, commit };
}

function isText(note: Forgery['note']): note is string | Buffer {
  return typeof note === 'string' || Buffer.isBuffer(note);
}

export function noteOn(repository: TestRepository, commit: string, text: string | Buffer): void {
  const blob = write(repository, 'blob', [text]);
  repository.git('notes', '--ref=pitr', 'add', '--force', '-C', blob, commit);
}

export function goodNote(id: string): Record<string, unknown> {
  return {
    schema: 1,
    id,
    message: 'forged',
    pinned: false,
    head: { branch: 'main', commit: null },
    changes: { added: 0, modified: 0, deleted: 0 },
    files: 1,
    bytes: 1,
    databases: [],
    skipped: [],
    failedDatabases: [],
  };
}

/** Writes a tree exactly as given: unsorted, with names twice, with names that git itself refuses. */
export function treeOf(repository: TestRepository, tree: RawTree): string {
  const parts = tree.flatMap(({ mode, name, content }) => {
    const [kind, oid] = objectOf(repository, content);
    return [Buffer.from(`${mode ?? kind} `), Buffer.from(name), Buffer.from([0]), Buffer.from(oid, 'hex')];
  });
  return write(repository, 'tree', [Buffer.concat(parts)]);
}

function objectOf(repository: TestRepository, content: RawEntry['content']): [kind: string, oid: string] {
  if (typeof content === 'string' || Buffer.isBuffer(content))
    return ['100644', write(repository, 'blob', [content])];
  if (Array.isArray(content)) return ['40000', treeOf(repository, content as RawTree)];
  return ['100644', (content as { oid: string }).oid];
}

function write(repository: TestRepository, type: string, parts: readonly (string | Buffer)[]): string {
  return execFileSync('git', ['hash-object', '-w', '--literally', '-t', type, '--stdin'], {
    cwd: repository.path,
    env: cleanEnvironment(testIdentity),
    input: Buffer.concat(parts.map((part) => Buffer.from(part))),
    maxBuffer: 1024 * 1024,
  })
    .toString()
    .trim();
}

function tipOf(repository: TestRepository): string {
  return repository.git('for-each-ref', '--format=%(objectname)', 'refs/pitr/main');
}
