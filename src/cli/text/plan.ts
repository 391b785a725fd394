import { displayPath } from '../../git/paths.ts';
import { describeIndexChange } from '../../restore/indexPlan.ts';
import type { PlanEntry } from '../../restore/plan.ts';
import type { PreparedRestore } from '../../restore/request.ts';
import type { Terminal } from '../terminal.ts';
import { count, describeBytes } from './snapshot.ts';

/** A restore's plan, as text and as JSON. */

const words = { create: 'create', overwrite: 'overwrite', delete: 'delete', mode: 'change mode of' } as const;
const colours = { create: 'green', overwrite: 'yellow', delete: 'red', mode: 'cyan' } as const;

export function planText(prepared: PreparedRestore, terminal: Terminal): string {
  const { plan, databases, uncommitted } = prepared;
  const lines: string[] = [];
  for (const entry of plan.entries) {
    const mark = uncommitted.has(entry.path)
      ? terminal.paint('red', prepared.kind === 'undo' ? '  (changed since)' : '  (uncommitted changes)')
      : '';
    lines.push(
      `  ${terminal.paint(colours[entry.action], words[entry.action].padEnd(14))} ${displayPath(entry.path)}${mark}`,
    );
  }
  for (const { name, engine, action, target, tables } of databases) {
    const size = tables === undefined ? ` (${describeBytes(target.bytes)})` : '';
    const what = action === 'unchanged' ? 'is the same already' : `restore${size}`;
    const part = tables === undefined ? '' : `, table ${tables.join(', ')}`;
    lines.push(`  ${terminal.paint('blue', 'database'.padEnd(14))} ${name} (${engine})${part}: ${what}`);
  }
  for (const change of prepared.index)
    lines.push(`  ${terminal.paint('blue', 'index'.padEnd(14))} ${describeIndexChange(change)}`);
  for (const { path, reason } of plan.conflicts ?? [])
    lines.push(`  ${terminal.paint('red', 'conflict'.padEnd(14))} ${displayPath(path)}: ${reason}`);
  for (const { path, reason } of plan.protected)
    lines.push(`  ${terminal.paint('dim', 'leave alone'.padEnd(14))} ${displayPath(path)}: ${reason}`);
  for (const { name, reason } of prepared.databasesLeft)
    lines.push(`  ${terminal.paint('dim', 'leave alone'.padEnd(14))} database ${name}: ${reason}`);
  return [...lines, planSummary(prepared)].join('\n');
}

function planSummary({ plan, databases, index }: PreparedRestore): string {
  const of = (action: PlanEntry['action']) => plan.entries.filter((entry) => entry.action === action).length;
  const folders = plan.createDirs.length + plan.removeDirs.length;
  const { conflicts = [] } = plan;
  const parts = [
    `${of('create')} to create`,
    `${of('overwrite')} to overwrite`,
    `${of('delete')} to delete`,
    ...(of('mode') > 0 ? [`${of('mode')} to change the mode of`] : []),
    ...(index.length > 0 ? [`${index.length} in the index`] : []),
    ...(folders > 0 ? [count(folders, 'empty folder')] : []),
    ...(conflicts.length > 0 ? [count(conflicts.length, 'conflict')] : []),
    ...(plan.protected.length > 0 ? [`${plan.protected.length} left alone`] : []),
  ];
  const restored = databases.filter(({ action }) => action === 'restore').length;
  return `${parts.join(', ')}${databases.length > 0 ? `; ${count(restored, 'database')} to restore` : ''}.`;
}

export function planJson(prepared: PreparedRestore): Record<string, unknown> {
  const { plan, databases, uncommitted, index } = prepared;
  const of = (action: PlanEntry['action']) =>
    plan.entries
      .filter((entry) => entry.action === action)
      .map(({ path, before, after, permissionsAfter }) => ({
        path: displayPath(path),
        ...(before === undefined ? {} : { from: before.mode }),
        ...(after === undefined ? {} : { to: permissionsAfter ?? after.mode }),
        uncommitted: uncommitted.has(path),
      }));
  return {
    create: of('create'),
    overwrite: of('overwrite'),
    delete: of('delete'),
    mode: of('mode'),
    protected: [
      ...plan.protected.map(({ path, reason }) => ({ path: displayPath(path), reason })),
      ...prepared.databasesLeft.map(({ name, reason }) => ({ path: name, database: name, reason })),
    ],
    index: index.map(({ path }) => ({ path: displayPath(path), uncommitted: uncommitted.has(path) })),
    conflicts: (plan.conflicts ?? []).map(({ path, reason }) => ({ path: displayPath(path), reason })),
    databases: databases.map(({ name, engine, path, action, target, tables }) => ({
      path: path === '' ? name : path,
      name,
      engine,
      action,
      sha256: target.sha256,
      ...(tables === undefined ? {} : { tables }),
    })),
    staged: index.length > 0,
    directories: { create: plan.createDirs.map(displayPath), remove: plan.removeDirs.map(displayPath) },
  };
}
