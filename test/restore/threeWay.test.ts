import { describe, expect, test } from 'vitest';
import { decide, type Decision } from '../../src/restore/threeWay.ts';

const file = (oid: string, mode = '100644') => ({ mode, oid });
const sides = { '-': undefined, x: file('x'), y: file('y') };
type Letter = keyof typeof sides;

/** What it comes to, in one word. */
function inAWord(decision: Decision): string {
  if (decision.kind === 'lines') return decision.base === undefined ? 'lines of both' : 'lines of three';
  return decision.kind;
}

/**
 * All 27: a path that is absent (-), or has content x or y, in the base, now and in the target. `now` means that it stays as it
 * is, `target` that it becomes what it was before.
 */
const table: Record<string, string> = {
  // Base absent: the unwanted change deleted it (or it never was).
  '---': 'now',
  '--x': 'target',
  '--y': 'target',
  '-x-': 'now',
  '-xx': 'now',
  '-xy': 'lines of both',
  '-y-': 'now',
  '-yx': 'lines of both',
  '-yy': 'now',
  // Base x.
  'x--': 'now',
  'x-x': 'now',
  'x-y': 'conflict',
  'xx-': 'target',
  xxx: 'now',
  xxy: 'target',
  'xy-': 'conflict',
  xyx: 'now',
  xyy: 'now',
  // Base y.
  'y--': 'now',
  'y-x': 'conflict',
  'y-y': 'now',
  'yx-': 'conflict',
  yxx: 'now',
  yxy: 'now',
  'yy-': 'target',
  yyx: 'target',
  yyy: 'now',
};

describe('the three-way decision', () => {
  test('the table has all 27 combinations', () => {
    const letters = Object.keys(sides);
    const all = letters.flatMap((base) => letters.flatMap((now) => letters.map((then) => base + now + then)));
    expect(Object.keys(table).toSorted()).toEqual(all.toSorted());
  });

  test.each(Object.entries(table))('base, now, target = %s: %s', (combination, wanted) => {
    const [base, now, then] = combination.split('').map((letter) => sides[letter as Letter]);
    expect(inAWord(decide(base, now, then))).toBe(wanted);
  });

  test('three different contents are merged line by line', () => {
    expect(decide(file('b'), file('n'), file('t'))).toEqual({
      kind: 'lines',
      mode: '100644',
      base: 'b',
      now: 'n',
      target: 't',
    });
  });

  test('a mode changed on one side and content on the other both come', () => {
    expect(decide(file('b'), file('b', '100755'), file('t'))).toEqual({
      kind: 'both',
      entry: file('t', '100755'),
    });
    expect(decide(file('b', '100755'), file('n', '100755'), file('b'))).toEqual({
      kind: 'both',
      entry: file('n'),
    });
  });

  test('a mode and lines that changed on both sides are merged each on its own', () => {
    expect(decide(file('b', '100755'), file('n', '100755'), file('t'))).toMatchObject({
      kind: 'lines',
      mode: '100644',
    });
    expect(decide(file('b'), file('n', '100755'), file('t'))).toMatchObject({
      kind: 'lines',
      mode: '100755',
    });
  });

  test('a file that both sides added with another mode stays as it is, its content merged', () => {
    expect(decide(undefined, file('n', '100755'), file('t'))).toMatchObject({
      kind: 'lines',
      mode: '100755',
    });
    expect(decide(undefined, file('n', '100755'), file('n')).kind).toBe('conflict');
  });

  const link = (oid: string) => file(oid, '120000');
  test.each([
    ['links that all differ', link('b'), link('n'), link('t'), 'conflict'],
    ['a link that was not touched since', link('b'), link('b'), link('t'), 'target'],
    ['a link that became a file, untouched since', file('b'), file('b'), link('b'), 'target'],
    ['a link now where there was a file', file('b'), link('n'), file('t'), 'conflict'],
    ['a link then where there is a changed file', file('b'), file('n'), link('t'), 'conflict'],
    ['a link in the base alone', link('b'), file('n'), file('t'), 'lines of both'],
    ['a link on both sides, the same', file('b'), link('n'), link('n'), 'now'],
    ['the same id as a file and as a link', file('b'), link('b'), file('t'), 'conflict'],
  ])('%s', (_, base, now, then, wanted) => {
    expect(inAWord(decide(base, now, then))).toBe(wanted);
  });
});
