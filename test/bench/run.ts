/**
 * `npm run bench [-- WORDS…]`: each row is a ratio, both sides measured in turn in one run, medians of the pairs; with
 * words, only the rows of these groups (files, timeline, databases, postgres). A timing is never a test's assertion: machines are noisy,
 * and the table is for reading. The peers (restic, borg) are Debian packages.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { databaseRows } from './databases.ts';
import { fileRows } from './files.ts';
import { checkout, type Row } from './measure.ts';
import { postgresRows } from './postgres.ts';
import { timelineRows } from './timeline.ts';

const pairs = Number(process.env['PITR_BENCH_PAIRS'] ?? '10');
const groups = { files: fileRows, timeline: timelineRows, databases: databaseRows, postgres: postgresRows };

function describe({ work, against, ours, theirs, unit = 'ms', ratio, target, peakMiB }: Row): string {
  const verdict = ratio <= target ? 'met' : 'NOT met';
  const peak = peakMiB === undefined ? '' : `, ${peakMiB.toFixed(0)} MiB at most`;
  const numbers = `${ours.toFixed(0)} ${unit} against ${theirs.toFixed(0)} ${unit}`;
  return `${work}: ${numbers} (${against}): ratio ${ratio.toFixed(2)}, target ${target.toFixed(2)} (${verdict})${peak}\n`;
}

const wanted = process.argv.slice(2);
const rows: Row[] = [];
for (const [name, of] of Object.entries(groups)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const row of of(pairs)) {
    rows.push(row);
    process.stdout.write(describe(row));
  }
}
mkdirSync(path.join(checkout, 'dist-test'), { recursive: true });
writeFileSync(path.join(checkout, 'dist-test/bench.json'), `${JSON.stringify(rows, null, 2)}\n`);
