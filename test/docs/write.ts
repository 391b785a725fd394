/** `npm run docs`: writes what the documentation shows of the program, from the program as it is now. */
import { pictureFile, renderPicture } from './picture.ts';
import { chain, read, renderManPage, renderPage, write } from './pages.ts';

for (const page of chain()) {
  const before = page.file === 'docs/commands.md' ? '' : read(page.file);
  const now = await renderPage(page);
  if (now !== before) write(page.file, now);
}
write('docs/man/git-pitr.1', renderManPage());
write(pictureFile, await renderPicture());
