/** Another program that uses a MariaDB database: a process with one connection. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

const script = `
const mysql = require('mysql2/promise');
(async () => {
  const [socketPath, database] = process.argv.slice(1);
  const connection = await mysql.createConnection({ socketPath, user: 'root', database, multipleStatements: true, dateStrings: true });
  const answer = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
  answer({ rows: [[connection.threadId]] });
  let running = false, n = 0, ended = Promise.resolve();
  const round = async (statements) => {
    n++;
    for (const { sql, every } of statements)
      if (every === undefined || n % every === 0) await connection.query(sql.replaceAll('$n', n));
  };
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const { sql, repeat, stop } = JSON.parse(line);
    try {
      if (repeat) {
        running = true;
        ended = (async () => { while (running) await round(repeat); })();
        ended.catch(() => {});
        answer({ rows: [] });
      } else if (stop) {
        running = false;
        await ended;
        answer({ rows: [[n]] });
      } else {
        const [rows] = await connection.query({ sql, rowsAsArray: true });
        answer({ rows: Array.isArray(rows) ? rows : [] });
      }
    } catch (error) {
      answer({ error: String(error.message) });
    }
  }
  await connection.end().catch(() => {});
})();`;

export interface Step {
  sql: string;
  /** Only in every such round. */
  every?: number;
}

export class MariadbProgram {
  /** The server's number of its connection. */
  id = 0;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#answers = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  /** A connected program; it is ended after the test. */
  static async start(socket: string, database: string): Promise<MariadbProgram> {
    const child = spawn(process.execPath, ['-e', script, socket, database], {
      cwd: path.resolve(import.meta.dirname, '../../..'),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const program = new MariadbProgram(child);
    program.id = Number((await program.#answer())[0]?.[0]);
    return program;
  }

  /** Runs statements; gives the rows of a query. */
  sql(sql: string): Promise<unknown[][]> {
    return this.#ask({ sql });
  }

  /** Runs rounds of statements until `stop`; `$n` is the number of the round. */
  async repeat(repeat: readonly Step[]): Promise<void> {
    await this.#ask({ repeat });
  }

  /** Ends after the round that is under way; gives how many there were. */
  async stop(): Promise<number> {
    return Number((await this.#ask({ stop: true }))[0]?.[0]);
  }

  async end(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await gone;
  }

  async #ask(request: object): Promise<unknown[][]> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  async #answer(): Promise<unknown[][]> {
    const { value } = await this.#answers.next();
    const { rows, error } = JSON.parse(String(value)) as { rows: unknown[][]; error?: string };
    if (error !== undefined) throw new Error(error);
    return rows;
  }
}
