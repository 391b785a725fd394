/**
 * The tour that `npm run demo` gives: a real repository (a clone of this checkout) with a real SQLite database beside
 * it; a bad afternoon; and back. It checks bytes and rows itself and ends non-zero if they differ.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';

const checkout = fileURLToPath(new URL('../../', import.meta.url));
const program = path.join(checkout, 'dist/git-pitr.cjs');
const folder = mkdtempSync(path.join(tmpdir(), 'git-pitr-demo-'));
const worktree = path.join(folder, 'shop');
const env = cleanEnvironment(testIdentity);
const failures: string[] = [];

function say(text: string): void {
  process.stdout.write(`\n## ${text}\n`);
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: worktree, env, encoding: 'utf8' }).trim();
}

function pitr(args: string[], expected = 0): string {
  process.stdout.write(`$ git pitr ${args.map((arg) => (/[ ~*]/.test(arg) ? `"${arg}"` : arg)).join(' ')}\n`);
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...args], {
    cwd: worktree,
    env,
    encoding: 'utf8',
  });
  process.stdout.write(stdout + stderr);
  if (status !== expected)
    failures.push(`git pitr ${args.join(' ')} ended with ${status} instead of ${expected}`);
  return stdout;
}

function check(what: string, holds: boolean): void {
  process.stdout.write(`${holds ? 'ok  ' : 'FAIL'} ${what}\n`);
  if (!holds) failures.push(what);
}

/**
 * Everything on disk but the database, hashed by another process: reading shop.db in this one, and closing it, would
 * drop the locks of the connection that this process has open.
 */
function files(): string {
  const list =
    "find . -path ./.git -prune -o -type f ! -name 'shop.db*' -print0 | sort -z | xargs -0 sha256sum";
  return execFileSync('sh', ['-c', list], { cwd: worktree, env, encoding: 'utf8' });
}

try {
  say('A repository, and a database that is in use');
  execFileSync('git', ['clone', '--quiet', '--no-local', checkout, worktree], { env });
  writeFileSync(path.join(worktree, '.git/info/exclude'), '*.db\n*.db-*\n');
  const db = new Database(path.join(worktree, 'shop.db'));
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL)');
  const insert = db.prepare('INSERT INTO orders(customer, total) VALUES (?, ?)');
  for (let n = 1; n <= 1000; n++) insert.run(`customer ${n}`, n / 10);
  const rows = () => JSON.stringify(db.prepare('SELECT * FROM orders ORDER BY id').all());
  pitr(['init', '--yes']);

  say('An hour of work, not committed');
  writeFileSync(
    path.join(worktree, 'README.md'),
    `${readFileSync(path.join(worktree, 'README.md'), 'utf8')}\nA paragraph of today.\n`,
  );
  writeFileSync(path.join(worktree, 'notes.txt'), 'an untracked file\n');
  const filesBefore = files();
  const rowsBefore = rows();
  const headBefore = git('rev-parse', 'HEAD');
  pitr(['snapshot', '-m', 'before the bad afternoon']);
  const { snapshots } = JSON.parse(
    spawnSync(process.execPath, [program, 'list', '--json'], { cwd: worktree, env, encoding: 'utf8' }).stdout,
  ) as { snapshots: { id: string; time: string }[] };
  const instant = snapshots[0]?.time ?? '';

  say('The bad afternoon: edits, deleted files, corrupted rows through an open connection');
  writeFileSync(path.join(worktree, 'README.md'), 'overwritten\n');
  writeFileSync(path.join(worktree, 'unwanted.txt'), 'nobody asked for this\n');
  rmSync(path.join(worktree, 'notes.txt'));
  rmSync(path.join(worktree, 'src'), { recursive: true });
  db.exec(
    "UPDATE orders SET total = 0, customer = 'oops' WHERE id % 2 = 0; DELETE FROM orders WHERE id > 900",
  );
  const rowsLater = rows();
  const treeLater = files();
  process.stdout.write(
    `${git('status', '--short').split('\n').length} paths differ from HEAD; ${(JSON.parse(rowsLater) as unknown[]).length} of 1000 rows are left\n`,
  );

  say('What would come back? (a dry run changes nothing)');
  const plan = pitr(['restore', '--at', instant, '--all', '--dry-run']);
  check('the dry run changed no file and no row', files() === treeLater && rows() === rowsLater);
  check('the dry run names the deleted file', plan.includes('notes.txt'));

  say('Without a word from you, uncommitted changes are not overwritten');
  pitr(['restore', '--at', instant, '--all'], 4);
  check('nothing was changed', files() === treeLater && rows() === rowsLater);

  say('Back to before');
  pitr(['restore', '--at', instant, '--all', '--yes', '--quiet']);
  check('every file is byte for byte as it was', files() === filesBefore);
  check(
    'every row is as it was, seen through the connection that was open all the time',
    rows() === rowsBefore,
  );
  check('HEAD was not touched', git('rev-parse', 'HEAD') === headBefore);

  say('And forth again: undo');
  pitr(['undo', '--yes', '--quiet']);
  check('the later files are back', files() === treeLater);
  check('the later rows are back', rows() === rowsLater);
  pitr(['undo', '--yes', '--quiet']);
  check('undo of the undo: the rows of before', rows() === rowsBefore);
  db.close();

  say('What git says of the repository');
  git('fsck', '--strict');
  check('git fsck --strict is clean', true);
  process.stdout.write(`${git('log', '--oneline', '-3', 'refs/pitr/main')}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

process.stdout.write(
  failures.length === 0
    ? '\nAll came back: files, untracked files, deleted folders and rows.\n'
    : `\nFAILED:\n${failures.join('\n')}\n`,
);
process.exitCode = failures.length === 0 ? 0 : 1;
