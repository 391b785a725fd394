import { readFileSync } from 'node:fs';
import path from 'node:path';
import { anchorRef, notesRef, type Repository, timelineRef } from '../git/repository.ts';
import { git, gitText } from '../git/run.ts';
import { readFileIfThere } from '../system/files.ts';

/** Where HEAD is. `branch` is null when detached, `commit` null before the first commit. */
export interface Head {
  branch: string | null;
  commit: string | null;
}

export interface RefState {
  head: Head;
  /** `state/refs`: as `git ls-remote --symref` prints refs: HEAD, branches, tags, the stash. */
  text: string;
  /** `state/stash`: all entries of the stash, as its reflog has them; '' for none. */
  stash: string;
  /** Our own refs: name -> oid. */
  own: ReadonlyMap<string, string>;
}

/** Reads HEAD, branches, tags, the stash and our own refs, in one git process. */
export async function readRefs(repository: Repository): Promise<RefState> {
  const format = '%(objectname)\t%(refname)';
  const names = [
    'refs/heads',
    'refs/tags',
    'refs/stash',
    timelineRef(repository),
    anchorRef(repository),
    notesRef,
  ];
  const { stdout } = await git(['for-each-ref', `--format=${format}`, ...names], {
    cwd: repository.worktree,
  });
  const own = new Map<string, string>();
  const lines = stdout.toString('utf8').split('\n').slice(0, -1);
  const users = lines.filter((line) => {
    const [oid = '', name = ''] = line.split('\t');
    const isOwn = name.startsWith('refs/pitr/') || name === notesRef;
    if (isOwn) own.set(name, oid);
    return !isOwn;
  });
  const refs = users.map((line) => `${line}\n`).join('');
  const head = readFileSync(path.join(repository.gitDir, 'HEAD'), 'utf8').trim();
  const branch = /^ref: (.*)$/.exec(head)?.[1] ?? null;
  const commit = branch === null ? head : await commitOf(repository, branch, refs);
  const first = branch === null ? `${head}\tHEAD\n` : `ref: ${branch}\tHEAD\n`;
  return {
    head: { branch: branch?.replace(/^refs\/heads\//, '') ?? null, commit },
    text: first + refs,
    stash: /\trefs\/stash$/m.test(refs) ? await readStash(repository) : '',
    own,
  };
}

/** Git keeps all entries but the newest in the stash's reflog alone. Its lines: gitrepository-layout(5), logs. */
async function readStash({ commonDir, worktree }: Repository): Promise<string> {
  const log = readFileIfThere(path.join(commonDir, 'logs', 'refs', 'stash'), 'latin1');
  if (log !== undefined) return log;
  // In the reftable format there is no file.
  const format = '%H%x00%gn <%ge> %gd%x00%gs';
  const { stdout } = await git(['log', '-g', '--date=raw', `--format=${format}`, 'refs/stash', '--'], {
    cwd: worktree,
    okCodes: [0, 128],
  });
  const entries = stdout.toString('latin1').split('\n').slice(0, -1).toReversed();
  let before = '';
  const lines = entries.map((entry) => {
    const [oid = '', who = '', subject = ''] = entry.split('\0');
    const line = `${before || '0'.repeat(oid.length)} ${oid} ${who.replace(/ [^ ]*@\{(\d+ [+-]\d{4})\}$/, ' $1')}\t${subject}\n`;
    before = oid;
    return line;
  });
  return lines.join('');
}

/** Our own refs: read from their files where those say it all, else asked of git. */
export async function readOwnRefs(repository: Repository): Promise<Pick<RefState, 'own'>> {
  const own = new Map<string, string>();
  for (const name of [timelineRef(repository), anchorRef(repository), notesRef]) {
    const oid = readFileIfThere(path.join(repository.commonDir, name))?.trimEnd() ?? '';
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) return readRefs(repository); // packed, not there, or in a table
    own.set(name, oid);
  }
  return { own };
}

async function commitOf(repository: Repository, branch: string, refs: string): Promise<string | null> {
  const line = refs.split('\n').find((candidate) => candidate.endsWith(`\t${branch}`));
  if (line !== undefined) return line.split('\t')[0] ?? null;
  // HEAD on a ref outside refs/heads (some tools do that), or a branch not born yet.
  const oid = await gitText(['rev-parse', '-q', '--verify', 'HEAD'], {
    cwd: repository.worktree,
    okCodes: [0, 1, 128],
  });
  return oid === '' ? null : oid;
}
