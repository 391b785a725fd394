/** Random histories of a working copy: lists of steps, each of which fits any state. */
import fc from 'fast-check';
import type { BytePath } from '../../../src/git/paths.ts';
import type { Worktree } from './disk.ts';

/** Bytes as a byte string. */
const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

export type Step =
  | { do: 'write'; path: BytePath; content: string; mode: number }
  | { do: 'edit'; path: BytePath; content: string }
  | { do: 'link'; path: BytePath; target: string }
  | { do: 'folder'; path: BytePath }
  | { do: 'remove'; path: BytePath }
  | { do: 'mode'; path: BytePath; mode: number }
  | { do: 'move'; from: BytePath; to: BytePath }
  | { do: 'nest'; path: BytePath; withCommit: boolean }
  | { do: 'unnest'; path: BytePath }
  /** What the index then has of the files on disk: every so-manieth. Ignored ones too. */
  | { do: 'track'; every: number }
  | { do: 'untrack'; every: number }
  | { do: 'commit' };

/** Few names that meet often: as file, folder and link, ignored and not, in two cases. */
const common = ['a', 'b', 'A', 'x.log', 'keep.log', 'build', '.env', 'z.tmp'];

/** Names that something on the way may trip over. */
const odd = [
  ' spaces in it ',
  'line\nend',
  'quo"te',
  "apo'strophe",
  'back\\slash',
  'tab\tulator',
  '-dash',
  '--',
  ':(top)',
  ':0:x',
  '*',
  '[a]',
  '?',
  '#comment',
  '!not',
  '~',
  '.env.local',
  'invalid \xff\xfe bytes',
  '\xe9',
  utf8('\u00e9'.normalize('NFC')),
  utf8('\u00e9'.normalize('NFD')),
  utf8('日本'),
  'trailing.',
  '...',
  'git',
  // Converted by the .gitattributes below.
  'f.crlf',
  'f.auto',
  'f.id',
  'f.rot',
  'f.u16',
  'f.lfs',
];

const name = (oddity: number) =>
  fc.oneof(
    { weight: 10 - oddity, arbitrary: fc.constantFrom(...common) },
    { weight: oddity, arbitrary: fc.constantFrom(...odd) },
  );

const nests = ['nest', 'a/nest', 'build/nest'];

const inNests = nests.flatMap((nest) =>
  ['a', 'x.log', 'build/b', 'f.crlf', '.gitignore'].map((inside) => `${nest}/${inside}`),
);

const path = (oddity: number): fc.Arbitrary<BytePath> =>
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.array(name(oddity), { minLength: 1, maxLength: 3 }).map((names) => names.join('/')),
    },
    { weight: 1, arbitrary: fc.constantFrom(...inNests) },
  );

const lfsPointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'4d7a2146'.repeat(8)}\nsize 12345\n`;

const content = fc.constantFrom(
  '',
  'one\n',
  'two\n',
  'no end',
  'crlf\r\ncrlf\r\n',
  'crlf\r\nlf\n',
  'cr\rcr\r',
  '$Id$\n',
  '$Id: 0123456789 $\n',
  utf8('ünï\n'),
  '\0\x01\xff binary\r\n\0',
  lfsPointer,
  'many lines\n'.repeat(500),
  // What it says is the UTF-16 of the files with working-tree-encoding.
  Buffer.from('\ufeffsixteen\r\n', 'utf16le').toString('latin1'),
);

const mode = fc.constantFrom(0o644, 0o644, 0o755, 0o600, 0o444, 0o700, 0o640, 0o664, 0o775, 0o400);

const rules = [
  '*.log',
  '!keep.log',
  'build/',
  '/a',
  'b',
  '.env*',
  'z*',
  '/A/',
  'a/b',
  '\\#comment',
  '-dash',
  '!*.log',
  'f.*',
  'nest/',
];

const attributes = [
  '* text=auto',
  '*.auto text=auto eol=crlf',
  '*.crlf text eol=crlf',
  '*.id ident',
  '*.rot filter=rot',
  '*.u16 working-tree-encoding=UTF-16',
  '*.lfs filter=lfs diff=lfs merge=lfs -text',
  '*.log -text',
];

const lines = (of: readonly string[]) =>
  fc.array(fc.constantFrom(...of), { maxLength: 4 }).map((some) => some.map((line) => `${line}\n`).join(''));

const target = fc.constantFrom(
  'a',
  'b',
  'nowhere',
  '.',
  '..',
  '../a',
  'build',
  '/',
  '/nonexistent/x',
  'invalid \xff',
  'a/b',
);

/** How often odd names, changes to ignore rules, the index and nested repositories come up (0 to 10). */
export interface Emphasis {
  oddNames: number;
  rules: number;
  index: number;
  nested: number;
}

export function steps(emphasis: Emphasis, { min, max }: { min: number; max: number }): fc.Arbitrary<Step[]> {
  const anyPath = path(emphasis.oddNames);
  const ruleFolder = fc.constantFrom('', '', '', 'a/', 'a/b/', 'build/', 'b/');
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ do: fc.constant('write' as const), path: anyPath, content, mode }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('edit' as const), path: anyPath, content }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('link' as const), path: anyPath, target }) },
    { weight: 7, arbitrary: fc.record({ do: fc.constant('folder' as const), path: anyPath }) },
    { weight: 9, arbitrary: fc.record({ do: fc.constant('remove' as const), path: anyPath }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('mode' as const), path: anyPath, mode }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('move' as const), from: anyPath, to: anyPath }) },
    {
      weight: emphasis.rules,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        path: ruleFolder.map((folder) => `${folder}.gitignore`),
        content: lines(rules),
        mode: fc.constant(0o644),
      }),
    },
    {
      weight: Math.ceil(emphasis.rules / 2),
      arbitrary: fc.record({
        do: fc.constant('remove' as const),
        path: ruleFolder.map((folder) => `${folder}.gitignore`),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        path: fc.constantFrom('.gitattributes', 'a/.gitattributes'),
        content: lines(attributes),
        mode: fc.constant(0o644),
      }),
    },
    {
      weight: emphasis.nested,
      arbitrary: fc.record({
        do: fc.constant('nest' as const),
        path: fc.constantFrom(...nests),
        withCommit: fc.boolean(),
      }),
    },
    {
      weight: Math.ceil(emphasis.nested / 2),
      arbitrary: fc.record({ do: fc.constant('unnest' as const), path: fc.constantFrom(...nests) }),
    },
    {
      weight: emphasis.index,
      arbitrary: fc.record({ do: fc.constant('track' as const), every: fc.integer({ min: 1, max: 4 }) }),
    },
    {
      weight: Math.ceil(emphasis.index / 2),
      arbitrary: fc.record({ do: fc.constant('untrack' as const), every: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: Math.ceil(emphasis.index / 4), arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  );
  return fc.array(step, { minLength: min, maxLength: max, size: 'max' });
}

/** Steps that change files; those of the index need git. */
export function changeDisk(
  worktree: Worktree,
  step: Step,
  templates: Readonly<Record<'born' | 'unborn', string>>,
): void {
  switch (step.do) {
    case 'write':
      return worktree.write(step.path, step.content, step.mode);
    case 'edit':
      return worktree.edit(step.path, step.content);
    case 'link':
      return worktree.link(step.path, step.target);
    case 'folder':
      return worktree.makeFolder(step.path);
    case 'remove':
      return worktree.remove(step.path);
    case 'mode':
      return worktree.changeMode(step.path, step.mode);
    case 'move':
      return worktree.move(step.from, step.to);
    case 'nest':
      return worktree.copy(templates[step.withCommit ? 'born' : 'unborn'], step.path);
    case 'unnest':
      return worktree.remove(`${step.path}/.git`);
    default:
  }
}
