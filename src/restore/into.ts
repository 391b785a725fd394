import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { prepareShadow } from '../capture/context.ts';
import { worktreeContext } from '../capture/capture.ts';
import { withEngine } from '../databases/registry.ts';
import { PitrError } from '../errors.ts';
import { applyFiles } from './apply.ts';
import { planFiles } from './plan.ts';
import { resolveTarget } from './prepare.ts';
import type { Context, RestoreRequest } from './request.ts';
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
  const { repository, config } = context;
  const into = path.resolve(request.cwd, folder);
  requireEmpty(into);
  const { snapshot, target } = await resolveTarget(context, request);
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
  prepareShadow(worktreeContext(repository, config));
  const made = mkdirSync(into, { recursive: true });
  const stage = await stageFiles(repository, into, plan.entries).catch((error: unknown) => {
    if (made !== undefined) rmdirSync(into);
    throw error;
  });
  try {
    await applyFiles(plan, { root: into, stage, seen: new Map() });
  } finally {
    stage.remove();
  }
  return {
    snapshot,
    into,
    files: plan.entries.length,
    databases: await materializeDatabases(context, request, target, into),
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

async function materializeDatabases(
  context: Context,
  request: RestoreRequest,
  target: RecordedState,
  into: string,
): Promise<Materialized['databases']> {
  const { repository, config } = context;
  const { names, all } = request.databases;
  const copies = target.databases.filter(({ name }) => all || names.includes(name));
  const missing = names.find((name) => !copies.some((copy) => copy.name === name));
  if (missing !== undefined)
    throw new PitrError('noMatch', `The snapshot holds no copy of the database "${missing}".`);
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
