/** Running as somebody for whom permissions mean something: root may read everything. */
import { spawnSync } from 'node:child_process';
import { lchownSync, lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { command } from '../../support/cli.ts';
import { cleanEnvironment } from '../../support/environment.ts';

const nobody = 65534;

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Gives a folder and all in it to the user that `pitrAsOrdinaryUser` runs as. */
export function giveToOrdinaryUser(file: string): void {
  if (!isRoot()) return;
  lchownSync(file, nobody, nobody);
  if (!lstatSync(file).isDirectory()) return;
  for (const name of readdirSync(file)) giveToOrdinaryUser(path.join(file, name));
}

/** The built command as a user without root's rights. Throws for another exit code than `expectCode`. */
export function pitrAsOrdinaryUser<Document>(cwd: string, args: readonly string[], expectCode = 0): Document {
  const child = spawnSync(process.execPath, [command, ...args, '--json'], {
    cwd,
    env: cleanEnvironment(),
    encoding: 'utf8',
    timeout: 55_000,
    ...(isRoot() ? { uid: nobody, gid: nobody } : {}),
  });
  if (child.status !== expectCode)
    throw new Error(`exit code ${child.status} instead of ${expectCode}: ${child.stdout}\n${child.stderr}`);
  return JSON.parse(child.stdout) as Document;
}
