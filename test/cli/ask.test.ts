import { expect, test } from 'vitest';
import { pitr } from '../support/cli.ts';
import { scratchRepository } from '../support/scratch.ts';
import { onTerminal } from '../support/terminal.ts';

function changed() {
  const repository = scratchRepository({ files: { 'a.txt': 'a\n' }, commit: true });
  pitr(repository.path, ['snapshot']);
  repository.write('a.txt', 'changed\n');
  return repository;
}

const restore = ['restore', '--snapshot', 'latest'];

test('on a terminal, restore shows the plan and asks; yes carries it out', async () => {
  const repository = changed();
  const { code, text } = await onTerminal(repository.path, restore, { answers: ['y\r'] });
  expect(text).toContain('overwrite      a.txt  (uncommitted changes)');
  expect(text).toContain('Carry this out? The uncommitted changes are recorded first. [y/N] y');
  expect(code).toBe(0);
  expect(repository.read('a.txt')).toBe('a\n');
});

test.each([
  ['no', 'n\r'],
  ['an empty answer', '\r'],
  ['Ctrl-D', '\x04'],
])('%s leaves everything as it is, with exit code 4', async (_, answer) => {
  const repository = changed();
  const { code, text } = await onTerminal(repository.path, restore, { answers: [answer] });
  expect(code).toBe(4);
  expect(text).toMatch(/^Nothing was changed\.$/m);
  expect(repository.read('a.txt')).toBe('changed\n');
});

test('Ctrl-C at a question ends the command with 130 and changes nothing', async () => {
  const repository = changed();
  const { code, text } = await onTerminal(repository.path, restore, { answers: ['\x03'] });
  expect(code).toBe(130);
  expect(text).toContain('error: Interrupted; nothing was changed.');
  expect(repository.read('a.txt')).toBe('changed\n');
});

test('Ctrl-C at the first proposal of init asks no second question and configures nothing', async () => {
  const repository = scratchRepository({ files: { '.gitignore': '.env\n' } });
  repository.write('.env', 'SECRET=1\n');
  repository.write('app.db', Buffer.from('SQLite format 3\0'.padEnd(100, '\0')));
  const { code, text } = await onTerminal(repository.path, ['init'], { answers: ['\x03', 'y\r'] });
  expect(code).toBe(130);
  expect(text.match(/\[y\/N\]/g)).toHaveLength(1);
  expect(repository.git('config', '--list')).not.toContain('pitr.');
});

test('when nothing has to change, nothing is asked', async () => {
  const repository = changed();
  pitr(repository.path, ['snapshot']);
  const { code, text } = await onTerminal(repository.path, restore);
  expect(code).toBe(0);
  expect(text).not.toContain('[y/N]');
  expect(text).toContain('nothing had to change');
});
