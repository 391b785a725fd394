/** Any names and kinds of file, any bytes: what a snapshot covers comes back, and undo takes it back. */
import { test } from 'vitest';
import { campaign, timeout } from './support/campaign.ts';

test('whatever the files are called and become, a restore and its undo lose nothing', { timeout }, () =>
  campaign({ oddNames: 6, rules: 2, index: 4, nested: 1 }),
);
