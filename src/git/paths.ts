/**
 * Paths inside a repository are bytes, not text: a file name may be any bytes but NUL and `/`.
 * They are held as *byte strings* (latin1: one character a byte), so that invalid UTF-8 survives; text for people
 * and JSON is made at the edge.
 */
export type BytePath = string;

/** The text of a byte path: plain when it is valid UTF-8 without control characters, else quoted as git quotes. */
export function displayPath(path: BytePath): string {
  if (/^[\x20-\x7e]*$/.test(path)) return path.startsWith('"') ? quotePath(path) : path;
  const text = Buffer.from(path, 'latin1').toString('utf8');
  // oxlint-disable-next-line no-control-regex -- as above
  if (text.includes('\ufffd') || /[\x00-\x1f\x7f]/.test(text) || path.startsWith('"')) return quotePath(path);
  return text;
}

/** C-style quoting, as git prints unusual names. */
export function quotePath(path: BytePath): string {
  const named: Record<string, string> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '"': '\\"', '\\': '\\\\' };
  let out = '"';
  for (const char of path) {
    const code = char.charCodeAt(0);
    out += named[char] ?? (code < 0x20 || code > 0x7e ? `\\${code.toString(8).padStart(3, '0')}` : char);
  }
  return `${out}"`;
}

/** A byte path from text (what a user typed, what config holds). */
export function bytePath(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The absolute path of a byte path below `root`, for `fs` calls. */
export function onDisk(root: string, path: BytePath): Buffer {
  return Buffer.concat([Buffer.from(root.endsWith('/') ? root : `${root}/`), Buffer.from(path, 'latin1')]);
}

export function parentOf(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/** All folders above a path, outermost first: `a/b/c` gives `a`, `a/b`. */
export function parentsOf(path: BytePath): BytePath[] {
  const parents: BytePath[] = [];
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1))
    parents.push(path.slice(0, slash));
  return parents;
}

/** True when `path` is `folder` or below it. */
export function isWithin(path: BytePath, folder: BytePath): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`);
}

/** A path for one line of a text file: as it is, or quoted when a line could not hold it. Reversed by `unquotePath`. */
export function quoteIfNeeded(path: BytePath): string {
  return /^[^"\n\r\\]*$/.test(path) ? path : quotePath(path);
}

/** Reverses git's C-style quoting; anything else is given back as it is. */
export function unquotePath(text: string): BytePath {
  if (!text.startsWith('"') || !text.endsWith('"') || text.length < 2) return text;
  const named: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };
  return text.slice(1, -1).replace(/\\([0-7]{3}|.)/g, (_, code: string) => {
    return code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (named[code] ?? code);
  });
}
