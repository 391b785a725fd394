import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { pitr, type PitrResult } from '../../support/cli.ts';
import { sha256sums } from '../../support/fingerprint.ts';
import { hashTree } from '../../support/hash-tree.ts';
import { removeFolder, temporaryFolder, TestRepository } from '../../support/repository.ts';

/** How many hostile inputs were tried, for the line that the suite prints. */
export const tried = { inputs: 0 };

export interface Victim {
  repository: TestRepository;
  /** The folder around the repository: nothing in it but the repository may ever change. */
  around: string;
  /** Everything of the person's: around the repository, its files, and `.git` but for objects, refs/pitr and .git/pitr. */
  belongings: () => string[];
}

/** A repository inside a folder with things worth having, with one honest snapshot. */
export function victim(): Victim {
  const around = temporaryFolder();
  onTestFinished(() => removeFolder(around));
  writeFileSync(path.join(around, 'secret.txt'), 'outside');
  mkdirSync(path.join(around, 'outside'));
  writeFileSync(path.join(around, 'outside', 'x'), 'outside too');
  const repository = new TestRepository({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' },
    commit: true,
    below: around,
  });
  pitr(repository.path, ['snapshot', '-m', 'honest']);
  return { repository, around, belongings: () => belongings(around, repository) };
}

function belongings(around: string, repository: TestRepository): string[] {
  const git = path.relative(around, path.join(repository.path, '.git'));
  const left = ['objects', 'pitr', 'refs/pitr', 'refs/notes', 'logs/refs/notes'].map(
    (name) => `${git}/${name}/*`,
  );
  return [...sha256sums(around, left), ...hashTree(around)];
}

/**
 * Runs a command against a hostile snapshot: it must be refused with one of these codes, with words that fit, and
 * nothing of the person's may have changed.
 */
export function expectRefused(
  { repository, belongings: look }: Victim,
  args: readonly string[],
  codes: readonly number[],
  words?: RegExp,
): PitrResult {
  tried.inputs++;
  const before = look();
  const result = pitr(repository.path, args, { expectCode: 'any' });
  const shown = `git pitr ${args.join(' ')} ended with ${result.code}\n${result.stdout}\n${result.stderr}`;
  if (!codes.includes(result.code)) throw new Error(`${shown}\nexpected: ${codes.join(' or ')}`);
  if (words !== undefined && !words.test(result.stderr + result.stdout))
    throw new Error(`${shown}\nexpected: ${words}`);
  const after = look();
  const changed = [
    ...before.filter((line) => !after.includes(line)),
    ...after.filter((line) => !before.includes(line)),
  ];
  if (changed.length > 0) throw new Error(`${shown}\nchanged:\n${changed.join('\n')}`);
  return result;
}
