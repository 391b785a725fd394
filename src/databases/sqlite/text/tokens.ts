/** Where a text of SQL stands, as far as semicolons are concerned (https://www.sqlite.org/lang_comment.html). */
export type Inside = '' | "'" | '"' | '`' | ']' | '-' | '*';

/** Looks through SQL, piece by piece, for semicolons that are outside of quotes and comments. */
export class SqlScanner {
  inside: Inside = '';
  /** Up to where the text was looked through. */
  at = 0;

  /**
   * The position of the next one from `at` on; -1 when there is none. What may be half of a comment's beginning, at the
   * end of the text, is left for the next time.
   */
  next(text: string): number {
    const index = this.#find(text);
    this.at = index.found === -1 ? index.seen : index.found + 1;
    return index.found;
  }

  #find(text: string): { found: number; seen: number } {
    for (let index = this.at; index < text.length; index++) {
      const char = text.charAt(index);
      if (this.inside === '' && (char === '-' || char === '/') && index + 1 === text.length)
        return { found: -1, seen: index };
      if (this.inside !== '') this.#leave(text, index, char);
      else if (char === ';') return { found: index, seen: index };
      else if (char === "'" || char === '"' || char === '`') this.inside = char;
      else if (char === '[') this.inside = ']';
      else if (char === '-' && text.charAt(index + 1) === '-') this.inside = '-';
      else if (char === '/' && text.charAt(index + 1) === '*') {
        this.inside = '*';
        index++; // the star of it does not end it
      }
    }
    return { found: -1, seen: text.length };
  }

  #leave(text: string, index: number, char: string): void {
    const ends =
      this.inside === '-'
        ? char === '\n'
        : this.inside === '*'
          ? char === '/' && text.charAt(index - 1) === '*'
          : char === this.inside; // a doubled quote leaves and comes back
    if (ends) this.inside = '';
  }
}

/** A definition as a statement: a comment that it ends with must not take the semicolon in. */
export function terminated(sql: string): string {
  const scanner = new SqlScanner();
  while (scanner.next(sql) !== -1);
  if (scanner.inside === '-') return `${sql}\n;\n`;
  return scanner.inside === '*' ? `${sql}*/;\n` : `${sql};\n`;
}
