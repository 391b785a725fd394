/** SQLite databases as other programs use them: a connection in a process of its own, and the sqlite3 shell. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { cleanEnvironment } from './environment.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Answers each line `[how, sql]` with one line `{value}` or `{error}`. */
const program = `
  const db = new (require('better-sqlite3'))(process.argv[1], { timeout: 5000 });
  let times = 0, again = false;
  const repeat = (sql) => { db.exec(sql); times++; if (again) setImmediate(repeat, sql); };
  const work = {
    exec: (sql) => void db.exec(sql),
    rows: (sql) => db.prepare(sql).raw().all(),
    repeat: (sql) => { again = true; repeat(sql); },
    stop: () => { again = false; return times; },
  };
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    let answer;
    try { const [how, sql] = JSON.parse(line); answer = { value: work[how](sql) ?? null }; }
    catch (error) { answer = { error: error.code + ': ' + error.message }; }
    process.stdout.write(JSON.stringify(answer) + '\\n');
  });`;

/**
 * Another program that has a database open. It lives until the test ends. Tests that start git-pitr with `pitr` block
 * meanwhile, this process does not: its locks and its view are held all the same.
 */
export class OtherProgram {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(file: string) {
    this.#child = spawn(process.execPath, ['-e', program, file], {
      cwd: root,
      env: cleanEnvironment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    onTestFinished(() => void this.#child.kill('SIGKILL'));
  }

  async exec(sql: string): Promise<void> {
    await this.#ask('exec', sql);
  }

  /** The rows, each as a list of its values. */
  async rows(sql: string): Promise<unknown[][]> {
    return (await this.#ask('rows', sql)) as unknown[][];
  }

  /** Runs the statements over and over, without a pause, until `stop`, which tells how often. */
  async repeat(sql: string): Promise<void> {
    await this.#ask('repeat', sql);
  }

  async stop(): Promise<number> {
    return (await this.#ask('stop', '')) as number;
  }

  /** Ends it without closing the database, as a crash does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }

  async #ask(how: 'exec' | 'rows' | 'repeat' | 'stop', sql: string): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify([how, sql])}\n`);
    const [line] = (await once(this.#lines, 'line')) as [string];
    const { value, error } = JSON.parse(line) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(`${error} (${sql})`);
    return value;
  }
}

/** Runs the sqlite3 shell on a file, which has then no connection of this process: its locks stay as they are. */
export function sqlite(file: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', '-bail', file, sql], {
    env: cleanEnvironment(),
    encoding: 'utf8',
    input: '',
  }).trimEnd();
}
