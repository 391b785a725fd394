import { PitrError } from '../errors.ts';
import { commands } from './commands.ts';

/** What was probably meant by a word that is none of ours. */

/** Error for a command that is none, naming the nearest. */
export function unknownCommand(name: string): PitrError {
  if (name.startsWith('-')) {
    return new PitrError('usage', `git pitr has no option ${name} of its own.`, {
      hints: [
        `Options come after the command: git pitr <command> ${name}`,
        'git pitr -h lists the commands.',
      ],
    });
  }
  const near = commands.filter((command) => distance(command.name, name) <= 2).map((command) => command.name);
  const hints = near.length > 0 ? [`Did you mean: git pitr ${near.join(' or git pitr ')}?`] : [];
  return new PitrError('usage', `"${name}" is not a git pitr command.`, {
    hints: [...hints, 'git pitr -h lists the commands.'],
  });
}

/** Edit distance (Levenshtein). */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, char] of a.split('').entries()) {
    const next = [i + 1];
    for (const [j, other] of b.split('').entries()) {
      next.push(
        Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (char === other ? 0 : 1)),
      );
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
