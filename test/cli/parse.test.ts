import { expect, test } from 'vitest';
import { type CommandSpec, commands, findCommand } from '../../src/cli/commands.ts';
import { helpFor } from '../../src/cli/help.ts';
import { givenOptions, parse } from '../../src/cli/parse.ts';
import { PitrError } from '../../src/errors.ts';
import { shellWords } from '../support/shell-words.ts';

function command(name: string): CommandSpec {
  const found = findCommand(name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

async function problemOf(name: string, argv: string[]): Promise<PitrError> {
  const error = await parse(command(name), argv).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PitrError);
  return error as PitrError;
}

test('an option takes the next word as its value, whatever it looks like', async () => {
  expect((await parse(command('snapshot'), ['-m', '-h'])).options['message']).toBe('-h');
  expect((await parse(command('snapshot'), ['-qm', '--json'])).options['message']).toBe('--json');
  expect(givenOptions(command('snapshot'), ['-qm', '--json', '--pin'])).toEqual([
    { name: '-q' },
    { name: '-m', value: '--json' },
    { name: '--pin' },
  ]);
});

test.each([['true'], ['false']])(
  'a path called %s after --dry-run is a path, and the dry run stays one',
  async (name) => {
    const args = await parse(command('restore'), ['--at', 'now', '--dry-run', name]);
    expect(args.options['dry-run']).toBe(true);
    expect(args.operands).toEqual([name]);
  },
);

test.each([['--dry-run=yes'], ['-n=yes'], ['--dry-run=false']])(
  '%s is refused: it must never turn into a restore',
  async (word) => {
    const { kind, message } = await problemOf('restore', ['--at', 'now', '--yes', word]);
    expect(kind).toBe('usage');
    expect(message).toContain('takes no value');
  },
);

test('what comes after -- is a path, even when it looks like an option', async () => {
  const args = await parse(command('restore'), ['--at', 'now', 'src', '--', '--force', '-h']);
  expect(args.operands).toEqual(['src']);
  expect(args.paths).toEqual(['--force', '-h']);
  expect(args.options['force']).toBeUndefined();
  expect(givenOptions(command('restore'), ['--', '-h', '--json'])).toEqual([]);
});

test.each([
  ['list', ['--nmber', '2'], 'there is no option --nmber', 'Did you mean --number?'],
  ['snapshot', ['--mess', 'x'], 'there is no option --mess', 'Did you mean --message?'],
  ['snapshot', ['-x'], 'there is no option -x', 'git pitr snapshot -h shows its options.'],
  ['snapshot', ['-m'], '-m needs a value: -m <message>', 'git pitr snapshot -h shows its options.'],
  ['restore', ['--at'], '--at needs a value: --at <time>', 'git pitr restore -h shows its options.'],
  [
    'list',
    ['-n', '1', '-n', '2'],
    '--number was given more than once',
    'git pitr list -h shows its options.',
  ],
  ['show', ['a', 'b'], 'too many arguments: b', 'git pitr show -h shows its options.'],
  ['snapshot', ['--', 'src'], 'there are no paths to give: src', 'git pitr snapshot -h shows its options.'],
])('a wrong command line of %s %j says what is wrong and what to do', async (name, argv, says, hint) => {
  const { kind, message, hints } = await problemOf(name, argv);
  expect(kind).toBe('usage');
  expect(message).toBe(`git pitr ${name}: ${says}.`);
  expect(hints).toContain(hint);
});

test.each(commands.map((spec) => [spec.name, spec] as const))(
  'every example of %s parses, and its help shows options, examples and exit codes in 80 columns',
  async (_, spec) => {
    for (const [example] of spec.examples) {
      const [git, pitr, name, ...argv] = shellWords(example);
      expect([git, pitr, name]).toEqual(['git', 'pitr', spec.name]);
      await parse(spec, argv);
    }
    const help = helpFor(spec);
    expect(help).toMatch(/^usage: git pitr .+\n[^]*\nOptions:\n[^]*\nExamples:\n[^]*\nExit codes:\n {4}0 /);
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  },
);

test('what a value is, is written as git writes it: lower case between < and >', () => {
  for (const { options, operands } of commands) {
    for (const { value = 'x' } of Object.values(options)) expect(value).toMatch(/^[a-z]+(\[?\.[a-z]+\]?)?$/);
    expect(operands.replace(/<[a-z]+>/g, '')).toMatch(/^[[\].\- ]*$/);
  }
});
