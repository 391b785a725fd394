import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { CapturedDatabase } from '../databases/engine.ts';
import { isDatabaseName } from '../config/config.ts';
import { withEngine } from '../databases/registry.ts';
import { messageOf, PitrError } from '../errors.ts';
import { requirePathspecs } from '../git/pathspecs.ts';
import { followLinks } from '../system/files.ts';
import { progressOf } from '../system/progress.ts';
import { applyFiles } from './apply.ts';
import { planFiles } from './plan.ts';
import { resolveTarget } from './prepare.ts';
import type { Context, RestoreRequest } from './request.ts';
import { requireShadow } from './shadow.ts';
import { stageFiles } from './stage.ts';
import type { RecordedState } from './target.ts';
import type { Snapshot } from '../timeline/snapshot.ts';

export interface Materialized {
  snapshot: Snapshot;
  /** The folder, absolute. */
  into: string;
  files: number;
  /** Database files or scripts that were written. */
  databases: { name: string; path: string }[];
}

/**
 * Writes files and databases of a snapshot into a new or empty folder; the working copy is not touched.
 * Errors: `refused` when the folder is not empty; those of finding the snapshot.
 */
export async function restoreIntoFolder(
  context: Context,
  request: RestoreRequest,
  folder: string,
): Promise<Materialized> {
  const { repository } = context;
  const into = path.resolve(request.cwd, folder);
  requireOutsideGit(context, into);
  requireEmpty(into);
  await requirePathspecs(repository, request.pathspecs, request.cwd);
  const { snapshot, target } = await resolveTarget(context, request);
  const copies = copiesFor(request, target);
  const nothing: RecordedState = {
    ...target,
    files: '',
    permissions: new Map(),
    emptyDirs: new Set(),
    skipped: new Set(),
  };
  const scope = request.pathspecs.length === 0 ? {} : { pathspecs: request.pathspecs, cwd: request.cwd };
  const wanted = { ...target, skipped: new Set<string>() };
  const plan = request.files
    ? await planFiles(repository, nothing, wanted, { scope, keepNew: true, protect: () => undefined })
    : { entries: [], protected: [], createDirs: [], removeDirs: [] };
  if (request.pathspecs.length > 0 && plan.entries.length === 0) {
    throw new PitrError(
      'noMatch',
      `${request.pathspecs.join(', ')} matches no file in snapshot ${snapshot.id}; nothing was written.`,
    );
  }
  await requireShadow(context);
  const made = makeFolders(into);
  const stage = await stageFiles(context, into, plan.entries).catch((error: unknown) => {
    if (made) rmdirSync(into);
    throw error;
  });
  try {
    await applyFiles(plan, { root: into, stage, seen: new Map(), progress: progressOf(repository) });
  } finally {
    stage.remove();
  }
  return {
    snapshot,
    into,
    files: plan.entries.length,
    databases: await materializeDatabases(context, copies, into),
  };
}

function requireEmpty(into: string): void {
  if (!existsSync(into)) return;
  if (!statSync(into).isDirectory())
    throw new PitrError('refused', `${into} is not a folder; nothing was written.`);
  if (readdirSync(into).length === 0) return;
  throw new PitrError('refused', `The folder ${into} is not empty; nothing was written.`, {
    hints: ['Name a new or an empty folder.'],
  });
}

/** Only git and git-pitr write there, and a copy in it would be lost with the repository. */
function requireOutsideGit({ repository }: Context, into: string): void {
  const real = followLinks(into);
  const holds = (dir: string) => real === dir || real.startsWith(`${dir}/`);
  if (![repository.gitDir, repository.commonDir].some(holds)) return;
  throw new PitrError('refused', `${into} is inside the git directory; nothing was written.`, {
    hints: ['Name a folder elsewhere.'],
  });
}

/** Not mkdir's own `recursive`: where the kernel says "no such file" for a folder (/proc), Node 20 tries for ever. */
function makeFolders(folder: string): boolean {
  if (existsSync(folder)) return false;
  if (path.dirname(folder) !== folder) makeFolders(path.dirname(folder));
  try {
    mkdirSync(folder);
    return true;
  } catch (cause) {
    throw new PitrError(
      'failed',
      `The folder ${folder} cannot be made: ${messageOf(cause).split(', ')[0]}.`,
      {
        cause,
      },
    );
  }
}

/** The database copies asked for. Error: `noMatch` for one that the snapshot does not hold. */
function copiesFor({ databases: { names, all } }: RestoreRequest, target: RecordedState): CapturedDatabase[] {
  const copies = target.databases.filter(({ name }) => all || names.includes(name));
  // Their files are named after them.
  const unsafe = copies.find(({ name }) => !isDatabaseName(name));
  if (unsafe !== undefined)
    throw new PitrError(
      'refused',
      `The snapshot holds a database of a name that is never written: "${unsafe.name}". Nothing was written.`,
      { hints: ['Such a snapshot was not made by git-pitr: do not trust where it comes from.'] },
    );
  const missing = names.find((name) => !copies.some((copy) => copy.name === name));
  if (missing !== undefined)
    throw new PitrError(
      'noMatch',
      `The snapshot holds no copy of the database "${missing}"; nothing was written.`,
      { hints: ['git pitr list shows which snapshots hold which databases.'] },
    );
  return copies;
}

async function materializeDatabases(
  { repository, config }: Context,
  copies: readonly CapturedDatabase[],
  into: string,
): Promise<Materialized['databases']> {
  const written: Materialized['databases'] = [];
  for (const copy of copies) {
    const database = config.databases.find(({ name }) => name === copy.name) ?? {
      name: copy.name,
      engine: copy.engine,
      format: 'image' as const,
      excludeTable: [],
    };
    const file = await withEngine(repository, config, database, (engine, engineContext) =>
      engine.materialize(engineContext, copy, into),
    );
    written.push({ name: copy.name, path: file });
  }
  return written;
}
