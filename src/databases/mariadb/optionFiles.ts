import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * What the option files of MariaDB and MySQL say to client programs
 * (https://mariadb.com/kb/en/configuring-mariadb-with-option-files/): the place where people keep their password.
 */

/** Those that every client program reads, on both systems. */
const groups = new Set(['client', 'client-server', 'client-mariadb']);

/** In the order of reading; what comes later wins. */
function standardFiles(): string[] {
  return ['/etc/my.cnf', '/etc/mysql/my.cnf', path.join(process.env['HOME'] ?? homedir(), '.my.cnf')];
}

/** The options of the client groups, dashes for underscores. A file that cannot be read says nothing. */
export function clientOptions(files: readonly string[] = standardFiles()): Record<string, string> {
  const options: Record<string, string> = {};
  for (const file of files) readInto(options, file, 0);
  return options;
}

function readInto(options: Record<string, string>, file: string, depth: number): void {
  const text = readable(file);
  if (text === undefined || depth > 10) return;
  let group = '';
  for (const line of text.split(/\r?\n/).map((raw) => raw.trim())) {
    const include = /^!include(dir)?\s+(.+)$/.exec(line);
    if (include !== null) {
      const target = path.resolve(path.dirname(file), include[2] as string);
      for (const inner of include[1] === 'dir' ? configFiles(target) : [target])
        readInto(options, inner, depth + 1);
      continue;
    }
    const header = /^\[([^\]]*)\]/.exec(line);
    if (header !== null) group = (header[1] as string).trim().toLowerCase();
    else if (groups.has(group) && !/^[#;]/.test(line)) readOption(options, line);
  }
}

function readOption(options: Record<string, string>, line: string): void {
  const match = /^(?:loose[-_])?([A-Za-z][\w-]*)\s*(?:=\s*(.*))?$/.exec(line);
  if (match === null) return;
  options[(match[1] as string).toLowerCase().replaceAll('_', '-')] = unquoted(match[2] ?? '');
}

/** Values may be in quotes, may have a comment behind them, and know `\n`, `\\`, `\s` … */
function unquoted(value: string): string {
  const quoted = /^(["'])(.*)\1\s*(?:#.*)?$/.exec(value);
  const text = quoted === null ? value.replace(/\s+#.*$/, '').trim() : (quoted[2] as string);
  const escapes: Record<string, string> = {
    n: '\n',
    r: '\r',
    t: '\t',
    b: '\b',
    s: ' ',
    '\\': '\\',
    '"': '"',
    "'": "'",
  };
  return text.replace(/\\(.)/gs, (whole, char: string) => escapes[char] ?? whole);
}

function configFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.cnf'))
      .toSorted()
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

function readable(file: string): string | undefined {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
