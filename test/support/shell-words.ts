/** Splits a simple command line as a shell does: quotes and backslashes, but no variables, pipes or patterns. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  const part = /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)|([^\s"'\\]+)|(\s+)/gy;
  let word: string | undefined;
  for (const [, double, single, escaped, plain, space] of line.matchAll(part)) {
    if (space === undefined) {
      word = (word ?? '') + (double?.replace(/\\(["\\$`])/g, '$1') ?? single ?? escaped ?? plain ?? '');
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  return word === undefined ? words : [...words, word];
}
