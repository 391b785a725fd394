import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Which process is which, for files that outlive the one that made them. */

export interface ProcessMark {
  pid: number;
  host: string;
  /**
   * Where this pid means something: the kernel's pid namespace; '' where there is none. A sandbox (flatpak, bwrap, a
   * container) may have the host's name and other pids: from there every process out here looks dead.
   */
  namespace: string;
  /** Start time of the process from /proc, so that a reused pid is not mistaken for it; '' where there is no /proc. */
  started: string;
}

let own: ProcessMark | undefined;

export function thisProcess(): ProcessMark {
  own ??= {
    pid: process.pid,
    host: hostname(),
    namespace: pidNamespace(),
    started: startTimeOf(process.pid),
  };
  return own;
}

/** True when a mark was made where this process can see whether its process lives. */
export function isWithinSight({ host, namespace }: Pick<ProcessMark, 'host' | 'namespace'>): boolean {
  const here = thisProcess();
  return host === here.host && (namespace === '' || here.namespace === '' || namespace === here.namespace);
}

/** True when the process that made a mark is still there. Only for marks within sight. */
export function isAlive({ pid, started }: Pick<ProcessMark, 'pid' | 'started'>): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = startTimeOf(pid);
  if (now === 'ended') return false;
  return now === '' || started === '' || now === started;
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return '';
  }
}

/**
 * The kernel's start time of a process (field 22 of /proc/<pid>/stat); 'ended' for one that was killed and is not yet
 * reaped (a zombie answers signal 0 for ever where nobody waits for it); '' where there is no /proc.
 */
function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

/**
 * Ends the git processes that a killed git-pitr left at work in its private folder: they go on without it, and what
 * they put in place at their end would be put there under the feet of whoever holds the lock now. SIGTERM lets git take
 * its own lock files along. Without /proc nobody can be found, and none is waited for.
 * @param folder the private folder; only processes whose environment names a path in it are meant
 */
export async function endOrphans(folder: string): Promise<void> {
  for (let turn = 0, orphans = processesIn(folder); orphans.length > 0; turn++) {
    for (const pid of orphans) signal(pid, turn < 100 ? 'SIGTERM' : 'SIGKILL');
    await sleep(20);
    orphans = orphans.filter((pid) => worksIn(pid, folder));
  }
}

function processesIn(folder: string): number[] {
  return allProcesses().filter((pid) => pid !== process.pid && worksIn(pid, folder));
}

/** The environment of a process: empty for one that has ended, and not readable for another user's. */
function worksIn(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(`=${folder}/`);
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

function allProcesses(): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

/**
 * The files below `folder` that some process has open; undefined where that cannot be known (no /proc). Of other users'
 * processes only root sees them.
 */
export function openFilesIn(folder: string): ReadonlySet<string> | undefined {
  const processes = allProcesses();
  if (processes.length === 0) return undefined;
  const open = new Set<string>();
  for (const pid of processes) {
    for (const handle of namesIn(`/proc/${pid}/fd`)) {
      try {
        const file = readlinkSync(`/proc/${pid}/fd/${handle}`);
        if (file.startsWith(`${folder}/`)) open.add(file);
      } catch {
        // It was closed meanwhile.
      }
    }
  }
  return open;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // ended, or another user's
  }
}
