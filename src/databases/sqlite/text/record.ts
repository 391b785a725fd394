import type { Repository } from '../../../git/repository.ts';
import { writeText, type WrittenText } from '../../text/writer.ts';
import type { JournalVersions } from '../header.ts';
import type { Connection } from '../open.ts';
import { scriptParts } from './script.ts';

/**
 * Records what a connection sees as SQL text.
 * @param image the oid of the image that is to be beside it
 */
export function recordText(
  repository: Repository,
  connection: Connection,
  versions: JournalVersions,
  image?: string,
): Promise<WrittenText> {
  const about = { engine: 'sqlite', journal: versions.read === 1 ? 'rollback' : 'wal' };
  const options = { about, ...(image === undefined ? {} : { beside: { image } }) };
  return writeText(repository, scriptParts(connection), options);
}
