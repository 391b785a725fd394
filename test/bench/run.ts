/**
 * `npm run bench`: each row is a ratio, both sides measured in turn in one run, medians of the pairs. A timing is never
 * a test's assertion: machines are noisy, and the table is for reading.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { TestRepository } from '../support/repository.ts';

const checkout = fileURLToPath(new URL('../../', import.meta.url));
const program = path.join(checkout, 'dist/git-pitr.cjs');
const pairs = Number(process.env['PITR_BENCH_PAIRS'] ?? '10');

/** Node as it starts here (`NODE_EXTRA_CA_CERTS` alone can double its start), the same for both sides of a row. */
const nodeVariables = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name.startsWith('NODE_')),
);

interface Row {
  work: string;
  oursMs: number;
  floorMs: number;
  ratio: number;
  target: number;
}

function run(cwd: string, command: string, args: readonly string[], input?: string, index?: string): string {
  const env = cleanEnvironment({
    ...testIdentity,
    ...nodeVariables,
    ...(index === undefined ? {} : { GIT_INDEX_FILE: index }),
  });
  const child = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  });
  if (child.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${child.stderr}`);
  return child.stdout.trim();
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The plain plumbing for one snapshot: add, write-tree, fast-import of a commit and its note. */
function plumbing(cwd: string, index: string): void {
  run(cwd, process.execPath, ['-e', '0']);
  run(cwd, 'git', ['add', '-A'], undefined, index);
  const tree = run(cwd, 'git', ['write-tree'], undefined, index);
  const commit = `commit refs/floor/x\ncommitter a <a@a> 1 +0000\ndata 1\nm\ndeleteall\nM 040000 ${tree} files\n\n`;
  const note =
    'commit refs/notes/floor\ncommitter a <a@a> 1 +0000\ndata 1\nn\nN inline refs/floor/x\ndata 5\nnotes\n\n';
  run(cwd, 'git', ['fast-import', '--quiet', '--done', '--force'], `${commit}${note}done\n`);
}

function snapshotOneChanged(files: number, target: number): Row {
  const content = Object.fromEntries(
    Array.from({ length: files }, (_, n) => [`d${n % 100}/f${n}.txt`, `file ${n}\n`]),
  );
  const repository = new TestRepository({ files: content, commit: true });
  const cwd = repository.path;
  const index = path.join(cwd, '.git/floor-index');
  const ours: number[] = [];
  const floor: number[] = [];
  for (let pair = 0; pair <= pairs; pair++) {
    repository.write('d0/f0.txt', `ours ${pair}\n`);
    const a = timed(() => run(cwd, process.execPath, [program, 'snapshot']));
    repository.write('d0/f0.txt', `floor ${pair}\n`);
    const b = timed(() => plumbing(cwd, index));
    if (pair === 0) continue; // warms both up
    ours.push(a);
    floor.push(b);
  }
  rmSync(cwd, { recursive: true, force: true });
  const ratio = median(ours.map((value, at) => value / (floor[at] ?? Number.NaN)));
  return {
    work: `snapshot, ${files} files, 1 changed`,
    oursMs: median(ours),
    floorMs: median(floor),
    ratio,
    target,
  };
}

const rows = [snapshotOneChanged(1000, 1.6)];
for (const { work, oursMs, floorMs, ratio, target } of rows) {
  const verdict = ratio <= target ? 'met' : 'NOT met';
  process.stdout.write(
    `${work}: ${oursMs.toFixed(0)} ms against ${floorMs.toFixed(0)} ms (node -e 0 + plain plumbing): ratio ${ratio.toFixed(2)}, target ${target} (${verdict})\n`,
  );
}
mkdirSync(path.join(checkout, 'dist-test'), { recursive: true });
writeFileSync(path.join(checkout, 'dist-test/bench.json'), `${JSON.stringify(rows, null, 2)}\n`);
