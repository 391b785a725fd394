import { lstatSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { randomId } from './files.ts';
import { isAlive, isWithinSight, thisProcess } from './processes.ts';

/** Scratch folders whose names say which process they belong to: what a killed one left can be told and removed. */

/** A new name: `<pid>.<start time>.<pid namespace>.<host>.<random>`. */
export function ownedName(): string {
  const { pid, started, namespace, host } = thisProcess();
  return [pid, started, namespace, host.replace(/[^\w-]/g, '_'), randomId()].join('.');
}

const pattern = /^(\d+)\.(\d*)\.(\d*)\.([\w-]*)\.[0-9a-f]{12}$/;

/** Far longer than any restore takes: for scratch of another machine, and names of an earlier version. */
const expiry = 24 * 3600 * 1000;

/** Removes what dead processes left in a folder. */
export function removeAbandoned(folder: string, isOurs: (name: string) => boolean = () => true): void {
  for (const name of namesIn(folder).filter(isOurs)) {
    const file = path.join(folder, name);
    if (isAbandoned(file)) rmSync(file, { recursive: true, force: true });
  }
}

function isAbandoned(file: string): boolean {
  const [, pid, started = '', namespace = '', host] = pattern.exec(ownerPart(path.basename(file))) ?? [];
  const here = thisProcess();
  if (
    pid !== undefined &&
    host === here.host.replace(/[^\w-]/g, '_') &&
    isWithinSight({ ...here, namespace })
  )
    return !isAlive({ pid: Number(pid), started });
  const stat = lstatSync(file, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > expiry;
}

/** A name may have words before the owner's: `.git-pitr-stage-<owner>`. */
function ownerPart(name: string): string {
  return name.replace(/^\D+-(?=\d+\.)/, '');
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
