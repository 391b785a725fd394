import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { notesRef, type Repository } from '../git/repository.ts';
import { interruptedOperation } from '../restore/journal.ts';
import { readFileIfThere } from '../system/files.ts';
import { isAlive, isWithinSight } from '../system/processes.ts';
import { lockFile } from '../timeline/early.ts';
import type { Finding } from './finding.ts';

/** What lies around: a lock of a dead process, a restore that was interrupted, scratch files, settings. */

export function checkLock(repository: Repository): Finding | undefined {
  const file = lockFile(repository);
  try {
    const holder = JSON.parse(readFileIfThere(file) ?? 'null') as Parameters<typeof isAlive>[0] &
      Parameters<typeof isWithinSight>[0];
    if (holder === null || (isWithinSight(holder) && isAlive(holder)) || !isWithinSight(holder))
      return undefined;
  } catch {
    // damaged: nobody's
  }
  return {
    kind: 'lock',
    severity: 'warning',
    what: `${file} is the lock of a process that died`,
    reason: 'What it was doing is not finished, and its scratch files are still there.',
    remedy: 'The next snapshot takes it over and cleans up; so does git pitr doctor --repair.',
  };
}

/** Locks on our refs that are older than any git that would hold them. */
const deadAfterMs = 60_000;

export function refLocks({ commonDir }: Repository): string[] {
  const found: string[] = [];
  const look = (folder: string) => {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) look(file);
      else if (entry.name.endsWith('.lock') && isOld(file)) found.push(file);
    }
  };
  look(path.join(commonDir, 'refs', 'pitr'));
  const notes = path.join(commonDir, `${notesRef}.lock`);
  return existsSync(notes) && isOld(notes) ? [...found, notes] : found;
}

function isOld(file: string): boolean {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > deadAfterMs;
}

export function checkRefLock(file: string): Finding {
  return {
    kind: 'lock',
    severity: 'damage',
    what: `${file} is a lock that a git which died has left`,
    reason: 'While it is there, no snapshot can be recorded.',
    remedy: `rm ${file}`,
  };
}

export function checkInterrupted(repository: Repository): Finding | undefined {
  const operation = interruptedOperation(repository);
  if (operation === undefined) return undefined;
  return {
    kind: 'restore',
    severity: 'damage',
    what: `a restore to ${operation.target.id} (begun ${operation.startedAt}) was interrupted`,
    reason: 'The working copy may be a mixture of two states.',
    remedy: 'git pitr restore --continue, or git pitr restore --abort',
  };
}

const ages = { day: 24 * 3600 * 1000 };

/** Half-written files that a killed git has left in the object store: as large as what was recorded. */
export function checkHalfWritten({ objectDir }: Repository): Finding | undefined {
  const folder = path.join(objectDir, 'pack');
  const old = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => /^\.?tmp_/.test(name))
    .map((name) => statSync(path.join(folder, name), { throwIfNoEntry: false }))
    .filter((stat) => stat !== undefined && Date.now() - stat.mtimeMs > ages.day);
  if (old.length === 0) return undefined;
  const bytes = old.reduce((sum, stat) => sum + (stat?.size ?? 0), 0);
  return {
    kind: 'leftovers',
    severity: 'advice',
    what: `${old.length} half-written packs (${bytes} bytes) lie in ${folder}`,
    reason: 'They take up room; nothing needs them.',
    remedy: 'git gc removes them after two weeks, git prune --expire=1.day.ago now.',
  };
}

/** Settings that can cost snapshots, or that get in the way. */
export function checkSettings({ git }: Config): Finding[] {
  const found: Finding[] = [];
  const setting = (severity: Finding['severity'], what: string, reason: string, remedy: string) =>
    found.push({ kind: 'setting', severity, what, reason, remedy });
  for (const [key, value] of git)
    if (/^remote\..*\.mirror$/.test(key) && value !== 'false')
      setting(
        'warning',
        `${key} = ${value}`,
        'A push to a mirror sends every snapshot with all it holds, secrets in ignored files too; a fetch from one with --prune removes refs that it does not have.',
        `git config --unset ${key}`,
      );
  const expire = git.get('gc.pruneexpire');
  if (expire !== undefined && /^(now|all|0|\d+\.(seconds?|minutes?)(\.ago)?)$/i.test(expire))
    setting(
      'warning',
      `gc.pruneExpire = ${expire}`,
      'A gc then takes objects that are being written at that moment, by any git; snapshots guard against it, other programs do not.',
      'git config --unset gc.pruneExpire   # two weeks, as git has it',
    );
  const fsync = git.get('core.fsync');
  if (fsync === undefined || /(^|,)none/.test(fsync))
    setting(
      'advice',
      fsync === undefined ? 'core.fsync is not set' : `core.fsync = ${fsync}`,
      "git-pitr flushes what it writes. Your own commits' loose objects and refs are not flushed by default: after a loss of power they may be empty.",
      'git config core.fsync committed,reference',
    );
  if (git.get('log.excludedecoration') === undefined)
    setting(
      'advice',
      'log.excludeDecoration does not name refs/pitr',
      'git log --all shows the snapshots, with their refs as decoration.',
      'git config --add log.excludeDecoration "refs/pitr/*"   # and: git log --exclude="refs/pitr/*" --all',
    );
  return found;
}
