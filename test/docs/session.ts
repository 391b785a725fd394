/**
 * Runs the terminal sessions of a page in a repository of their own, and puts what really came out into the page.
 *
 * A session is a fenced block of the language `console`: a line that begins with `$ ` is a command for a shell, what
 * follows is its output. All blocks of a page, in their order, are one session. A comment `<!-- run … -->` holds
 * commands that are run and not shown; one that is meant to fail begins with `! `. A command takes a minute of the page's clock; a line `# 10 minutes later` takes
 * as many. What is random (ids and object names) is replaced by made-up ones, which may be used in commands.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { cleanEnvironment, testIdentity } from '../support/environment.ts';
import { removeFolder, temporaryFolder } from '../support/repository.ts';

const program = path.resolve(import.meta.dirname, '../../dist/git-pitr.cjs');

/** What the pages call the folder that holds the worktree, wherever it really is. */
const shownHome = '/home';

/** 14:00 in Berlin. */
const start = Date.parse('2026-11-20T13:00:00Z');
const dayBefore = Date.parse('2026-11-19T09:00:00Z');

const project = [
  'git init --quiet --initial-branch=main',
  "printf '*.db\\n*.db-*\\n.env\\n' > .gitignore",
  "echo '# Shop' > README.md",
  "mkdir src && echo 'export const answer = 42;' > src/app.ts",
  'git add . && git commit --quiet -m first',
  'echo TOKEN=abc > .env',
];

export class Session {
  readonly #home = temporaryFolder();
  readonly worktree = path.join(this.#home, 'ada', 'shop');
  readonly #ids: { real: string; shown: string }[] = [];
  #clock = start;
  #code = 0;

  /** A session in a project with one commit of the day before, which the pages call shop. */
  static async begin(): Promise<Session> {
    const session = new Session();
    mkdirSync(path.join(session.#home, 'bin'));
    symlinkSync(program, path.join(session.#home, 'bin', 'git-pitr'));
    mkdirSync(session.worktree, { recursive: true });
    session.#clock = dayBefore;
    for (const command of project) await session.runWell(command);
    session.#clock = start;
    return session;
  }

  /** The environment in which git and git-pitr think that it is the session's time. */
  environment(): NodeJS.ProcessEnv {
    const now = `@${Math.floor(this.#clock / 1000)} +0000`;
    return cleanEnvironment({
      ...testIdentity,
      PATH: `${path.join(this.#home, 'bin')}:${process.env['PATH']}`,
      TZ: 'Europe/Berlin',
      GIT_COMMITTER_DATE: now,
      GIT_AUTHOR_DATE: now,
    });
  }

  later(minutes: number): void {
    this.#clock += minutes * 60_000;
  }

  /** Runs one command line; gives what it printed, on both streams, as the page shows it. */
  async run(command: string): Promise<string> {
    this.later(1);
    const script = `exec 2>&1\n(exit ${this.#code})\n${this.#hidden(command)}`;
    const child = spawn('sh', ['-c', script], {
      cwd: this.worktree,
      env: this.environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    const printed = await text(child.stdout);
    this.#code = (await ended) ?? 130;
    return this.shown(printed);
  }

  /** The same for a command that must not fail. */
  async runWell(command: string): Promise<void> {
    const printed = await this.run(command);
    if (this.#code !== 0) throw new Error(`${command}\nended with ${this.#code}:\n${printed}`);
  }

  /** What was printed, without what is different in each run. */
  shown(printed: string): string {
    return printed
      .replaceAll(this.#home, shownHome)
      .replace(/("durationMs": )\d+/g, '$140')
      .replace(/("host": )"[^"]*"/g, '$1"laptop"')
      .replace(/(?<![@\w])[0-9a-f]{10,64}\b/g, (real) => this.#shownId(real));
  }

  #shownId(real: string): string {
    let known = this.#ids.find((id) => id.real.startsWith(real) || real.startsWith(id.real));
    if (known === undefined) {
      const shown = createHash('sha256').update(`id ${this.#ids.length}`).digest('hex');
      known = { real, shown };
      this.#ids.push(known);
    }
    if (real.length > known.real.length) known.real = real;
    return known.shown.slice(0, real.length);
  }

  /** A command with the made-up ids of the page as the real ones. */
  #hidden(command: string): string {
    return command
      .replaceAll(`${shownHome}/ada/`, `${this.#home}/ada/`)
      .replace(/(?<![@\w])[0-9a-f]{4,64}\b/g, (shown) => {
        const known = this.#ids.find((id) => id.shown.startsWith(shown));
        return known === undefined ? shown : known.real.slice(0, shown.length);
      });
  }

  dispose(): void {
    removeFolder(this.#home);
  }
}

/** The page with the output of every session as it is now. */
export async function withSessions(page: string): Promise<string> {
  const blocks = /^```console\n([^]*?)^```$|^<!-- run\n([^]*?)^-->$/gm;
  if (page.match(blocks) === null) return page;
  const session = await Session.begin();
  try {
    let rendered = '';
    let end = 0;
    for (const match of page.matchAll(blocks)) {
      const [whole, shown, hidden = ''] = match;
      rendered += page.slice(end, match.index);
      end = match.index + whole.length;
      if (shown === undefined) {
        for (const command of hidden.trim().split('\n')) await runHidden(session, command);
        rendered += whole;
      } else rendered += `\`\`\`console\n${await rerun(session, shown)}\`\`\``;
    }
    return rendered + page.slice(end);
  } finally {
    session.dispose();
  }
}

async function runHidden(session: Session, command: string): Promise<void> {
  const minutes = minutesLater(command);
  if (minutes !== undefined) session.later(minutes);
  else if (command.startsWith('! ')) await session.run(command.slice(2));
  else await session.runWell(command);
}

async function rerun(session: Session, block: string): Promise<string> {
  let rendered = '';
  for (const line of block.split('\n')) {
    const minutes = minutesLater(line);
    if (minutes !== undefined) {
      session.later(minutes);
      rendered += `${line}\n`;
    } else if (line.startsWith('$ ')) {
      const printed = await session.run(line.slice(2));
      rendered += `${line}\n${printed === '' || printed.endsWith('\n') ? printed : `${printed}\n`}`;
    }
  }
  return rendered;
}

function minutesLater(line: string): number | undefined {
  const minutes = /^# (\d+) minutes? later$/.exec(line)?.[1];
  return minutes === undefined ? undefined : Number(minutes);
}
