import { type ImportPlace, makeImportPlace } from './importPlace.ts';
import { type BytePath, quotePath } from './paths.ts';
import { nullOid, type Repository } from './repository.ts';
import { prestart } from './prestart.ts';
import { git } from './run.ts';

const command = ['fast-import', '--quiet', '--done', '--date-format=raw-permissive'];

/** The place of a process that waits for its input; one a repository. */
const waiting = new Map<string, ImportPlace>();

/** Starts what `ImportStream.run` needs. */
export function prestartImport(repository: Repository): void {
  const key = repository.privateDir;
  if (waiting.has(key)) return;
  const place = makeImportPlace(repository);
  const dismissed = () => {
    waiting.delete(key);
    place.remove();
  };
  if (prestart(command, { cwd: repository.worktree, env: place.env }, { farewell: 'done\n', dismissed }))
    waiting.set(key, place);
  else place.remove();
}

function takePlace(repository: Repository): ImportPlace {
  const place = waiting.get(repository.privateDir);
  waiting.delete(repository.privateDir);
  return place ?? makeImportPlace(repository);
}

/**
 * Writing commits and trees with one `git fast-import`: 6 ms where commit-tree, mktree and notes take 30.
 * Format: git-fast-import(1). No ref is moved: every branch used here is reset to nothing before the end, so that
 * refs change only through the compare-and-swap of `refs.ts`.
 */
export class ImportStream {
  readonly #parts: Buffer[] = [];
  readonly #scratch: Set<string> = new Set();
  #marks = 0;

  text(line: string): void {
    this.#parts.push(Buffer.from(`${line}\n`, 'latin1'));
  }

  data(content: Buffer | string): void {
    const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    this.#parts.push(Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n'));
  }

  /** Starts a commit on a scratch branch and gives its mark. `from` is an oid or a mark. */
  commit(options: {
    branch: string;
    epochMs: number;
    message: string | Buffer;
    /** Undefined for the first commit of a branch that has no parent, and for those that go on from the one before. */
    from: string | undefined;
    /** Begin with an empty tree instead of the one of `from`. */
    clear?: boolean;
  }): string {
    const { branch, message, from } = options;
    this.#scratch.add(branch);
    const mark = `:${++this.#marks}`;
    this.text(`commit ${branch}`);
    this.text(`mark ${mark}`);
    this.text(`committer git-pitr <git-pitr@localhost> ${Math.floor(options.epochMs / 1000)} +0000`);
    this.data(message);
    // `merge` makes it the parent without reading its tree: a damaged snapshot must not keep the next from being taken.
    if (from !== undefined) this.text(`${options.clear === true ? 'merge' : 'from'} ${from}`);
    return mark;
  }

  /** Puts an existing object at a path of the commit. */
  put(mode: '040000' | '100644' | '100755' | '120000', oid: string, path: BytePath): void {
    this.text(`M ${mode} ${oid} ${quotePath(path)}`);
  }

  /** Puts a small file at a path of the commit. */
  putInline(path: BytePath, content: Buffer | string): void {
    this.text(`M 100644 inline ${quotePath(path)}`);
    this.data(content);
  }

  /** Attaches a note to a commit (an oid or a mark); the current commit must be one of a notes branch. */
  note(commit: string, content: string): void {
    this.text(`N inline ${commit}`);
    this.data(content);
  }

  /** The same with a note that is in the object store already. */
  noteFrom(commit: string, blob: string): void {
    this.text(`N ${blob} ${commit}`);
  }

  /** Runs the import; gives the answers to the `get-mark` and `ls` commands, in their order. */
  async run(repository: Repository): Promise<string[]> {
    for (const branch of this.#scratch) {
      this.text(`reset ${branch}`);
      this.text(`from ${nullOid(repository)}`);
      this.text('');
    }
    this.text('done');
    const place = takePlace(repository);
    try {
      const { stdout } = await git(command, {
        cwd: repository.worktree,
        env: place.env,
        input: Buffer.concat(this.#parts),
      });
      return stdout.toString('latin1').split('\n').slice(0, -1);
    } finally {
      place.remove();
    }
  }
}
