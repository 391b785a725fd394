/** Another program that has a PostgreSQL database open: a process of its own, with the `pg` module. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';

const root = path.resolve(import.meta.dirname, '../../..');

/** Answers each line `[how, sql]` with one line `{value}` or `{error}`. */
const program = `
  const client = new (require('pg').Client)(JSON.parse(process.argv[1]));
  client.on('error', () => {});
  let times = 0, failed = 0, again = false, running = Promise.resolve();
  const repeat = async (sql) => {
    while (again) {
      for (const statement of sql) {
        if (statement.every !== undefined && (times + 1) % statement.every !== 0) continue;
        const text = (statement.sql ?? statement).replaceAll('$n', String(times + 1));
        try { await client.query(text); }
        catch (error) { failed++; await client.query('ROLLBACK').catch(() => { again = false; }); times--; break; }
      }
      times++;
    }
  };
  const work = {
    exec: async (sql) => { await client.query(sql); },
    rows: async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows,
    repeat: (sql) => { again = true; running = repeat(sql); },
    stop: async () => { again = false; await running; return times; },
  };
  client.connect().then(() => {
    process.stdout.write(JSON.stringify({ value: null }) + '\\n');
    require('readline').createInterface({ input: process.stdin }).on('line', async (line) => {
      let answer;
      try { const [how, sql] = JSON.parse(line); answer = { value: (await work[how](sql)) ?? null }; }
      catch (error) { answer = { error: error.code + ': ' + error.message }; }
      process.stdout.write(JSON.stringify(answer) + '\\n');
    });
  });`;

/** A statement, or one that is run only every n-th time. `$n` in it is the number of the round, from 1. */
export type Repeated = string | { every: number; sql: string };

export class PgProgram {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(options: object) {
    this.#child = spawn(process.execPath, ['-e', program, JSON.stringify(options)], {
      cwd: root,
      env: cleanEnvironment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
  }

  /** Connects; it lives until the test ends. */
  static async start(
    place: { host: string; port: number; database: string; user?: string },
    name = 'the app',
  ): Promise<PgProgram> {
    const started = new PgProgram({ user: 'postgres', ...place, application_name: name });
    onTestFinished(() => void started.#child.kill('SIGKILL'));
    await started.#answer();
    return started;
  }

  async exec(sql: string): Promise<void> {
    await this.#ask('exec', sql);
  }

  async rows(sql: string): Promise<unknown[][]> {
    return (await this.#ask('rows', sql)) as unknown[][];
  }

  /** Runs statements over and over, without a pause, until `stop`, which tells how many rounds that were. */
  async repeat(statements: readonly Repeated[]): Promise<void> {
    await this.#ask('repeat', statements);
  }

  async stop(): Promise<number> {
    return (await this.#ask('stop', '')) as number;
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }

  async #ask(how: string, sql: unknown): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify([how, sql])}\n`);
    return this.#answer();
  }

  async #answer(): Promise<unknown> {
    const [line] = (await once(this.#lines, 'line')) as [string];
    const { value, error } = JSON.parse(line) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return value;
  }
}
