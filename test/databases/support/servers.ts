/** Real database servers for tests: each of its own, in a temporary folder, as an ordinary user. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';
import { removeFolder, temporaryFolder } from '../../support/repository.ts';

/** Set where a missing server must not go unnoticed (.ci/run). */
const required = process.env['PITR_REQUIRE_SERVERS'] === '1';

/** Servers refuse to run as root: then they run as nobody. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

function postgresFolder(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  const folders = versions.toSorted((a, b) => b - a).map((version) => `${root}/${version}/bin`);
  const onPath = (process.env['PATH'] ?? '').split(':');
  return [...folders, ...onPath].find((folder) => existsSync(path.join(folder, 'initdb')));
}

/** Why the tests that need PostgreSQL are skipped; undefined when they are not. */
export const postgresMissing: string | undefined =
  postgresFolder() !== undefined || required
    ? undefined
    : 'PostgreSQL is not installed: apt install postgresql (PITR_REQUIRE_SERVERS=1 makes this a failure)';

const started: PostgresServer[] = [];

// Here, and not where a server is started: what is registered within `beforeAll` or a test is never called.
afterAll(async () => {
  for (const server of started) {
    await server.stop();
    removeFolder(server.folder);
  }
});

/** A server that listens on a socket, and with `tcp` on a port of 127.0.0.1 where passwords are asked for. */
export class PostgresServer {
  readonly folder: string;
  readonly port: number;
  readonly #bin: string;
  readonly #tcp: boolean;
  #process: ChildProcess | undefined;

  private constructor(bin: string, folder: string, tcp: boolean) {
    this.#bin = bin;
    this.folder = folder;
    this.#tcp = tcp;
    // Also the name of the socket. Below the ports that systems give out by themselves.
    this.port = 20_000 + (process.pid % 10_000);
  }

  /** A running server with a superuser `postgres`; it ends with the test file. */
  static async start({ tcp = false, locale = 'C.UTF-8' } = {}): Promise<PostgresServer> {
    const bin = postgresFolder();
    if (bin === undefined) throw new Error('PostgreSQL is not installed: apt install postgresql');
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const data = path.join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    if (nobody.uid !== undefined) for (const dir of [folder, data]) chownSync(dir, nobody.uid, nobody.gid);
    execFileSync(
      path.join(bin, 'initdb'),
      [
        '--pgdata',
        data,
        '--username=postgres',
        '--auth-local=trust',
        '--auth-host=scram-sha-256',
        '--no-sync',
        `--locale=${locale}`,
        '--encoding=UTF8',
      ],
      { ...nobody, cwd: folder, env: cleanEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const server = new PostgresServer(bin, folder, tcp);
    started.push(server);
    await server.run();
    return server;
  }

  /** Starts it, also after `kill`. */
  async run(): Promise<void> {
    const settings = {
      unix_socket_directories: this.folder,
      listen_addresses: this.#tcp ? '127.0.0.1' : '',
      port: String(this.port),
      // Killed servers recover from what the operating system has: no power is lost here.
      fsync: 'off',
      shared_buffers: '32MB',
      max_wal_size: '256MB',
      autovacuum_naptime: '5s',
      max_prepared_transactions: '5',
      log_min_messages: 'fatal',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.#process = spawn(path.join(this.#bin, 'postgres'), ['-D', path.join(this.folder, 'data'), ...args], {
      ...nobody,
      cwd: this.folder,
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const deadline = Date.now() + 30_000;
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error(`postgres ended with ${this.#process.exitCode}`);
      try {
        this.sql('postgres', 'SELECT 1');
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(30);
      }
    }
  }

  /** Ends all its processes at once, as a power cut does, and waits until they are gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const backends = childrenOf(child.pid);
    const gone = once(child, 'exit');
    process.kill(child.pid, 'SIGKILL');
    for (const pid of backends) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It was gone already.
      }
    }
    await gone;
    while (backends.some((pid) => existsSync(`/proc/${pid}/stat`) && !isZombie(pid))) await sleep(5);
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGINT');
    await gone;
  }

  /** For `pitr.database.<name>.url`. */
  url(database: string, user = 'postgres'): string {
    return `host=${this.folder} port=${this.port} user=${user} dbname=${database}`;
  }

  /** Runs SQL as psql does; gives its output, a row a line. */
  sql(database: string, script: string, user = 'postgres'): string {
    const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-', '-U', user, '-d', database];
    return execFileSync(path.join(this.#bin, 'psql'), args, {
      env: cleanEnvironment({ PGHOST: this.folder, PGPORT: String(this.port), PGCLIENTENCODING: 'UTF8' }),
      input: script,
      encoding: 'utf8',
      stdio: 'pipe',
      maxBuffer: 1 << 30,
    }).trimEnd();
  }

  /** What `pg_dump` says of a database, but for what is random in it. */
  dump(database: string): string {
    return execFileSync(path.join(this.#bin, 'pg_dump'), ['-U', 'postgres', database], {
      env: cleanEnvironment({ PGHOST: this.folder, PGPORT: String(this.port) }),
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    }).replace(/^\\(un)?restrict .*\n/gm, '');
  }

  /** The names of all databases but the server's own. */
  databases(): string[] {
    return this.sql(
      'postgres',
      `SELECT datname FROM pg_database WHERE datname <> 'postgres' AND NOT datistemplate ORDER BY 1`,
    )
      .split('\n')
      .filter((name) => name !== '');
  }

  /** An empty database that was not there, or is made anew. */
  create(database: string, options = ''): void {
    this.sql('postgres', `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
    this.sql('postgres', `CREATE DATABASE "${database}" ${options}`);
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]) === parent;
      } catch {
        return false;
      }
    });
}

function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}
