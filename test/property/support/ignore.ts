/**
 * What git ignores, worked out a second time and simply: the names that the generated rules are made of need no more
 * than `*`, `!`, a slash in front, between or behind, and a backslash.
 */
import { type BytePath, parentOf, parentsOf } from '../../../src/git/paths.ts';

interface Rule {
  matches: (relative: BytePath, isFolder: boolean) => boolean;
  ignores: boolean;
}

/** The rules of one file, as git reads them. */
function parse(text: string): Rule[] {
  return text.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : ruleOf(line)));
}

function ruleOf(line: string): Rule {
  const ignores = !line.startsWith('!');
  let pattern = ignores ? line : line.slice(1);
  const onlyFolders = pattern.endsWith('/');
  if (onlyFolders) pattern = pattern.slice(0, -1);
  const anchored = pattern.includes('/');
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  const source = pattern
    .replace(/\\(.)/g, '$1')
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^/]*');
  const expression = new RegExp(`^${source}$`, 's');
  return {
    ignores,
    matches: (relative, isFolder) => {
      if (onlyFolders && !isFolder) return false;
      return expression.test(anchored ? relative : relative.slice(relative.lastIndexOf('/') + 1));
    },
  };
}

/** The ignore rules of one repository. */
export class IgnoreRules {
  readonly #files: ReadonlyMap<BytePath, readonly Rule[]>;
  readonly #strongest: readonly Rule[];

  /**
   * @param files folder -> text of its .gitignore
   * @param commandLine rules that are stronger than any file, the last one strongest
   */
  constructor(files: ReadonlyMap<BytePath, string>, commandLine: readonly string[]) {
    this.#files = new Map([...files].map(([folder, text]) => [folder, parse(text)]));
    this.#strongest = commandLine.map(ruleOf);
  }

  /** What is inside an ignored folder is ignored, whatever else is said of it. */
  isIgnored(path: BytePath, isFolder: boolean): boolean {
    return parentsOf(path).some((parent) => this.#decides(parent, true)) || this.#decides(path, isFolder);
  }

  #decides(path: BytePath, isFolder: boolean): boolean {
    const last = (rules: readonly Rule[], relative: BytePath) =>
      rules.findLast((rule) => rule.matches(relative, isFolder));
    let found = last(this.#strongest, path);
    for (let folder = path; found === undefined && folder !== ''; ) {
      folder = parentOf(folder);
      const relative = folder === '' ? path : path.slice(folder.length + 1);
      found = last(this.#files.get(folder) ?? [], relative);
    }
    return found?.ignores === true;
  }
}
