import { PitrError } from '../../errors.ts';

/** Why single tables cannot come back. */

export function refused(database: string, name: string, why: string): PitrError {
  return new PitrError(
    'refused',
    `The rows of the table "${name}" of the database "${database}" cannot come back alone: ${why}. Nothing was changed.`,
    {
      hints: [
        `Bring the whole database back: --db ${database}; or its SQL into a folder: --into <folder> --db ${database}`,
      ],
    },
  );
}

export function changed(database: string, name: string): PitrError {
  return new PitrError(
    'refused',
    `The table "${name}" of the database "${database}" changed after its present state was recorded; nothing was changed.`,
    { hints: ['Run the command again: it records the new state first.'] },
  );
}

export function oneAfterTheOther(database: string, dropped: readonly string[]): PitrError {
  return new PitrError(
    'refused',
    `Some of these tables are gone and some are not, which is not one transaction on this server; nothing was changed.`,
    { hints: [`First those that are gone: ${dropped.map((name) => `--db ${database}.${name}`).join(' ')}`] },
  );
}

export function inconsistent(database: string, names: readonly string[]): PitrError {
  return new PitrError(
    'refused',
    `Foreign keys between ${names.join(', ')} of the database "${database}" do not hold with the rows that were recorded; nothing was changed.`,
    { hints: [`Bring the whole database back: --db ${database}`] },
  );
}

export function needsMore(
  database: string,
  asked: ReadonlySet<string>,
  along: ReadonlySet<string>,
): PitrError {
  const more = [...along].filter((name) => !asked.has(name)).toSorted();
  const all = [...along].toSorted();
  return new PitrError(
    'refused',
    `Foreign keys do not hold with ${[...asked].toSorted().join(', ')} of then and the rest of the database "${database}" of now; nothing was changed.`,
    {
      hints: [
        `These would have to come along: ${more.join(', ')}.`,
        `All of them together: ${all.map((name) => `--db ${database}.${name}`).join(' ')}`,
      ],
      details: { tables: all },
    },
  );
}
