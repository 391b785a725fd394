/** A real MariaDB server for tests: of its own, in a temporary folder, as an ordinary user. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';
import { removeFolder, temporaryFolder } from '../../support/repository.ts';

/** Set where a missing server must not go unnoticed (.ci/run). */
const required = process.env['PITR_REQUIRE_SERVERS'] === '1';

/** Servers refuse to run as root: then they run as nobody. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

function program(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin', '/usr/libexec'];
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

/** Why the tests that need MariaDB are skipped; undefined when they are not. */
export const mariadbMissing: string | undefined =
  (program('mariadbd') !== undefined && program('mariadb-install-db') !== undefined) || required
    ? undefined
    : 'MariaDB is not installed: apt install mariadb-server (PITR_REQUIRE_SERVERS=1 makes this a failure)';

const started: MariadbServer[] = [];

// Here, and not where a server is started: what is registered within `beforeAll` is never called.
afterAll(async () => {
  for (const server of started) {
    await server.kill();
    removeFolder(server.folder);
  }
});

/** A server that listens on a socket, and with `tcp` on a port of 127.0.0.1; `root` has no password on both. */
export class MariadbServer {
  readonly folder: string;
  readonly port: number;
  readonly #tcp: boolean;
  readonly #options: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(folder: string, tcp: boolean, options: readonly string[]) {
    this.folder = folder;
    this.#tcp = tcp;
    this.#options = options;
    this.port = 10_000 + (process.pid % 10_000);
  }

  /** A running server; it ends with the test file. */
  static async start({ tcp = false, options = [] as readonly string[] } = {}): Promise<MariadbServer> {
    const install = program('mariadb-install-db');
    if (install === undefined) throw new Error('MariaDB is not installed: apt install mariadb-server');
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const data = path.join(folder, 'data');
    const temporary = path.join(folder, 'tmp');
    for (const dir of [data, temporary]) mkdirSync(dir, { mode: 0o700 });
    if (nobody.uid !== undefined)
      for (const dir of [folder, data, temporary]) chownSync(dir, nobody.uid, nobody.gid);
    execFileSync(
      install,
      [
        '--no-defaults',
        `--datadir=${data}`,
        `--tmpdir=${temporary}`,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
        '--skip-name-resolve',
        '--innodb-log-file-size=8M',
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-flush-method=nosync',
        '--sync-frm=0',
      ],
      { ...nobody, cwd: folder, env: cleanEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const server = new MariadbServer(folder, tcp, options);
    started.push(server);
    await server.run();
    return server;
  }

  get socket(): string {
    return path.join(this.folder, 's');
  }

  /** Starts it, also after `kill`. */
  async run(): Promise<void> {
    const args = [
      '--no-defaults',
      `--datadir=${path.join(this.folder, 'data')}`,
      `--tmpdir=${path.join(this.folder, 'tmp')}`,
      `--socket=${this.socket}`,
      `--pid-file=${path.join(this.folder, 'pid')}`,
      ...(this.#tcp ? ['--bind-address=127.0.0.1', `--port=${this.port}`] : ['--skip-networking']),
      '--skip-name-resolve',
      '--innodb-buffer-pool-size=32M',
      '--innodb-log-file-size=8M',
      // A killed server recovers from what the operating system has: no power is lost here.
      '--innodb-flush-log-at-trx-commit=2',
      '--innodb-flush-method=nosync',
      '--sync-frm=0',
      '--character-set-server=utf8mb4',
      ...this.#options,
    ];
    this.#process = spawn(program('mariadbd') as string, args, {
      ...nobody,
      cwd: this.folder,
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const deadline = Date.now() + 60_000;
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error(`mariadbd ended with ${this.#process.exitCode}`);
      try {
        this.sql('', 'SELECT 1');
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(30);
      }
    }
  }

  /** Ends it at once, as a power cut does, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** For `pitr.database.<name>.url`. */
  url(database: string, user = 'root'): string {
    return `mariadb://${user}@localhost/${encodeURIComponent(database)}?socket=${encodeURIComponent(this.socket)}`;
  }

  /** Arguments of the client programs. */
  get clientArguments(): string[] {
    return ['--no-defaults', `--socket=${this.socket}`, '--default-character-set=utf8mb4'];
  }

  /** Runs SQL as the client program does; gives its output, a row a line. */
  sql(database: string, script: string, user = 'root'): string {
    const args = [
      ...this.clientArguments,
      `--user=${user}`,
      '--batch',
      '--skip-column-names',
      ...(database === '' ? [] : [database]),
    ];
    return execFileSync('mariadb', args, {
      env: cleanEnvironment(),
      input: script,
      encoding: 'utf8',
      stdio: 'pipe',
      maxBuffer: 1 << 30,
    }).trimEnd();
  }

  /** What `mariadb-dump` says of a database. */
  dump(database: string): string {
    const args = [
      ...this.clientArguments,
      '--user=root',
      '--routines',
      '--events',
      '--triggers',
      '--hex-blob',
    ];
    const more = [
      '--skip-extended-insert',
      '--order-by-primary',
      '--skip-dump-date',
      '--skip-comments',
      database,
    ];
    return execFileSync('mariadb-dump', [...args, ...more], {
      env: cleanEnvironment(),
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    });
  }

  /** The names of all databases but the server's own. */
  databases(): string[] {
    return this.sql(
      '',
      `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
      WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1`,
    )
      .split('\n')
      .filter((name) => name !== '');
  }

  /** An empty database that was not there, or is made anew. */
  create(database: string, options = ''): void {
    const name = `\`${database.replaceAll('`', '``')}\``;
    this.sql('', `DROP DATABASE IF EXISTS ${name}; CREATE DATABASE ${name} ${options}`);
  }
}
