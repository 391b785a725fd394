import { expect, test } from 'vitest';
import { read } from './pages.ts';
import { pictureFile, renderPicture } from './picture.ts';

test('the picture in README.md is what a terminal shows now (npm run docs draws it)', async () => {
  expect(await renderPicture()).toBe(read(pictureFile));
  expect(read('README.md')).toContain(`](${pictureFile})`);
});
