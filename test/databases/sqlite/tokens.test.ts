import { expect, it } from 'vitest';
import { SqlScanner, terminated } from '../../../src/databases/sqlite/text/tokens.ts';

const text = `a; 'b;''c' "d;" \`e;\` [f;] -- g;
h; /* i;*/ j;/**/ - / k;`;
const found = Array.from({ length: text.length }, (_, at) => text.charAt(at)).flatMap((char, at) =>
  char === ';' && /[ahjk]/.test(text.charAt(at - 1)) ? [at] : [],
);

it('semicolons outside of quotes and comments are found, wherever the text is cut', () => {
  for (let cut = 0; cut <= text.length; cut++) {
    const scanner = new SqlScanner();
    const positions: number[] = [];
    for (const part of [text.slice(0, cut), text])
      for (let at = scanner.next(part); at !== -1; at = scanner.next(part)) positions.push(at);
    expect(positions).toEqual(found);
  }
});

it('a definition that ends with a comment is ended all the same', () => {
  expect(terminated('CREATE VIEW v AS SELECT 1')).toBe('CREATE VIEW v AS SELECT 1;\n');
  expect(terminated('SELECT 1 -- all')).toBe('SELECT 1 -- all\n;\n');
  expect(terminated('SELECT 1 /* all')).toBe('SELECT 1 /* all*/;\n');
  expect(terminated("SELECT '--'")).toBe("SELECT '--';\n");
});
