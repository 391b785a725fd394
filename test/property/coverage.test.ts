/** Ignore rules, the index and nested repositories that change between the two states. */
import { test } from 'vitest';
import { campaign, timeout } from './support/campaign.ts';

test(
  'whatever is ignored, tracked and nested, then and now, a restore and its undo lose nothing',
  { timeout },
  () => campaign({ oddNames: 1, rules: 8, index: 8, nested: 4 }),
);
