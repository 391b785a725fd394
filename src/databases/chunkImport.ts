import { PitrError } from '../errors.ts';
import { makeImportPlace } from '../git/importPlace.ts';
import { nullOid, type Repository } from '../git/repository.ts';
import { startGit } from '../git/run.ts';

/** Writing the chunks and trees of a database's copy with one `git fast-import` (format: git-fast-import(1)). */

const branch = 'refs/pitr/incoming/database';

/**
 * Runs the file commands of one commit and gives the tree that they make. The commit that carries them stays
 * unreferenced (its branch is reset before the end).
 */
export async function importTree(
  repository: Repository,
  commands: AsyncIterable<Buffer | string>,
): Promise<string> {
  async function* input(): AsyncGenerator<Buffer | string> {
    yield `commit ${branch}\ncommitter git-pitr <git-pitr@localhost> 0 +0000\ndata 5\nimage\n`;
    yield* commands;
    yield `ls ""\nreset ${branch}\nfrom ${nullOid(repository)}\n\ndone\n`;
  }
  // No deltas: the neighbour of a chunk is seldom like it, and trying costs more than hashing. Level 1: at 6, zlib
  // takes 25 MB/s and the first copy of a database is what people wait for; git gc packs it tighter.
  const place = makeImportPlace(repository);
  let answer = '';
  try {
    const running = startGit(
      ['fast-import', '--quiet', '--done', '--depth=0', '--date-format=raw-permissive'],
      {
        cwd: repository.worktree,
        env: place.env,
        config: [
          ['pack.compression', '1'],
          ['core.compression', '1'],
        ],
        input: input(),
      },
    );
    for await (const part of running.stdout) answer += (part as Buffer).toString('latin1');
    await running.end();
  } finally {
    place.remove();
  }
  const oid = /^040000 tree ([0-9a-f]+)\t/.exec(answer)?.[1];
  if (oid === undefined)
    throw new PitrError(
      'failed',
      `git fast-import did not tell the tree it wrote, but: ${answer.slice(0, 200)}`,
    );
  return oid;
}

/** The commands that put a file at a path, with its content. */
export function* putContent(path: string, content: Buffer): Generator<Buffer | string> {
  yield `M 100644 inline ${path}\ndata ${content.length}\n`;
  yield content;
  yield '\n';
}
