import type { Config } from '../../config/config.ts';
import type { CapturedDatabase } from '../../databases/engine.ts';
import { compareRows, copiesToCompare } from '../../databases/rowDiff.ts';
import type { DatabaseChange } from '../../databases/rows.ts';
import { namedParts } from '../../databases/scope.ts';
import { ExitCode, PitrError } from '../../errors.ts';
import type { Repository } from '../../git/repository.ts';
import type { Snapshot } from '../../timeline/snapshot.ts';
import { lockLine } from '../../timeline/take.ts';
import type { Arguments } from '../commands.ts';
import type { Terminal } from '../terminal.ts';
import { count } from '../text/snapshot.ts';
import { changeJson, rowLine, schemaLines } from '../text/rows.ts';
import { watched } from '../watch.ts';

/** `diff --db`: the rows that differ. */

interface Here {
  repository: Repository;
  config: Config;
}

interface Side {
  label: string;
  copies: readonly CapturedDatabase[];
}

/** @param to undefined for now */
export async function diffDatabases(
  here: Here,
  names: readonly string[],
  from: Snapshot,
  to: Snapshot | undefined,
  options: Arguments['options'],
  terminal: Terminal,
): Promise<number> {
  const { repository, config } = here;
  const parts = namedParts(config, names);
  const [before, after] = [
    await recorded(here, from, [...parts.keys()]),
    to === undefined
      ? await watched(terminal, repository, () => present(here, [...parts.keys()]))
      : await recorded(here, to, [...parts.keys()]),
  ];
  const databases: Record<string, unknown>[] = [];
  let different = false;
  for (const [name, tables] of parts) {
    const of = ({ copies }: Side) => copies.find((copy) => copy.name === name);
    const report = new Report(name, options['stat'] === true, terminal);
    const [a, b] = [of(before), of(after)];
    if (a === undefined && b === undefined)
      throw new PitrError(
        'noMatch',
        `Neither ${before.label} nor ${after.label} holds the database "${name}".`,
        {
          hints: ['git pitr list shows which snapshots hold which databases.'],
        },
      );
    report.begin(
      a === undefined ? 'added' : b === undefined ? 'removed' : a.tree === b.tree ? 'unchanged' : 'changed',
    );
    if (a?.tree !== b?.tree || tables !== undefined)
      await compareRows(repository, config, { name, from: a, to: b, tables }, (change) =>
        report.take(change),
      );
    different = report.end() || different;
    databases.push(report.json());
  }
  if (!different) terminal.print(`Nothing differs between ${before.label} and ${after.label}.`);
  terminal.result({ from: before.label, to: after.label, files: [], databases });
  return ExitCode.done;
}

async function recorded(
  { repository, config }: Here,
  snapshot: Snapshot,
  names: readonly string[],
): Promise<Side> {
  return { label: snapshot.id, copies: await copiesToCompare(repository, config, snapshot.commit, names) };
}

/** The databases as they are, recorded in no snapshot. Error: why one of them cannot be read. */
async function present({ repository, config }: Here, names: readonly string[]): Promise<Side> {
  const lock = await lockLine(repository, config, 'diff');
  try {
    const { captureNow } = await import('../../databases/present.ts');
    const databases = config.databases.filter(({ name }) => names.includes(name));
    const { captured, failed } = await captureNow(repository, { ...config, databases });
    const unread = failed.find(({ kind }) => kind !== 'missing');
    if (unread !== undefined && unread.kind !== 'missing')
      throw new PitrError(unread.kind, unread.reason, { hints: unread.hints });
    return { label: 'now', copies: captured };
  } finally {
    lock.release();
  }
}

type Status = 'added' | 'removed' | 'changed' | 'unchanged';

interface Counts {
  added: number;
  removed: number;
  changed: number;
}

/** Characters gathered before they are written: a write for each of a million lines would take seconds. */
const gathered = 64 * 1024;

/** Shows the changes of one database as they come; only for `--json` are they kept. */
class Report {
  readonly #name: string;
  readonly #stat: boolean;
  readonly #terminal: Terminal;
  readonly #counts = new Map<string, Counts>();
  readonly #schema: unknown[] = [];
  readonly #rows: unknown[] = [];
  #status: Status = 'unchanged';
  #lines: string[] = [];
  #length = 0;
  #table: string | undefined;

  constructor(name: string, stat: boolean, terminal: Terminal) {
    this.#name = name;
    this.#stat = stat;
    this.#terminal = terminal;
  }

  begin(status: Status): void {
    this.#status = status;
  }

  take(change: DatabaseChange): void {
    if (this.#schema.length + this.#counts.size === 0) this.#line(`database ${this.#name}: ${this.#status}`);
    if (change.kind === 'schema') {
      if (this.#schema.length === 0) this.#line('definitions');
      this.#schema.push(changeJson(change));
      for (const line of schemaLines(change, this.#terminal)) this.#line(line);
      return;
    }
    const counts = this.#countsOf(change.table);
    counts[change.kind]++;
    if (this.#stat) return;
    if (this.#terminal.json) this.#rows.push(changeJson(change));
    else this.#line(rowLine(change, this.#terminal));
  }

  /** True when something differs. */
  end(): boolean {
    this.#endTable();
    this.#flush();
    const different = this.#schema.length + this.#counts.size > 0;
    if (!different && this.#status === 'changed') this.#status = 'unchanged';
    if (!different && this.#status !== 'unchanged')
      this.#terminal.print(`database ${this.#name}: ${this.#status}`);
    return this.#status !== 'unchanged';
  }

  json(): Record<string, unknown> {
    const tables = [...this.#counts].map(([table, counts]) => ({ table, ...counts }));
    const rows = this.#stat ? {} : { rows: this.#rows };
    return { name: this.#name, status: this.#status, definitions: this.#schema, tables, ...rows };
  }

  #countsOf(table: string): Counts {
    const known = this.#counts.get(table);
    if (known !== undefined) return known;
    this.#endTable();
    this.#table = table;
    if (!this.#stat) this.#line(`table ${table}`);
    const counts = { added: 0, removed: 0, changed: 0 };
    this.#counts.set(table, counts);
    return counts;
  }

  #endTable(): void {
    const counts = this.#counts.get(this.#table ?? '');
    if (this.#table === undefined || counts === undefined) return;
    const { added, removed, changed } = counts;
    const total = `${count(added, 'row')} added, ${removed} removed, ${changed} changed`;
    this.#line(this.#stat ? `table ${this.#table}: ${total}` : `  ${this.#terminal.paint('dim', total)}`);
    this.#table = undefined;
  }

  #line(line: string): void {
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length > gathered) this.#flush();
  }

  #flush(): void {
    if (this.#lines.length > 0) this.#terminal.print(this.#lines.join('\n'));
    this.#lines = [];
    this.#length = 0;
  }
}
