import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { exitCodes, selectors, times, variables } from '../../src/cli/about.ts';
import { commands } from '../../src/cli/commands.ts';
import { readConfig } from '../../src/config/config.ts';
import { configKeys } from '../../src/config/keys.ts';
import { ExitCode } from '../../src/errors.ts';
import { findRepository } from '../../src/git/repository.ts';
import { parseWhen } from '../../src/timeline/when.ts';
import { scratchRepository } from '../support/scratch.ts';
import { chain, read, renderManPage, renderPage, root } from './pages.ts';

/** All of src as one text. */
function sources(): string {
  return readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(path.join(root, 'src', file), 'utf8'))
    .join('\n');
}

test('docs/commands.md is what the program would make now (npm run docs makes it)', async () => {
  const page = chain().find(({ file }) => file === 'docs/commands.md');
  expect(page).toBeDefined();
  expect(read('docs/commands.md')).toBe(await renderPage(page ?? { file: '', title: '' }));
});

test('the man page is what the program would make now, and npm installs it', () => {
  expect(read('docs/man/git-pitr.1')).toBe(renderManPage());
  // A list: npm 11 passes over a string (normalize.js makes none of it, and link-mans.js wants one).
  expect(packageJson.man).toEqual(['docs/man/git-pitr.1']);
  expect(packageJson.files).toContain('docs');
});

test('nothing of the reference is in the program: start-up is part of every hook', () => {
  const chunks = readdirSync(path.join(root, 'dist/chunks')).map((name) => `dist/chunks/${name}`);
  for (const file of ['dist/git-pitr.cjs', ...chunks.filter((name) => name.endsWith('.js'))]) {
    expect(read(file)).not.toContain('COMMON OPTIONS');
    expect(read(file)).not.toContain('Where a command takes');
  }
});

for (const [program, ...args] of [
  ['groff', '-ww', '-man', '-Tutf8'],
  ['man', '--warnings', '-l'],
] as const) {
  test(`${program} has nothing to say against the man page, where it is installed`, ({ skip }) => {
    const { error, stderr } = spawnSync(program, [...args, 'docs/man/git-pitr.1'], {
      cwd: root,
      encoding: 'utf8',
    });
    if (error !== undefined) skip(`${program} is not installed`);
    expect(stderr).toBe('');
  });
}

test('every command, option and exit code is in the reference and in the man page', () => {
  const plain = renderManPage().replaceAll('\\-', '-');
  const reference = read('docs/commands.md');
  for (const { name, options, exitCodes: codes } of commands) {
    expect(reference).toContain(`## git pitr ${name}\n`);
    for (const option of Object.keys(options)) {
      expect(reference).toContain(`--${option}`);
      expect(plain).toContain(`--${option}`);
    }
    for (const code of Object.keys(codes)) expect(Object.values(ExitCode).map(String)).toContain(code);
  }
  expect(exitCodes.map(([code]) => Number(code))).toEqual(Object.values(ExitCode));
});

test('every configuration key that the program names is in the reference', () => {
  const documented = configKeys.map(({ key }) => key.toLowerCase());
  // In code, names and keys are put in: `pitr.database.${name}.path`.
  const text = sources().replace(/\$\{[^}]*\}/g, 'X');
  const named = [...text.matchAll(/\bpitr\.(database\.[^.\s"'`]+\.|retention\.)?([a-z]+)\b(?!\.)/gi)].map(
    ([, section = '', leaf = '']) =>
      `pitr.${section.replace(/^database\..*/, 'database.<name>.')}${leaf}`.toLowerCase(),
  );
  const sections = new Set(['pitr.database', 'pitr.retention']);
  const keys = new Set(named.filter((key) => !key.endsWith('.x') && !sections.has(key)));
  expect(keys).toContain('pitr.maxfilesize');
  for (const key of keys) expect(documented).toContain(key);
});

test('the defaults in the reference are those that hold where nothing is configured', async () => {
  const repository = scratchRepository();
  const read = async () => ({ ...(await readConfig(await findRepository(repository.path))), git: undefined });
  const before = await read();
  const withDefault = configKeys.filter(({ key, otherwise }) => otherwise !== '' && !key.includes('<'));
  for (const { key, otherwise } of withDefault) repository.git('config', key, otherwise);
  expect(withDefault.length).toBeGreaterThan(2);
  expect(await read()).toEqual(before);
  for (const { key } of withDefault) repository.git('config', key, '7');
  expect(await read()).not.toEqual(before);
});

test.each(configKeys.map((key) => [key.key, key] as const))(
  '%s may stand in .pitrconfig exactly where the reference says so',
  async (_, { key, tracked, otherwise }) => {
    const repository = scratchRepository();
    const actual = key.replace('<name>', 'app').replace('<type>', 'safety').replace('<rule>', 'keepLast');
    const [, section, name = ''] = /^pitr\.(?:(.+)\.)?([^.]+)$/.exec(actual) ?? [];
    const header = section === undefined ? '[pitr]' : `[pitr "${section}"]`;
    repository.write('.pitrconfig', `${header}\n\t${name} = ${otherwise || 'x'}\n`);
    const reading = readConfig(await findRepository(repository.path));
    if (tracked) await reading;
    else await expect(reading).rejects.toThrow('which only your own git config may set');
  },
);

test('every variable of the environment that the program reads is in the reference', () => {
  const documented = variables.flatMap(([names]) => names.split(', '));
  const text = sources();
  const read = [
    ...text.matchAll(/process\.env\['(\w+)'\]/g),
    ...text.matchAll(/environmentOf\('(\w+)'\)/g),
    ...text.matchAll(/name === '(GIT_\w+)'/g),
  ].map(([, name = '']) => name);
  // PITR_CRASH_AT is for crash tests, and no promise.
  const told = [...documented, 'PITR_CRASH_AT', 'TERM'];
  expect(read).toContain('GIT_COMMITTER_DATE');
  for (const name of read) expect(told).toContain(name);
  for (const name of documented) if (name !== 'GIT_*') expect(text).toContain(name);
});

test('every time in the reference is one that the program reads', async () => {
  const now = new Date('2026-11-21T20:00:00Z');
  const written = [...times, ...selectors].map(([time]) => time).filter((time) => !/^[\da-z~]+$/.test(time));
  const more = times.flatMap(
    ([, meaning]) => meaning.match(/\w+ ago|10\.minutes\.ago|last friday 9:30/g) ?? [],
  );
  expect(more).toHaveLength(4);
  for (const time of [...written, ...more])
    expect((await parseWhen(time, { now })).epochMs).toBeLessThan(now.getTime());
});
